//! What results owe to constants, the largest effect on top: bars to both sides of what they are as things stand.

use plotters::style::WHITE;

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{Anchor, BELOW_TITLE, Canvas, Frame, LINE, MARGIN, STROKE, THIN, Width, draw, text_width, widest};
use super::is_drawable;
use super::legend::{Legend, sample_box};
use super::style::{GREY, GRID, Hatching, INK, colour};
use crate::output::{Effect, Gauge};

/// The figure of one strategy's effects, a row a constant in the order given.
pub fn tornado_svg(title: &str, effects: &[&Effect], width: Width) -> String {
    let effects: Vec<&Effect> = effects.iter().copied().take(super::SERIES_MAX).collect();
    let gauge = effects.first().map_or(Gauge::Speedup, |effect| effect.gauge);
    let percent = effects.first().map_or(0, |effect| effect.percent);
    let base = effects.iter().find_map(|effect| known(effect.figures[1]));
    let mut legend = Legend::default();
    for (end, word) in ["less", "more"].into_iter().enumerate() {
        legend.add(format!("constant {percent} % {word}"), move |canvas, at| {
            paint(canvas, sample_box(at), end);
        });
    }
    let names_room = width.units() * 40 / 100;
    let ranges: Vec<String> = effects.iter().map(|effect| range(effect)).collect();
    let names = effects.iter().map(|effect| effect.key.as_str()).chain(ranges.iter().map(String::as_str));
    let names = widest(names).min(names_room);
    let left = MARGIN + names + 20;
    let axis = axis(&effects, width.units() - MARGIN - left);
    // Above the bars stands what the line in their middle is.
    let top = BELOW_TITLE + LINE;
    let bottom = top + (effects.len() as i32 * ROW).max(120) + GAP;
    let frame = Frame { left, top, right: width.units() - axis.overhang(), bottom };
    let below = frame.bottom + AXIS_BELOW;
    draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(title);
        axis.draw(
            canvas,
            frame,
            Side::Bottom,
            match gauge {
                Gauge::Speedup => "speed-up over the baseline",
                Gauge::MakespanMs => "makespan (ms)",
            },
        );
        for (index, (effect, range)) in effects.iter().zip(&ranges).enumerate() {
            let row = Frame {
                top: frame.top + GAP + index as i32 * ROW,
                bottom: frame.top + (index as i32 + 1) * ROW,
                ..frame
            };
            let middle = row.middle().1;
            canvas.text(&effect.key, (frame.left - 12, middle - LINE / 2 + 2), Anchor::Right, names);
            canvas.text(range, (frame.left - 12, middle + LINE / 2 - 2), Anchor::Right, names);
            draw_bars(canvas, effect, &axis, row);
        }
        canvas.outline(frame, GREY);
        match base {
            Some(base) => draw_base(canvas, gauge, base, &axis, frame),
            None => canvas.no_data(frame),
        }
        legend.draw(canvas, below, width);
    })
}

/// Height of a row and what is free between two bars.
const ROW: i32 = 86;
const GAP: i32 = 18;
/// Height of a bar that has its row to itself, and of one of two.
const BAR: i32 = 44;
const HALF_BAR: i32 = 30;
/// The widest label beside a bar.
const LABEL: &str = "+100.0 %";

fn known(figure: Option<f64>) -> Option<f64> {
    figure.filter(|&figure| is_drawable(figure))
}

