//! Throughput and speed-up against the batch size, a line for each strategy.

use super::axis::{Axis, Side};
use super::canvas::{Anchor, Canvas, Frame, GREY, GRID, INK, LINE, Pixel, TEXT, colour, draw, text_width, widest};
use super::throughput_rows::ThroughputRow;
use super::{is_drawable, series};

/// The figure: throughput below with its axis on the left, speed-up dashed above with its axis on the right.
///
/// Batch sizes are on a binary logarithmic axis. Markers are thinned where points are dense.
pub fn throughput_svg(title: &str, rows: &[ThroughputRow]) -> String {
    let strategies = series(rows.iter().map(|row| row.strategy.as_str()));
    let names_width = widest(strategies.iter().copied()).min(260);
    let has_speedups = rows.iter().any(|row| row.speedup.is_some_and(is_drawable));
    let all = Frame { left: 90, top: 48, right: 740, bottom: 548.max(48 + LINE * (strategies.len() as i32 + 3)) };
    let legend = all.right + if has_speedups { 100 } else { 30 };
    let width = legend + 180.max(names_width + 60);
    draw((width, all.bottom + 60), |canvas| {
        canvas.title(title, width);
        let Some(batches) = Batches::new(rows) else {
            canvas.outline(all, GREY);
            canvas.no_data(all);
            return;
        };
        let cut = all.y(if has_speedups { 0.66 } else { 1.0 });
        let below = Frame { top: cut, ..all };
        let above = Frame { bottom: cut - 16, ..all };
        let rate = |row: &ThroughputRow| Some(row.samples_per_s);
        panel(canvas, below, Side::Left, "throughput (samples/s)", rows, &batches, &rate);
        if has_speedups {
            let speedup = |row: &ThroughputRow| row.speedup;
            panel(canvas, above, Side::Right, "speed-up", rows, &batches, &speedup);
        }
        batches.draw_axis(canvas, below);
        draw_legend(canvas, (legend, all.top + 10), &strategies, has_speedups, width);
    })
}

/// Draws one quantity of all strategies, with its axis.
fn panel(
    canvas: &mut Canvas<'_>,
    frame: Frame,
    side: Side,
    title: &str,
    rows: &[ThroughputRow],
    batches: &Batches,
    quantity: &dyn Fn(&ThroughputRow) -> Option<f64>,
) {
    let strategies = series(rows.iter().map(|row| row.strategy.as_str()));
    let shown = |row: &ThroughputRow| quantity(row).filter(|&value| is_drawable(value) && row.batch > 0);
    let axis = Axis::new(rows.iter().filter_map(shown).fold(0.0, f64::max), 5);
    batches.draw_grid(canvas, frame);
    if side == Side::Right {
        for &tick in &axis.ticks {
            canvas.line((frame.left, frame.y(axis.at(tick))), (frame.right, frame.y(axis.at(tick))), GRID, 1);
        }
    }
    axis.draw(canvas, frame, side, title);
    canvas.outline(frame, GREY);
    let lines = strategies.iter().map(|&strategy| {
        let mut rows: Vec<&ThroughputRow> = rows.iter().filter(|row| row.strategy == strategy).collect();
        rows.sort_by_key(|row| row.batch);
        let point = |row: &ThroughputRow| {
            let value = shown(row)?;
            Some((frame.x(batches.at(row.batch)), frame.y(axis.at(value))))
        };
        rows.into_iter().filter_map(point).collect::<Vec<Pixel>>()
    });
    let lines: Vec<Vec<Pixel>> = lines.collect();
    for (index, line) in lines.iter().enumerate() {
        match side {
            Side::Right => canvas.dashes(line, colour(index), (6.0, 3.0)),
            _ => canvas.path(line.clone(), colour(index), 2),
        }
    }
    for (index, line) in lines.iter().enumerate() {
        for point in thinned(line, index, lines.len()) {
            canvas.marker(point, index);
        }
    }
}

fn draw_legend(canvas: &mut Canvas<'_>, (x, mut y): Pixel, strategies: &[&str], has_speedups: bool, width: i32) {
    for (index, strategy) in strategies.iter().enumerate() {
        canvas.line((x, y), (x + 32, y), colour(index), 2);
        canvas.marker((x + 16, y), index);
        canvas.text(strategy, (x + 42, y), Anchor::Left, TEXT, INK, width - x - 46);
        y += LINE;
    }
    if has_speedups {
        y += LINE / 2;
        canvas.line((x, y), (x + 32, y), INK, 2);
        canvas.text("throughput", (x + 42, y), Anchor::Left, TEXT, INK, 200);
        y += LINE;
        canvas.dashes(&[(x, y), (x + 32, y)], INK, (6.0, 3.0));
        canvas.text("speed-up", (x + 42, y), Anchor::Left, TEXT, INK, 200);
    }
}

/// The axis of batch sizes: powers of two from `first` to `last`.
struct Batches {
    first: u32,
    last: u32,
}

