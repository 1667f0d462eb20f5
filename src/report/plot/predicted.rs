//! Predicted against measured times: a marker on the diagonal is a prediction that came true.

use super::canvas::{Anchor, Canvas, Frame, GREY, GRID, INK, LINE, Pixel, TEXT, draw, widest};
use super::predicted_rows::PredictedRow;
use super::{is_drawable, series};
use crate::cost::Scheme;

/// The figure: measured times to the right, predicted ones upwards, both logarithmic with the same range, with the
/// diagonal and the band of 10 % about it. A panel below has the relative errors; those that it has no room for are
/// on its edges.
///
/// Filled markers are batches inside the profiled range, hollow ones the smallest and the largest batch, each
/// predicted from the network's other batches. Other predictions are not drawn.
pub fn predicted_svg(title: &str, rows: &[PredictedRow]) -> String {
    let shown: Vec<&PredictedRow> = rows.iter().filter(|row| is_shown(row)).collect();
    let devices = series(shown.iter().map(|row| row.device.as_str()));
    let names_width = widest(devices.iter().copied()).min(260);
    let side = 560.max(LINE * (devices.len() as i32 + 8));
    let frame = Frame { left: 90, top: 48, right: 90 + side, bottom: 48 + side };
    let legend = frame.right + 24;
    let width = legend + 200.max(names_width + 40);
    let panel = Frame { top: frame.bottom + 20, bottom: frame.bottom + 20 + PANEL, ..frame };
    draw((width, panel.bottom + 60), |canvas| {
        canvas.title(title, width);
        let values = shown.iter().flat_map(|row| [Some(row.measured_ms), row.predicted_ms]).flatten();
        let Some(axis) = LogAxis::new(values) else {
            canvas.outline(frame, GREY);
            canvas.no_data(frame);
            return;
        };
        draw_band(canvas, frame, &axis);
        axis.draw(canvas, frame, panel);
        let errors = ErrorAxis::new(shown.iter().filter_map(|row| error(row)));
        errors.draw(canvas, panel);
        let at = |value: f64| axis.at(value);
        canvas.line((frame.left, frame.bottom), (frame.right, frame.top), INK, 1);
        canvas.outline(frame, GREY);
        for is_inside in [false, true] {
            for row in shown.iter().filter(|row| (row.scheme == Scheme::Inside) == is_inside) {
                let Some(device) = devices.iter().position(|name| *name == row.device) else { continue };
                let (Some(predicted), Some(error)) = (row.predicted_ms, error(row)) else { continue };
                let x = frame.x(at(row.measured_ms));
                canvas.marker((x, frame.y(at(predicted))), marker(device, is_inside));
                canvas.marker((x, panel.y(errors.at(error))), marker(device, is_inside));
            }
        }
        draw_legend(canvas, (legend, frame.top + 10), &devices, width);
    })
}

/// Height of the panel of errors.
const PANEL: i32 = 180;

/// The relative error of a row, if it has a prediction.
fn error(row: &PredictedRow) -> Option<f64> {
    Some(row.predicted_ms? / row.measured_ms - 1.0)
}

fn is_shown(row: &PredictedRow) -> bool {
    row.scheme != Scheme::Transferred && is_drawable(row.measured_ms) && row.predicted_ms.is_some_and(is_drawable)
}

/// The filled or the hollow marker of a device; seven are distinct.
fn marker(device: usize, is_filled: bool) -> usize {
    device % 7 + if is_filled { 0 } else { 7 }
}

/// Fills what is within 10 % of the diagonal.
fn draw_band(canvas: &mut Canvas<'_>, frame: Frame, axis: &LogAxis) {
    // Shares of the axis by which predictions of 1.1 and of 0.9 times the measurement lie off the diagonal.
    let (over, under) = (axis.share_of(1.1), axis.share_of(0.9));
    let pixel = |x: f64, y: f64| (frame.x(x.clamp(0.0, 1.0)), frame.y(y.clamp(0.0, 1.0)));
    let corners = [
        pixel(0.0, 0.0),
        pixel(0.0, over),
        pixel(1.0 - over, 1.0),
        pixel(1.0, 1.0),
        pixel(1.0, 1.0 + under),
        pixel(-under, 0.0),
    ];
    canvas.polygon(&corners, GRID);
    canvas.dashes(&corners[1..3], GREY, (6.0, 3.0));
    canvas.dashes(&corners[4..6], GREY, (6.0, 3.0));
}

