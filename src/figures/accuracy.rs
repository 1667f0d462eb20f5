//! Predicted against measured times: a marker on the diagonal is a prediction that came true.

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{Anchor, BELOW_TITLE, Canvas, Frame, MARGIN, THIN, Width, draw};
use super::legend::{Legend, SAMPLE};
use super::style::{GREY, GRID, INK, colour};
use super::{is_drawable, series};
use crate::output::{Accuracy, AccuracyRow};

/// The figure: measured times to the right, predicted ones upwards, both logarithmic with the same range, with the
/// diagonal and the band of 10 % about it. A panel below has the relative errors; those that it has no room for are
/// on its edges.
///
/// Markers are filled, or hollow for predictions beyond what was profiled. A line through a marker goes from the
/// shortest to the longest measured time.
pub fn accuracy_svg(title: &str, accuracy: &Accuracy, width: Width) -> String {
    let shown: Vec<&AccuracyRow> =
        accuracy.rows.iter().filter(|row| is_drawable(row.measured_ms) && is_drawable(row.predicted_ms)).collect();
    let names = series(shown.iter().map(|row| row.series.as_str()));
    let errors = ErrorAxis::new(shown.iter().map(|row| error(row)));
    let mut legend = legend(&names, shown.iter().any(|row| row.is_beyond));
    if shown.iter().any(|row| error(row).abs() > errors.limit) {
        legend.add("on an edge: a larger error", |canvas, (x, y)| {
            canvas.line((x - SAMPLE / 2, y), (x + SAMPLE / 2, y), GREY, THIN);
            canvas.marker((x, y), 0);
        });
    }
    if accuracy.is_mock {
        legend.add("mock: nothing measured", |canvas, at| canvas.text("!", at, Anchor::Center, SAMPLE));
    }
    let values = shown.iter().flat_map(|row| [row.measured_ms, row.predicted_ms]);
    let axis = Axis::log(values);
    let left = axis.as_ref().map_or(100, Axis::room);
    // A square, as both axes are the same; on a page it need not fill the width.
    let right = axis.as_ref().map_or(2 * MARGIN, Axis::overhang);
    let side = (width.units() - left - right).min(1100);
    let left = left + (width.units() - left - right - side) / 2;
    let frame = Frame { left, top: BELOW_TITLE, right: left + side, bottom: BELOW_TITLE + side };
    let top = frame.bottom + 30;
    let panel = Frame { top, bottom: top + if width == Width::Column { 220 } else { 320 }, ..frame };
    let below = panel.bottom + AXIS_BELOW;
    draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(title);
        let Some(axis) = axis else {
            canvas.outline(frame, GREY);
            canvas.no_data(frame);
            return;
        };
        draw_band(canvas, frame, &axis);
        axis.draw_grid(canvas, frame, Side::Bottom);
        axis.draw_grid(canvas, frame, Side::Left);
        axis.draw_labels(canvas, frame, Side::Left, "predicted (ms)");
        axis.draw(canvas, panel, Side::Bottom, "measured (ms)");
        errors.draw(canvas, panel);
        canvas.line((frame.left, frame.bottom), (frame.right, frame.top), INK, THIN);
        canvas.outline(frame, GREY);
        for is_beyond in [true, false] {
            for row in shown.iter().filter(|row| row.is_beyond == is_beyond) {
                let Some(index) = names.iter().position(|name| *name == row.series) else { continue };
                let (x, y) = (frame.x(axis.at(row.measured_ms)), frame.y(axis.at(row.predicted_ms)));
                if let Some((least, most)) = row.measured_range_ms {
                    let [from, to] = [least, most].map(|value| frame.x(axis.at(value)));
                    canvas.line((from, y), (to, y), colour(index), THIN + 1);
                }
                canvas.marker((x, y), marker(index, is_beyond));
                canvas.marker((x, panel.y(errors.at(error(row)))), marker(index, is_beyond));
            }
        }
        legend.draw(canvas, below, width);
    })
}

/// The relative error of a prediction.
fn error(row: &AccuracyRow) -> f64 {
    row.predicted_ms / row.measured_ms - 1.0
}

/// The filled or the hollow marker of a series; if some are hollow, seven series are distinct, otherwise 14.
fn marker(index: usize, is_hollow: bool) -> usize {
    if is_hollow { index % 7 + 7 } else { index }
}

/// Fills what is within 10 % of the diagonal.
fn draw_band(canvas: &mut Canvas<'_>, frame: Frame, axis: &Axis) {
    // Shares of the axis by which predictions of 1.1 and of 0.9 times the measurement lie off the diagonal.
    let (over, under) = (axis.share_of(1.1), axis.share_of(0.9));
    let point = |x: f64, y: f64| (frame.x(x.clamp(0.0, 1.0)), frame.y(y.clamp(0.0, 1.0)));
    let corners = [
        point(0.0, 0.0),
        point(0.0, over),
        point(1.0 - over, 1.0),
        point(1.0, 1.0),
        point(1.0, 1.0 + under),
        point(-under, 0.0),
    ];
    canvas.polygon(&corners, GRID);
    canvas.dashes(&corners[1..3], &EDGE, GREY, THIN);
    canvas.dashes(&corners[4..6], &EDGE, GREY, THIN);
}

