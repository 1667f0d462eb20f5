//! Who computes which share of the samples, over a swept setting.

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{Anchor, BELOW_TITLE, Canvas, Frame, LINE, MARGIN, Width, draw, text_width, widest};
use super::style::{GREY, is_dark, shade};
use super::swept::{Swept, SweptSeries};

/// The figure of one series: a row a device, a cell a value of the setting, darker for a larger share, with the share
/// in percent where there is room.
pub(super) fn split_heatmap_svg(
    title: &str,
    swept: &Swept<'_>,
    series: &SweptSeries<'_>,
    devices: &[&str],
    width: Width,
) -> String {
    let names = widest(devices.iter().copied()).min(width.units() / 4);
    let along = swept.cell_axis(width);
    let row = 64.max(240 / devices.len().max(1) as i32);
    let frame = Frame {
        left: MARGIN + names + 14,
        top: BELOW_TITLE,
        right: width.units() - along.overhang(),
        bottom: BELOW_TITLE + row * devices.len() as i32,
    };
    let cells = cells(&along, series, frame);
    let below = frame.bottom + AXIS_BELOW;
    draw(width, below + 2 * LINE + MARGIN, |canvas| {
        canvas.title(title);
        along.draw(canvas, frame, Side::Bottom, &swept.title);
        for (place, device) in devices.iter().enumerate() {
            let top = frame.top + row * place as i32;
            canvas.text(device, (frame.left - 12, top + row / 2), Anchor::Right, names);
            for (left, right, point) in &cells {
                let Some(share) = swept.share(&series.points[*point].1, device) else { continue };
                let cell = Frame { left: *left, right: *right, top, bottom: top + row };
                // The next cell covers what is too much; without it, viewers show seams.
                canvas.fill(Frame { right: (right + SEAM).min(frame.right), ..cell }, shade(share));
                let label = format!("{:.0}", share * 100.0);
                if text_width(&label) + 10 < cell.width() {
                    let write = if is_dark(shade(share)) { Canvas::white_text } else { Canvas::text };
                    write(canvas, &label, cell.middle(), Anchor::Center, cell.width());
                }
            }
            if place > 0 {
                canvas.line((frame.left, top), (frame.right, top), plotters::style::WHITE, 3);
            }
        }
        canvas.outline(frame, GREY);
        draw_scale(canvas, below, width);
    })
}

/// Cells reach so far below the next.
const SEAM: i32 = 3;

/// What each shade means.
fn draw_scale(canvas: &mut Canvas<'_>, top: i32, width: Width) {
    let title = "share of the samples (%)";
    let bar = 380;
    let left = (width.units() - bar - text_width(title) - 30) / 2;
    canvas.text(title, (left, top + LINE / 2), Anchor::Left, 700);
    let left = left + text_width(title) + 30;
    const STEPS: i32 = 50;
    for step in 0..STEPS {
        let at = |step: i32| left + bar * step / STEPS;
        let cell = Frame {
            left: at(step),
            right: (at(step + 1) + SEAM).min(left + bar),
            top: top + 6,
            bottom: top + LINE - 6,
        };
        canvas.fill(cell, shade(f64::from(step) / f64::from(STEPS - 1)));
    }
    canvas.outline(Frame { left, right: left + bar, top: top + 6, bottom: top + LINE - 6 }, GREY);
    for (share, label) in [(0, "0"), (1, "50"), (2, "100")] {
        canvas.text(label, (left + bar * share / 2, top + LINE + 12), Anchor::Center, 200);
    }
}

/// The left and right end of the cell of each point that has room for one; ends are halfway between points.
fn cells(along: &Axis, series: &SweptSeries<'_>, frame: Frame) -> Vec<(i32, i32, usize)> {
    let middles: Vec<i32> = series.points.iter().map(|(x, _)| frame.x(along.at(*x))).collect();
    let mut cells: Vec<(i32, i32, usize)> = Vec::new();
    for (index, &middle) in middles.iter().enumerate() {
        let half = |other: Option<&i32>| other.map_or(0, |other| (other - middle).abs() / 2);
        let (before, after) = (index.checked_sub(1).and_then(|before| middles.get(before)), middles.get(index + 1));
        let (lower, upper) = (half(before), half(after));
        let lower = if before.is_some() { lower } else { upper };
        let upper = if after.is_some() { upper } else { lower };
        let left = (middle - lower).max(frame.left).max(cells.last().map_or(0, |cell| cell.1));
        let right = (middle + upper.max(1)).min(frame.right);
        if right > left {
            cells.push((left, right, index));
        }
    }
    cells
}