fn draw_legend(canvas: &mut Canvas<'_>, (x, mut y): Pixel, devices: &[&str], width: i32) {
    let mut entry = |canvas: &mut Canvas<'_>, text: &str, mark: &dyn Fn(&mut Canvas<'_>, Pixel)| {
        mark(canvas, (x + 14, y));
        canvas.text(text, (x + 36, y), Anchor::Left, TEXT, INK, width - x - 40);
        y += LINE;
    };
    for (index, device) in devices.iter().enumerate() {
        entry(canvas, device, &|canvas, at| canvas.marker(at, marker(index, true)));
    }
    entry(canvas, "", &|_, _| {});
    entry(canvas, "inside the range", &|canvas, (x, y)| {
        canvas.marker((x - 7, y), marker(0, true));
        canvas.marker((x + 7, y), marker(1, true));
    });
    entry(canvas, "smallest or largest", &|canvas, (x, y)| {
        canvas.marker((x - 7, y), marker(0, false));
        canvas.marker((x + 7, y), marker(1, false));
    });
    entry(canvas, "within 10 %", &|canvas, (x, y)| {
        let band = Frame { left: x - 14, top: y - 6, right: x + 14, bottom: y + 6 };
        canvas.fill(band, GRID);
        for y in [band.top, band.bottom] {
            canvas.dashes(&[(band.left, y), (band.right, y)], GREY, (6.0, 3.0));
        }
        canvas.line((band.left, y), (band.right, y), INK, 1);
    });
    entry(canvas, "larger, on an edge", &|canvas, (x, y)| {
        canvas.line((x - 14, y), (x + 14, y), GREY, 1);
        canvas.marker((x, y), marker(0, true));
    });
}

/// An axis of logarithms between round values.
#[derive(Clone, Debug, PartialEq)]
struct LogAxis {
    ticks: Vec<f64>,
}

impl LogAxis {
    /// An axis that has all `values`, which must be drawable; `None` if there are none.
    fn new(values: impl Iterator<Item = f64> + Clone) -> Option<LogAxis> {
        let (min, max) = (values.clone().reduce(f64::min)?, values.reduce(f64::max)?);
        let (first, last) = (min.log10().floor() as i32, max.log10().ceil() as i32);
        let count = last - first;
        let multiples: &[f64] = match count {
            0..=2 => &[1.0, 2.0, 5.0],
            3..=4 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let every = count / 10 + 1;
        // One more, since the largest value needs a tick above it, and one less for the smallest.
        let decades = (first - every..=last + every).step_by(every as usize);
        let round: Vec<f64> =
            decades.flat_map(|power| multiples.iter().map(move |multiple| multiple * 10f64.powi(power))).collect();
        // A marker on an edge would hide it.
        let first = round.iter().rposition(|&tick| tick <= min / 1.05).unwrap_or(0);
        let last = round.iter().position(|&tick| tick >= max * 1.05).unwrap_or(round.len() - 1);
        Some(LogAxis { ticks: round[first..=last].to_vec() })
    }

    fn ends(&self) -> (f64, f64) {
        (self.ticks[0], self.ticks[self.ticks.len() - 1])
    }

    /// The share of the axis below `value`.
    fn at(&self, value: f64) -> f64 {
        self.share_of(value / self.ends().0).clamp(0.0, 1.0)
    }

    /// The share of the axis that a factor takes.
    fn share_of(&self, factor: f64) -> f64 {
        let (first, last) = self.ends();
        factor.ln() / (last / first).ln()
    }

    /// Draws both axes of `frame`, and the one that it shares with the panel below.
    fn draw(&self, canvas: &mut Canvas<'_>, frame: Frame, panel: Frame) {
        for &tick in &self.ticks {
            let (x, y) = (frame.x(self.at(tick)), frame.y(self.at(tick)));
            canvas.line((x, frame.top), (x, frame.bottom), GRID, 1);
            canvas.line((x, panel.top), (x, panel.bottom), GRID, 1);
            canvas.line((frame.left, y), (frame.right, y), GRID, 1);
            let label = label(tick);
            canvas.text(&label, (x, panel.bottom + 14), Anchor::Center, TEXT, INK, 100);
            canvas.text(&label, (frame.left - 8, y), Anchor::Right, TEXT, INK, 100);
        }
        let (center, middle) = frame.middle();
        canvas.text("measured (ms)", (center, panel.bottom + 38), Anchor::Center, TEXT, INK, frame.width());
        canvas.text("predicted (ms)", (frame.left - 70, middle), Anchor::Upward, TEXT, INK, frame.height());
    }
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
            canvas.dashes(&[(frame.left, y), (frame.right, y)], GREY, (6.0, 3.0));
        }
        for error in [-self.limit, -0.1, 0.0, 0.1, self.limit] {
            let y = frame.y(self.at(error));
            canvas.text(
                &format!("{:+.0}", 100.0 * error).replace("+0", "0"),
                (frame.left - 8, y),
                Anchor::Right,
                TEXT,
                INK,
                100,
            );
        }
        let (_, middle) = frame.middle();
        canvas.line((frame.left, middle), (frame.right, middle), INK, 1);
        canvas.outline(frame, GREY);
        canvas.text("error (%)", (frame.left - 70, middle), Anchor::Upward, TEXT, INK, frame.height());
    }
}