impl Batches {
    /// `None` if nothing can be drawn.
    fn new(rows: &[ThroughputRow]) -> Option<Batches> {
        let drawn = |row: &&ThroughputRow| row.batch > 0 && is_drawable(row.samples_per_s);
        let batches = rows.iter().filter(drawn).map(|row| row.batch);
        let (min, max) = (batches.clone().min()?, batches.max()?);
        let (mut first, mut last) = (min.ilog2(), (max - 1).checked_ilog2().map_or(0, |power| power + 1));
        if first == last {
            first = first.saturating_sub(1);
            last += 1;
        }
        Some(Batches { first, last })
    }

    /// The share of the axis to the left of `batch`.
    fn at(&self, batch: u32) -> f64 {
        let power = f64::from(batch.max(1)).log2();
        ((power - f64::from(self.first)) / f64::from(self.last - self.first)).clamp(0.0, 1.0)
    }

    /// The positions and labels of ticks, as many as labels fit.
    fn ticks(&self, frame: Frame) -> impl Iterator<Item = (i32, String)> {
        let room = text_width(&(1u64 << self.last).to_string(), TEXT) + 12;
        let fit = (frame.width() / room).max(1) as u32;
        let (first, count) = (self.first, self.last - self.first);
        let every = (count + 1).div_ceil(fit).max(1);
        (0..=count).step_by(every as usize).map(move |index| {
            let share = f64::from(index) / f64::from(count);
            (frame.x(share), (1u64 << (first + index)).to_string())
        })
    }

    fn draw_grid(&self, canvas: &mut Canvas<'_>, frame: Frame) {
        for (x, _) in self.ticks(frame) {
            canvas.line((x, frame.top), (x, frame.bottom), GRID, 1);
        }
    }

    fn draw_axis(&self, canvas: &mut Canvas<'_>, frame: Frame) {
        for (x, label) in self.ticks(frame) {
            canvas.text(&label, (x, frame.bottom + 14), Anchor::Center, TEXT, INK, 100);
        }
        let at = (frame.middle().0, frame.bottom + 38);
        canvas.text("batch size (samples)", at, Anchor::Center, TEXT, INK, frame.width());
    }
}

/// Points of a line for markers: the first in each interval of the axis. The intervals of each of `count` lines begin
/// elsewhere, so that lines which coincide have their markers at different points.
fn thinned(line: &[Pixel], index: usize, count: usize) -> Vec<Pixel> {
    let spacing = (16 * count as i32).clamp(48, 112);
    let phase = spacing * index as i32 / count.max(1) as i32;
    let mut last = None;
    let mut starts = |&(x, _): &Pixel| {
        let interval = Some((x - phase).div_euclid(spacing));
        std::mem::replace(&mut last, interval) != interval
    };
    line.iter().copied().filter(|point| starts(point)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(batch: u32, strategy: &str, samples_per_s: f64, speedup: Option<f64>) -> ThroughputRow {
        ThroughputRow { batch, strategy: strategy.into(), samples_per_s, speedup }
    }

    #[test]
    fn values_that_cannot_be_drawn_are_left_out() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE] {
            let drawn = [row(4, "a", 10.0, Some(1.0)), row(8, "a", 20.0, Some(2.0))];
            let mut rows = drawn.to_vec();
            rows.insert(1, row(5, "a", value, Some(value)));
            assert_eq!(throughput_svg("t", &rows), throughput_svg("t", &drawn), "{value}");
            assert!(throughput_svg("t", &rows[1..2]).contains("no data"));
        }
        assert!(throughput_svg("t", &[]).contains("no data"));
        assert!(throughput_svg("t", &[row(0, "a", 1.0, None)]).contains("no data"));
    }

    #[test]
    fn lines_that_coincide_have_markers_at_different_points() {
        let line: Vec<Pixel> = (100..400).map(|x| (x, 0)).collect();
        let markers = |index| thinned(&line, index, 3).into_iter().map(|(x, _)| x).collect::<Vec<_>>();
        assert_eq!(markers(0), [100, 144, 192, 240, 288, 336, 384]);
        assert_eq!(markers(1), [100, 112, 160, 208, 256, 304, 352]);
        assert_eq!(markers(2), [100, 128, 176, 224, 272, 320, 368]);
    }

    #[test]
    fn every_range_of_batches_has_an_axis() {
        let ticks = |batches: &[u32]| -> Vec<String> {
            let rows: Vec<_> = batches.iter().map(|&batch| row(batch, "a", 1.0, None)).collect();
            let frame = Frame { left: 0, top: 0, right: 400, bottom: 300 };
            Batches::new(&rows).unwrap().ticks(frame).map(|(_, label)| label).collect()
        };
        assert_eq!(ticks(&[1]), ["1", "2"]);
        assert_eq!(ticks(&[8]), ["4", "8", "16"]);
        assert_eq!(ticks(&[3, 200]), ["2", "4", "8", "16", "32", "64", "128", "256"]);
        assert_eq!(ticks(&[1, u32::MAX]), ["1", "512", "262144", "134217728"]);
    }
}
