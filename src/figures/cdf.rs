//! Which share of the queries was answered within a time.

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{Anchor, BELOW_TITLE, Frame, MARGIN, Point, STROKE, THIN, Width, draw, text_width};
use super::is_drawable;
use super::legend::{Legend, SAMPLE};
use super::style::{GREY, INK, colour, dash};
use crate::output::{LatencyRow, percentile};

/// A strategy's latencies, and its place among all.
pub(super) struct Latencies<'a> {
    pub(super) name: &'a str,
    pub(super) index: usize,
    pub(super) rows: &'a [LatencyRow],
}

/// The figure: a step line a strategy, with a marker at its median and one at its 99th percentile. The axis of times
/// is logarithmic if they differ widely.
pub(super) fn cdf_svg(title: &str, all: &[Latencies<'_>], width: Width) -> String {
    let mut legend = Legend::default();
    for latencies in all {
        let index = latencies.index;
        legend.add(latencies.name, move |canvas, (x, y)| {
            canvas.dashes(&[(x - SAMPLE / 2, y), (x + SAMPLE / 2, y)], dash(index), colour(index), STROKE);
            canvas.marker((x, y), index);
        });
    }
    let values: Vec<f64> = all
        .iter()
        .flat_map(|latencies| latencies.rows)
        .filter(|row| row.count > 0 && is_drawable(row.latency_ms))
        .map(|row| row.latency_ms)
        .collect();
    let max = values.iter().copied().fold(0.0, f64::max);
    let min = values.iter().copied().fold(max, f64::min);
    let along = match Axis::log(values.iter().copied()) {
        Some(axis) if max > WIDE * min => axis,
        _ => Axis::new(max, 6),
    };
    let up = Axis::new(1.0, 5);
    let frame = Frame {
        left: up.room(),
        top: BELOW_TITLE,
        right: width.units() - along.overhang().max(MARGIN + text_width("p99")),
        bottom: BELOW_TITLE + if width == Width::Column { 500 } else { 760 },
    };
    let below = frame.bottom + AXIS_BELOW;
    draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(title);
        along.draw(canvas, frame, Side::Bottom, "latency (ms)");
        up.draw(canvas, frame, Side::Left, "share of queries");
        for (name, share) in MARKS {
            let y = frame.y(up.at(share));
            canvas.dashes(&[(frame.left, y), (frame.right, y)], &[4.0, 6.0], INK, THIN);
            canvas.text(name, (frame.right + 8, y), Anchor::Left, 200);
        }
        canvas.outline(frame, GREY);
        for latencies in all {
            let steps = steps(latencies.rows, frame, &along, &up);
            canvas.dashes(&steps, dash(latencies.index), colour(latencies.index), STROKE);
        }
        for latencies in all {
            for (_, share) in MARKS {
                if let Some(latency) = percentile(latencies.rows, share) {
                    canvas.marker((frame.x(along.at(latency)), frame.y(up.at(share))), latencies.index);
                }
            }
        }
        if values.is_empty() {
            canvas.no_data(frame);
        }
        legend.draw(canvas, below, width);
    })
}

/// Where markers are.
const MARKS: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];
/// A wider range has a logarithmic axis.
const WIDE: f64 = 20.0;

/// The corners of the step line.
fn steps(rows: &[LatencyRow], frame: Frame, along: &Axis, up: &Axis) -> Vec<Point> {
    let all: f64 = rows.iter().map(|row| row.count as f64).sum();
    let mut reached = 0.0;
    let mut corners: Vec<Point> = Vec::new();
    for row in rows.iter().filter(|row| row.count > 0) {
        let x = frame.x(along.at(row.latency_ms));
        corners.push((x, frame.y(up.at(reached / all))));
        reached += row.count as f64;
        corners.push((x, frame.y(up.at(reached / all))));
    }
    if let Some(&(_, y)) = corners.last() {
        corners.push((frame.right, y));
    }
    corners.dedup();
    corners
}
