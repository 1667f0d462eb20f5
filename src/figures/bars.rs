//! Bars to the right, in groups with a name each: how speed-ups, finish times and breakdowns are drawn.

use plotters::style::WHITE;

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{Anchor, BELOW_TITLE, Canvas, Frame, LINE, MARGIN, THIN, Width, draw, text_width, widest};
use super::legend::{Legend, sample_box};
use super::style::{GREY, INK};

/// Bars that belong together.
pub(super) struct BarGroup {
    pub(super) name: String,
    pub(super) bars: Vec<Bar>,
}

/// A bar of pieces that follow each other from the left.
#[derive(Default)]
pub(super) struct Bar {
    /// Written to the left of it; empty if the colour tells what it is.
    pub(super) name: String,
    pub(super) pieces: Vec<BarPiece>,
    /// Written at its right end, or where it would begin.
    pub(super) label: String,
}

/// A part of a bar.
pub(super) struct BarPiece {
    pub(super) length: f64,
    /// Which paint of the chart it has.
    pub(super) paint: usize,
}

/// What bars have in common.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) axis: Axis,
    pub(super) axis_title: &'a str,
    /// Fills a frame as the piece with this paint.
    pub(super) paint: &'a dyn Fn(&mut Canvas<'_>, Frame, usize),
    /// Names of paints; no legend if empty.
    pub(super) paints: Vec<String>,
    /// A value marked by a line through all bars.
    pub(super) mark: Option<f64>,
}

/// Between groups.
const GAP: i32 = 18;

/// The figure, as high as the bars need.
pub(super) fn bars_svg(chart: &Chart<'_>, groups: &[BarGroup], width: Width) -> String {
    let mut legend = Legend::default();
    for (index, name) in chart.paints.iter().enumerate() {
        legend.add(name, move |canvas, at| {
            let sample = sample_box(at);
            (chart.paint)(canvas, sample, index);
            canvas.outline(sample, INK);
        });
    }
    let most = groups.iter().map(|group| group.bars.len()).max().unwrap_or(1);
    let bar_height = if most == 1 { 40 } else { 30 };
    let names_room = width.units() * 37 / 100;
    let has_bar_names = groups.iter().flat_map(|group| &group.bars).any(|bar| !bar.name.is_empty());
    let bar_names = match has_bar_names {
        true => (widest(groups.iter().flat_map(|group| &group.bars).map(|bar| bar.name.as_str())) + 10).min(names_room),
        false => 0,
    };
    let names = widest(groups.iter().map(|group| group.name.as_str())).min(names_room);
    let heights: i32 = groups.iter().map(|group| height(group, bar_height)).sum();
    let frame = Frame {
        left: MARGIN + names + bar_names + 20,
        top: BELOW_TITLE,
        right: width.units() - chart.axis.overhang(),
        bottom: BELOW_TITLE + heights.max(120) + GAP,
    };
    let below = frame.bottom + AXIS_BELOW;
    draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(chart.title);
        chart.axis.draw(canvas, frame, Side::Bottom, chart.axis_title);
        if let Some(mark) = chart.mark {
            let x = frame.x(chart.axis.at(mark));
            canvas.line((x, frame.top), (x, frame.bottom), INK, THIN);
        }
        let mut top = frame.top + GAP;
        for (index, group) in groups.iter().enumerate() {
            if index > 0 && most > 1 {
                canvas.line((MARGIN, top - GAP / 2), (frame.right, top - GAP / 2), GREY, 1);
            }
            let middle = top + (height(group, bar_height) - GAP) / 2;
            canvas.text(&group.name, (frame.left - bar_names - 12, middle), Anchor::Right, names);
            for (place, bar) in group.bars.iter().enumerate() {
                let top = top + place as i32 * bar_height;
                let row = Frame { top: top + 2, bottom: top + bar_height - 2, ..frame };
                draw_bar(canvas, chart, bar, row, bar_names - 10);
            }
            top += height(group, bar_height);
        }
        canvas.outline(frame, GREY);
        if groups.is_empty() {
            canvas.no_data(frame);
        }
        legend.draw(canvas, below, width);
    })
}

fn height(group: &BarGroup, bar_height: i32) -> i32 {
    (group.bars.len() as i32 * bar_height).max(LINE) + GAP
}

fn draw_bar(canvas: &mut Canvas<'_>, chart: &Chart<'_>, bar: &Bar, row: Frame, name_room: i32) {
    let middle = row.middle().1;
    if !bar.name.is_empty() {
        canvas.text(&bar.name, (row.left - 10, middle), Anchor::Right, name_room);
    }
    let mut reached = 0.0;
    let mut right = row.left;
    for piece in &bar.pieces {
        let left = right;
        reached += piece.length;
        right = row.x(chart.axis.at(reached));
        if right > left {
            let frame = Frame { left, right, ..row };
            (chart.paint)(canvas, frame, piece.paint);
            canvas.outline(frame, INK);
        }
    }
    if !bar.label.is_empty() {
        // Lines of the grid and of the mark end before the label.
        let room = text_width(&bar.label);
        canvas.fill(Frame { left: right + 6, right: right + 8 + room, top: middle - 13, bottom: middle + 13 }, WHITE);
        canvas.text(&bar.label, (right + 8, middle), Anchor::Left, room);
    }
}