fn label(tick: f64) -> String {
    let decimals = (-tick.log10().floor()).max(0.0) as usize;
    if (1e-3..1e6).contains(&tick) { format!("{tick:.decimals$}") } else { format!("{tick:.0e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(device: &str, measured_ms: f64, predicted_ms: Option<f64>) -> PredictedRow {
        let (model, layer) = ("m".to_owned(), String::new());
        let scheme = Scheme::Inside;
        PredictedRow {
            device: device.into(),
            model,
            layer,
            batch: 2,
            scheme,
            measured_ms,
            predicted_ms,
            low_ms: None,
            high_ms: None,
        }
    }

    #[test]
    fn ticks_are_round_and_enclose_all_values() {
        let ticks = |values: &[f64]| LogAxis::new(values.iter().copied()).unwrap().ticks;
        let labels = |values: &[f64]| ticks(values).into_iter().map(label).collect::<Vec<_>>().join(" ");
        assert_eq!(labels(&[7.0, 90.0]), "5 10 20 50 100");
        assert_eq!(labels(&[10.0]), "5 10 20");
        assert_eq!(labels(&[0.2, 900.0]), "0.1 0.3 1 3 10 30 100 300 1000");
        for values in [[1e-9, 9.9e14], [1e-9, 1.1e-9], [9e14, 9.9e14]] {
            let ticks = ticks(&values);
            assert!(ticks.len() > 1 && ticks.len() < 16, "{ticks:?}");
            assert!(ticks[0] <= values[0] && ticks[ticks.len() - 1] >= values[1], "{ticks:?}");
        }
        assert_eq!(LogAxis::new([].into_iter()), None);
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
    fn labels_are_short() {
        assert_eq!([0.001, 0.2, 5.0, 1000.0, 1e6, 1e-5].map(label), ["0.001", "0.2", "5", "1000", "1e6", "1e-5"]);
    }

    #[test]
    fn values_that_cannot_be_drawn_are_left_out() {
        let drawn = [row("a", 4.0, Some(4.1)), row("b", 8.0, Some(7.0))];
        for value in [Some(0.0), Some(f64::NAN), Some(f64::INFINITY), None] {
            let mut rows = drawn.to_vec();
            rows.insert(1, row("c", 4.0, value));
            assert_eq!(predicted_svg("t", &rows), predicted_svg("t", &drawn), "{value:?}");
            assert!(predicted_svg("t", &rows[1..2]).contains("no data"));
        }
        assert!(predicted_svg("t", &[]).contains("no data"));
    }

    #[test]
    fn any_number_of_devices_is_drawn() {
        let rows: Vec<PredictedRow> =
            (1..300).map(|index| row(&format!("d{index}"), f64::from(index), Some(2.0))).collect();
        assert!(predicted_svg("t", &rows).ends_with("</svg>\n"));
    }
}