/// The dash of the edges of the band.
const EDGE: [f64; 2] = [12.0, 8.0];

fn legend<'a>(names: &[&str], has_beyond: bool) -> Legend<'a> {
    let mut legend = Legend::default();
    for (index, name) in names.iter().enumerate() {
        legend.add(*name, move |canvas, at| canvas.marker(at, marker(index, false)));
    }
    if has_beyond {
        legend.add("hollow: batch beyond those profiled", |canvas, (x, y)| {
            canvas.marker((x - 14, y), marker(0, true));
            canvas.marker((x + 14, y), marker(1, true));
        });
    }
    legend.add("within 10 %", |canvas, (x, y)| {
        let band = Frame { left: x - SAMPLE / 2, top: y - 11, right: x + SAMPLE / 2, bottom: y + 11 };
        canvas.fill(band, GRID);
        for y in [band.top, band.bottom] {
            canvas.dashes(&[(band.left, y), (band.right, y)], &EDGE, GREY, THIN);
        }
        canvas.line((band.left, y), (band.right, y), INK, THIN);
    });
    legend
}

/// An axis of relative errors, symmetric about zero.
struct ErrorAxis {
    limit: f64,
}

impl ErrorAxis {
    /// An axis that has nine of ten errors, but 20 % at least and 50 % at most to either side.
    fn new(errors: impl Iterator<Item = f64>) -> ErrorAxis {
        let mut sizes: Vec<f64> = errors.map(f64::abs).collect();
        sizes.sort_by(f64::total_cmp);
        let most = sizes.get(sizes.len() * 9 / 10).or(sizes.last()).copied().unwrap_or(0.0);
        ErrorAxis { limit: [0.2, 0.3].into_iter().find(|&limit| most <= limit).unwrap_or(0.5) }
    }

    /// The share of the axis below `error`.
    fn at(&self, error: f64) -> f64 {
        (0.5 + error / self.limit / 2.0).clamp(0.0, 1.0)
    }

    fn draw(&self, canvas: &mut Canvas<'_>, frame: Frame) {
        let [low, high] = [-0.1, 0.1].map(|error| frame.y(self.at(error)));
        canvas.fill(Frame { top: high, bottom: low, ..frame }, GRID);
        for y in [low, high] {
            canvas.dashes(&[(frame.left, y), (frame.right, y)], &EDGE, GREY, THIN);
        }
        for error in [-self.limit, -0.1, 0.0, 0.1, self.limit] {
            let label = format!("{:+.0}", 100.0 * error).replace("+0", "0");
            canvas.text(&label, (frame.left - 10, frame.y(self.at(error))), Anchor::Right, 100);
        }
        let (_, middle) = frame.middle();
        canvas.line((frame.left, middle), (frame.right, middle), INK, THIN);
        canvas.outline(frame, GREY);
        canvas.text("error (%)", (frame.left - TITLE_LEFT, middle), Anchor::Upward, frame.height());
    }
}

/// From the frame to the middle of the title of errors.
const TITLE_LEFT: i32 = 90;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(series: &str, measured_ms: f64, predicted_ms: f64) -> AccuracyRow {
        AccuracyRow { series: series.into(), measured_ms, predicted_ms, measured_range_ms: None, is_beyond: false }
    }

    fn accuracy(rows: &[AccuracyRow]) -> Accuracy {
        Accuracy { rows: rows.to_vec(), ..Accuracy::default() }
    }

    #[test]
    fn the_panel_has_room_for_nine_of_ten_errors_and_shows_the_others_on_its_edge() {
        let axis = |errors: &[f64]| ErrorAxis::new(errors.iter().copied());
        assert_eq!(axis(&[]).limit, 0.2);
        assert_eq!(axis(&[0.25, -0.1]).limit, 0.3);
        let mut errors = vec![0.01; 5];
        errors.push(7.0);
        assert_eq!(axis(&errors).limit, 0.5);
        errors.extend([0.01; 20]);
        assert_eq!((axis(&errors).limit, axis(&errors).at(7.0), axis(&errors).at(0.1)), (0.2, 1.0, 0.75));
    }

    #[test]
    fn values_that_cannot_be_drawn_are_left_out() {
        let svg = |rows: &[AccuracyRow]| accuracy_svg("t", &accuracy(rows), Width::Column);
        let drawn = [row("a", 4.0, 4.1), row("b", 8.0, 7.0)];
        for value in [0.0, f64::NAN, f64::INFINITY] {
            let mut rows = drawn.to_vec();
            rows.insert(1, row("c", 4.0, value));
            assert_eq!(svg(&rows), svg(&drawn), "{value:?}");
            assert!(svg(&rows[1..2]).contains("no data"));
        }
        assert!(svg(&[]).contains("no data"));
    }

    #[test]
    fn any_number_of_series_is_drawn() {
        let rows: Vec<AccuracyRow> = (1..300).map(|index| row(&format!("d{index}"), f64::from(index), 2.0)).collect();
        let all = accuracy(&rows);
        assert!(accuracy_svg("t", &all, Width::Page).ends_with("</svg>\n"));
        let warns = |all: &Accuracy| accuracy_svg("t", all, Width::Page).contains("nothing measured");
        assert!(!warns(&all) && warns(&Accuracy { is_mock: true, ..all }));
    }
}