/// The constant's values with their unit once, if they have the same.
fn range(effect: &Effect) -> String {
    let [low, _, high] = &effect.values;
    let unit = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit() || "._+-".contains(c)).to_owned();
    match low.strip_suffix(&unit(high)) {
        Some(number) if unit(low) == unit(high) => format!("{number} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

/// From the smallest to the largest figure, with room for labels beside bars in a frame of about this width.
fn axis(effects: &[&Effect], width: i32) -> Axis {
    let figures = effects.iter().flat_map(|effect| effect.figures).filter_map(known);
    let Some((min, max)) = figures.clone().reduce(f64::min).zip(figures.reduce(f64::max)) else {
        return Axis::new(1.0, 5);
    };
    let label = f64::from(text_width(LABEL) + 16);
    let bars = (f64::from(width) - 2.0 * label).max(f64::from(width) / 4.0);
    // Without any effect the line still stands in the middle.
    let span = (max - min).max(max * 1e-3);
    let margin = span * label / bars;
    Axis::between((min - margin).max(0.0), max + margin, 5)
}

fn paint(canvas: &mut Canvas<'_>, frame: Frame, end: usize) {
    match end {
        0 => canvas.hatched_box(frame, colour(0), Hatching::None),
        _ => canvas.hatched_box(frame, GRID, Hatching::Rising),
    }
    canvas.outline(frame, INK);
}

/// The bars of a constant: in one line if they go to different sides, or below each other.
fn draw_bars(canvas: &mut Canvas<'_>, effect: &Effect, axis: &Axis, row: Frame) {
    let Some(base) = known(effect.figures[1]) else { return };
    let middle = row.middle().1;
    let ends = [known(effect.figures[0]), known(effect.figures[2])];
    let is_apart = match ends {
        [Some(low), Some(high)] => (low - base) * (high - base) < 0.0,
        _ => false,
    };
    if ends == [Some(base), Some(base)] {
        return draw_label(canvas, "no effect", row, (row.x(axis.at(base)), middle), true);
    }
    for (end, (figure, change)) in ends.into_iter().zip(effect.changes()).enumerate() {
        let (top, bottom) = match (is_apart, end) {
            (true, _) => (middle - BAR / 2, middle + BAR / 2),
            (false, 0) => (middle - HALF_BAR, middle),
            (false, _) => (middle, middle + HALF_BAR),
        };
        let from = row.x(axis.at(base));
        let Some((figure, change)) = figure.zip(change) else {
            draw_label(canvas, "no result", row, (from, (top + bottom) / 2), true);
            continue;
        };
        let to = row.x(axis.at(figure));
        if from != to {
            paint(canvas, Frame { left: from.min(to), right: from.max(to), top, bottom }, end);
        }
        let is_right = if figure == base { end == 1 } else { figure > base };
        draw_label(canvas, &label(change), row, (to, (top + bottom) / 2), is_right);
    }
}

/// A change in percent, with as many digits as tell it from none.
fn label(change: f64) -> String {
    match change.abs() {
        size if size >= 0.05 => format!("{change:+.1} %"),
        size if size > 0.0 => format!("{change:+.0e} %"),
        _ => "0 %".to_owned(),
    }
}

/// A label to the right or the left of a bar that ends at a point; lines of the grid end before it.
fn draw_label(canvas: &mut Canvas<'_>, text: &str, row: Frame, (x, y): (i32, i32), is_right: bool) {
    let room = text_width(text);
    let left = if is_right { (x + 8).min(row.right - room - 4) } else { (x - 8 - room).max(row.left + 4) };
    canvas.fill(Frame { left, right: left + room, top: y - 13, bottom: y + 13 }, WHITE);
    let at = if is_right { (left, Anchor::Left) } else { (left + room, Anchor::Right) };
    canvas.text(text, (at.0, y), at.1, room);
}

/// The line of what the figure is as things stand, and that figure above it.
fn draw_base(canvas: &mut Canvas<'_>, gauge: Gauge, base: f64, axis: &Axis, frame: Frame) {
    let x = frame.x(axis.at(base));
    canvas.line((x, frame.top - 4), (x, frame.bottom), INK, if frame.width() > 1000 { STROKE } else { THIN + 1 });
    let text = match gauge {
        Gauge::Speedup => format!("as it stands: {base:.2}"),
        Gauge::MakespanMs => format!("as it stands: {base:.1} ms"),
    };
    let half = text_width(&text) / 2;
    let middle = x.clamp(MARGIN + half, (frame.right - half).max(MARGIN + half));
    canvas.text(&text, (middle, frame.top - LINE / 2 - 4), Anchor::Center, 2 * half + 2);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::output::sensitivity::tests::effect;

    #[test]
    fn a_unit_is_written_once() {
        let range_of = |low: &str, high: &str| {
            let mut effect = effect("s", "k", [None; 3]);
            (effect.values[0], effect.values[2]) = (low.to_owned(), high.to_owned());
            range(&effect)
        };
        assert_eq!(range_of("7.76 GMAC/s", "11.64 GMAC/s"), "7.76 to 11.64 GMAC/s");
        assert_eq!(range_of("4", "6"), "4 to 6");
        assert_eq!(range_of("1 s", "5 ms"), "1 s to 5 ms");
    }

    #[test]
    fn bars_to_the_same_side_lie_below_each_other() {
        let svg = |figures| tornado_svg("t", &[&effect("s", "k", figures)], Width::Column);
        let bar_tops = |svg: &str| {
            let bars = svg.lines().filter(|line| line.contains("#282828") && line.starts_with("<rect"));
            let top = |line: &str| line.split(" y=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            bars.map(top).take(2).collect::<Vec<_>>()
        };
        let apart = bar_tops(&svg([Some(1.0), Some(2.0), Some(3.0)]));
        assert_eq!(apart[0], apart[1]);
        let same = bar_tops(&svg([Some(1.5), Some(2.0), Some(1.0)]));
        assert_ne!(same[0], same[1]);
        assert!(svg([Some(2.0); 3]).contains("no effect"));
        assert!(svg([Some(1.0), Some(2.0), None]).contains("no result"));
        assert!(svg([Some(1.0), None, None]).contains("no data"));
    }

    proptest! {
        #[test]
        fn any_effects_are_drawn(figures in proptest::collection::vec(proptest::array::uniform3(proptest::option::of(proptest::num::f64::POSITIVE)), 0..6)) {
            let effects: Vec<Effect> = figures.into_iter().map(|figures| effect("s", "a.b", figures)).collect();
            let effects: Vec<&Effect> = effects.iter().collect();
            for width in [Width::Column, Width::Page] {
                let svg = tornado_svg("t", &effects, width);
                prop_assert!(svg.ends_with("</svg>\n") && !svg.contains("=\"NaN"), "{}", svg);
            }
        }
    }
}
