//! Time against throughput or energy: which points of a sweep no other point of the strategy beats in both.

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{BELOW_TITLE, Canvas, Frame, MARGIN, Point, STROKE, Width, draw};
use super::front::{Better, front, steps};
use super::legend::Legend;
use super::lines::line_sample;
use super::metric::{Metric, pairs};
use super::style::{GREY, colour, dash};
use crate::output::ResultsTable;

/// What is drawn upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// More is better.
    Throughput,
    /// Less is better.
    Energy,
}

/// The figure: a marker a point and strategy, and a step line along those that are beaten by none of their strategy.
/// Points that are beaten have dots. Or what is missing.
pub(super) fn pareto_svg(title: &str, table: &ResultsTable, against: Against, width: Width) -> Result<String, String> {
    let time = if table.has("latency_p99_ms") { Metric::LatencyP99Ms } else { Metric::MakespanMs };
    let (other, better) = match against {
        Against::Throughput => (Metric::Throughput, Better::More),
        Against::Energy => (Metric::Energy, Better::Less),
    };
    let series = pairs(table, time, other);
    if series.iter().all(|points| points.len() < 2) {
        return Err(match against {
            Against::Throughput => "a sweep; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one",
            Against::Energy => "a sweep of a scenario whose devices have a power; `coinfer sweep SCENARIO` makes one",
        }
        .into());
    }
    let mut legend = Legend::default();
    for (index, name) in table.strategies.iter().enumerate().filter(|(index, _)| !series[*index].is_empty()) {
        legend.add(name, move |canvas, at| line_sample(canvas, at, index));
    }
    legend.add("dot: beaten by another", |canvas, (x, y)| dot(canvas, (x, y), 0));
    let all = series.iter().flatten();
    let (along, up) = (axis(all.clone().map(|point| point.0)), axis(all.map(|point| point.1)));
    let frame = Frame {
        left: up.room(),
        top: BELOW_TITLE,
        right: width.units() - along.overhang(),
        bottom: BELOW_TITLE + if width == Width::Column { 520 } else { 820 },
    };
    let below = frame.bottom + AXIS_BELOW;
    Ok(draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(title);
        along.draw(canvas, frame, Side::Bottom, time.title(table));
        up.draw(canvas, frame, Side::Left, other.title(table));
        canvas.outline(frame, GREY);
        let at = |(x, y): (f64, f64)| (frame.x(along.at(x)), frame.y(up.at(y)));
        for (index, points) in series.iter().enumerate() {
            // Dots that touch are one.
            let near = |(x, y): Point| (x / DOT * DOT, y / DOT * DOT);
            let mut dots: Vec<Point> = points.iter().map(|&point| near(at(point))).collect();
            dots.sort_unstable();
            dots.dedup();
            dots.into_iter().for_each(|place| dot(canvas, place, index));
        }
        let fronts: Vec<Vec<Point>> =
            series.iter().map(|points| front(points, better).into_iter().map(at).collect()).collect();
        for (index, front) in fronts.iter().enumerate() {
            canvas.dashes(&steps(front), dash(index), colour(index), STROKE);
        }
        for (index, front) in fronts.iter().enumerate() {
            let mut last: Option<Point> = None;
            for &place in front {
                // Markers that lie on each other hide what they mark.
                let is_apart = last.is_none_or(|(x, y)| (place.0 - x).abs().max((place.1 - y).abs()) > 24);
                if is_apart {
                    canvas.marker(place, index);
                    last = Some(place);
                }
            }
        }
        legend.draw(canvas, below, width);
    }))
}

/// Logarithmic if values differ widely.
pub(super) fn axis(values: impl Iterator<Item = f64> + Clone) -> Axis {
    let max = values.clone().fold(0.0, f64::max);
    let min = values.clone().fold(max, f64::min);
    match Axis::log(values) {
        Some(axis) if max > WIDE * min => axis,
        _ => Axis::new(max, 5),
    }
}

/// A wider range has a logarithmic axis.
const WIDE: f64 = 20.0;

fn dot(canvas: &mut Canvas<'_>, (x, y): Point, index: usize) {
    canvas.fill(Frame { left: x - DOT / 2, top: y - DOT / 2, right: x + DOT / 2, bottom: y + DOT / 2 }, colour(index));
}

/// Width of a dot.
const DOT: i32 = 6;
