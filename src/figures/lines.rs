//! One quantity along a swept setting, a line with its confidence band for each series.

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{BELOW_TITLE, Canvas, Frame, MARGIN, Point, STROKE, THIN, Width, draw};
use super::legend::{Legend, SAMPLE};
use super::metric::Metric;
use super::preset::Look;
use super::published::{self, add_published};
use super::style::{GREY, colour, dash};
use super::swept::{Swept, SweptSeries};

/// A line and its band, in the figure's coordinates.
pub(super) struct Drawn {
    pub(super) index: usize,
    pub(super) line: Vec<Point>,
    /// From left to right, lower and upper end.
    pub(super) band: Vec<(Point, Point)>,
}

/// The figure. Lines differ in colour, dash and marker; markers are thinned where points are dense.
pub(super) fn lines_svg(title: &str, swept: &Swept<'_>, metric: Metric, axis_title: &str, look: &Look) -> String {
    let width = look.width;
    let published = published::shown(&look.published, swept, metric);
    let mut legend = Legend::default();
    for series in &swept.series {
        let index = series.index;
        legend.add(&series.name, move |canvas, at| line_sample(canvas, at, index));
    }
    if let Some(source) = swept.band_source(metric) {
        legend.add(format!("band: {source}"), |canvas, (x, y)| {
            let band = Frame { left: x - SAMPLE / 2, top: y - 12, right: x + SAMPLE / 2, bottom: y + 12 };
            canvas.veil(&corners(band), GREY);
            canvas.line((band.left, band.top), (band.right, band.top), GREY, THIN);
            canvas.line((band.left, band.bottom), (band.right, band.bottom), GREY, THIN);
        });
    }
    add_published(&mut legend, &published);
    let values = swept.series.iter().flat_map(|series| extents(swept, series, metric));
    let values: Vec<f64> = values.chain(published.iter().map(|(_, point)| point.throughput)).collect();
    let up = Axis::new(values.iter().copied().fold(0.0, f64::max), 5);
    let along = swept.axis(width);
    let frame = Frame {
        left: up.room(),
        top: BELOW_TITLE,
        right: width.units() - along.overhang(),
        bottom: BELOW_TITLE + if width == Width::Column { 500 } else { 820 },
    };
    let below = frame.bottom + AXIS_BELOW;
    draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(title);
        along.draw(canvas, frame, Side::Bottom, &swept.title);
        up.draw(canvas, frame, Side::Left, axis_title);
        canvas.outline(frame, GREY);
        let x = |value| frame.x(along.at(value));
        let drawn: Vec<Drawn> =
            swept.series.iter().map(|series| drawn(swept, series, metric, x, |y| frame.y(up.at(y)))).collect();
        draw_lines(canvas, &drawn);
        for (place, series) in drawn.iter().enumerate() {
            for point in thinned(&series.line, place, drawn.len()) {
                canvas.marker(point, series.index);
            }
        }
        for (index, point) in &published {
            canvas.open_marker((x(point.value), frame.y(up.at(point.throughput))), *index, 120);
        }
        if values.is_empty() {
            canvas.no_data(frame);
        }
        legend.draw(canvas, below, width);
    })
}

/// What lines show in a legend.
pub(super) fn line_sample(canvas: &mut Canvas<'_>, (x, y): Point, index: usize) {
    canvas.dashes(&[(x - SAMPLE / 2, y), (x + SAMPLE / 2, y)], dash(index), colour(index), STROKE);
    canvas.marker((x, y), index);
}

/// The values of a line and the upper ends of its band.
pub(super) fn extents(swept: &Swept<'_>, series: &SweptSeries<'_>, metric: Metric) -> impl Iterator<Item = f64> {
    let found = series.points.iter().filter_map(move |(_, lines)| swept.value(lines, metric));
    found.flat_map(|found| [Some(found.value), found.band.map(|(_, high)| high)]).flatten()
}

/// A series with its values of the setting at `x` and of the metric at `y`.
pub(super) fn drawn(
    swept: &Swept<'_>,
    series: &SweptSeries<'_>,
    metric: Metric,
    x: impl Fn(f64) -> i32,
    y: impl Fn(f64) -> i32,
) -> Drawn {
    let mut drawn = Drawn { index: series.index, line: Vec::new(), band: Vec::new() };
    for (value, lines) in &series.points {
        let Some(found) = swept.value(lines, metric) else { continue };
        let x = x(*value);
        drawn.line.push((x, y(found.value)));
        if let Some((low, high)) = found.band {
            drawn.band.push(((x, y(low)), (x, y(high))));
        }
    }
    drawn
}

/// Lines with their bands, without markers.
pub(super) fn draw_lines(canvas: &mut Canvas<'_>, drawn: &[Drawn]) {
    for series in drawn {
        draw_band(canvas, series);
    }
    for series in drawn {
        canvas.dashes(&series.line, dash(series.index), colour(series.index), STROKE);
    }
}

/// A veil between thin lines, which show where veils overlap.
fn draw_band(canvas: &mut Canvas<'_>, series: &Drawn) {
    let (low, high): (Vec<Point>, Vec<Point>) = series.band.iter().copied().unzip();
    if low == high {
        return;
    }
    let outline: Vec<Point> = low.iter().chain(high.iter().rev()).copied().collect();
    canvas.veil(&outline, colour(series.index));
    for edge in [low, high] {
        canvas.path(edge, colour(series.index), 1);
    }
}

fn corners(frame: Frame) -> [Point; 4] {
    let Frame { left, top, right, bottom } = frame;
    [(left, top), (right, top), (right, bottom), (left, bottom)]
}

/// Points of a line for markers: the first in each interval of the axis. The intervals of each of `count` lines begin
/// elsewhere, so that lines which coincide have their markers at different points.
fn thinned(line: &[Point], index: usize, count: usize) -> Vec<Point> {
    let spacing = (32 * count as i32).clamp(96, 224);
    let phase = spacing * index as i32 / count.max(1) as i32;
    let mut last = None;
    let mut starts = |&(x, _): &Point| {
        let interval = Some((x - phase).div_euclid(spacing));
        std::mem::replace(&mut last, interval) != interval
    };
    line.iter().copied().filter(|point| starts(point)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::results_table::tests::table;

    fn check(values: &[&str]) -> String {
        let lines: String = values.iter().enumerate().map(|(x, value)| format!("{},a,1,1,{value}\n", x + 1)).collect();
        let table = table(&format!("batch,strategy,samples,makespan_ms,samples_per_s\n{lines}"));
        let look = Look { width: Width::Column, ..Look::default() };
        lines_svg("t", &Swept::new(&table, None).unwrap(), Metric::Throughput, "throughput", &look)
    }

    #[test]
    fn values_that_cannot_be_drawn_are_left_out() {
        let markers = |svg: &str| svg.matches("<polygon").count();
        assert_eq!(markers(&check(&["3", "4"])), 3);
        for value in ["0", "-1", "1e300", "1e-300", ""] {
            assert_eq!(markers(&check(&["3", value, "4"])), 3, "{value}");
        }
        assert!(check(&["0", "0"]).contains("no data"));
    }

    #[test]
    fn lines_that_coincide_have_markers_at_different_points() {
        let line: Vec<Point> = (100..500).map(|x| (x, 0)).collect();
        let markers = |index| thinned(&line, index, 3).into_iter().map(|(x, _)| x).collect::<Vec<_>>();
        assert_eq!(markers(0), [100, 192, 288, 384, 480]);
        assert_eq!(markers(1), [100, 128, 224, 320, 416]);
        assert_eq!(markers(2), [100, 160, 256, 352, 448]);
    }
}
