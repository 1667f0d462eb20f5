//! Linear and logarithmic axes with ticks at round values, and where values lie on them.

use super::canvas::{Anchor, BELOW_TITLE, Canvas, Frame, LINE, MARGIN, TEXT, THIN, text_width, widest};
use super::style::{GREY, GRID};

/// An axis with ticks at round values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    scale: AxisScale,
    /// Values and labels, ascending; at least two.
    ticks: Vec<(f64, String)>,
}

/// The ends of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AxisScale {
    Linear(f64, f64),
    /// Both positive.
    Log(f64, f64),
}

/// On which side of its frame an axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    Bottom,
}

impl Axis {
    /// An axis from 0 to a round value that reaches `max`, with about `count` ticks. One up to 1 if `max` is not a
    /// positive number.
    pub(super) fn new(max: f64, count: u32) -> Axis {
        let max = if super::is_drawable(max) { max } else { 1.0 };
        Axis::between(0.0, max, count)
    }

    /// An axis between round values that has both; from 0 if `min` is nearer to that than to `max`.
    pub(super) fn between(min: f64, max: f64, count: u32) -> Axis {
        let min = if (0.0..=max / 2.0).contains(&min) { 0.0 } else { min };
        let width = if max > min { max - min } else { max.abs().max(1.0) };
        let rough = width / f64::from(count.max(1));
        let unit = 10f64.powf(rough.log10().floor());
        let multiple = [1.0, 2.0, 5.0].into_iter().find(|&multiple| multiple * unit >= rough * 0.999);
        let step = multiple.unwrap_or(10.0) * unit;
        // Rounding must not add a tick beyond a round end.
        let first = (min / step + 1e-6).floor();
        let last = (max / step - 1e-6).ceil().clamp(first + 1.0, first + 100.0);
        let ticks: Vec<f64> = (0..=(last - first) as u32).map(|index| (first + f64::from(index)) * step).collect();
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let size = ticks.iter().fold(0.0, |size: f64, tick| size.max(tick.abs()));
        let is_exponential = size >= 1e6 || decimals > 4;
        let label = |tick: f64| match tick {
            0.0 => "0".to_owned(),
            _ if is_exponential => format!("{tick:.1e}").replace(".0e", "e"),
            _ => format!("{tick:.decimals$}"),
        };
        Axis {
            scale: AxisScale::Linear(first * step, last * step),
            ticks: ticks.iter().map(|&t| (t, label(t))).collect(),
        }
    }

    /// A logarithmic axis between round values that has all `values`, which must be drawable; `None` if there are
    /// none.
    pub(super) fn log(values: impl Iterator<Item = f64> + Clone) -> Option<Axis> {
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
        let ticks: Vec<(f64, String)> = round[first..=last].iter().map(|&tick| (tick, short(tick))).collect();
        Some(Axis { scale: AxisScale::Log(round[first], round[last]), ticks })
    }

    /// A logarithmic axis with ticks at `values`, which are drawable and ascending, and a part `margin` of it free
    /// on either side.
    pub(super) fn log_at(values: &[f64], margin: f64) -> Axis {
        let (min, max) = (values.first().copied().unwrap_or(1.0), values.last().copied().unwrap_or(2.0));
        let margin = (max / min).powf(margin).max(1.05);
        let ticks = values.iter().map(|&value| (value, short(value))).collect();
        Axis { scale: AxisScale::Log(min / margin, max * margin), ticks }
    }

    /// An axis with as much room for each of `values`, however far apart they are: the value at `index` is at half past
    /// `index`.
    pub(super) fn categories(values: &[f64]) -> Axis {
        let ticks = values.iter().enumerate().map(|(index, &value)| (index as f64 + 0.5, short(value))).collect();
        Axis { scale: AxisScale::Linear(0.0, values.len() as f64), ticks }
    }

    /// The share of the axis below `value`, from 0 to 1.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = match self.scale {
            AxisScale::Linear(from, to) => (value - from) / (to - from),
            AxisScale::Log(from, _) => self.share_of(value / from),
        };
        share.clamp(0.0, 1.0)
    }

    /// The share of a logarithmic axis that a factor takes; 0 of a linear one.
    pub(super) fn share_of(&self, factor: f64) -> f64 {
        match self.scale {
            AxisScale::Linear(..) => 0.0,
            AxisScale::Log(from, to) => factor.ln() / (to / from).ln(),
        }
    }

    /// How much is needed on the left or the right of a frame for this axis and its title.
    pub(super) fn room(&self) -> i32 {
        MARGIN + LINE + 12 + widest(self.ticks.iter().map(|(_, label)| label.as_str()))
    }

    /// How far the last label reaches beyond the right end of an axis at the bottom, and what stays free.
    pub(super) fn overhang(&self) -> i32 {
        let last = self.ticks.last().map_or(0, |(_, label)| text_width(label));
        MARGIN + (last / 2 - 6).max(6)
    }

    /// Draws ticks, their labels, the grid and the axis' title.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, frame: Frame, side: Side, title: &str) {
        self.draw_grid(canvas, frame, side);
        self.draw_labels(canvas, frame, side, title);
    }

    /// Draws the labels of ticks and the axis' title.
    pub(super) fn draw_labels(&self, canvas: &mut Canvas<'_>, frame: Frame, side: Side, title: &str) {
        let (center, middle) = frame.middle();
        for (tick, label) in self.labels(frame, side) {
            let share = self.at(*tick);
            let (at, anchor) = match side {
                Side::Left => ((frame.left - 10, frame.y(share)), Anchor::Right),
                Side::Right => ((frame.right + 10, frame.y(share)), Anchor::Left),
                Side::Bottom => ((frame.x(share), frame.bottom + 22), Anchor::Center),
            };
            canvas.text(label, at, anchor, 300);
        }
        let aside = self.room() - MARGIN - TEXT / 2;
        match side {
            Side::Left => canvas.text(title, (frame.left - aside, middle), Anchor::Upward, frame.height() + 60),
            // What is too long for a part of the figure goes on beside the part below.
            Side::Right => {
                let room = 3 * frame.height();
                let y = middle.max(BELOW_TITLE + text_width(title).min(room) / 2);
                canvas.text(title, (frame.right + aside, y), Anchor::Upward, room);
            }
            Side::Bottom => canvas.text(title, (center, frame.bottom + 60), Anchor::Center, frame.width() + 60),
        }
    }

    /// Draws the lines at ticks.
    pub(super) fn draw_grid(&self, canvas: &mut Canvas<'_>, frame: Frame, side: Side) {
        for (tick, _) in self.labels(frame, side) {
            let (x, y) = (frame.x(self.at(*tick)), frame.y(self.at(*tick)));
            match side {
                Side::Left | Side::Right => canvas.line((frame.left, y), (frame.right, y), GRID, THIN),
                Side::Bottom => {
                    canvas.line((x, frame.top), (x, frame.bottom), GRID, THIN);
                    canvas.line((x, frame.bottom), (x, frame.bottom + 6), GREY, THIN);
                }
            }
        }
    }

    /// The ticks whose labels do not touch: every first, second, third... of all.
    fn labels(&self, frame: Frame, side: Side) -> impl Iterator<Item = &(f64, String)> {
        let extent = |tick: &(f64, String)| match side {
            Side::Left | Side::Right => (frame.bottom - frame.y(self.at(tick.0)), LINE),
            Side::Bottom => (frame.x(self.at(tick.0)), text_width(&tick.1) + 14),
        };
        let is_free = |every: &usize| {
            let shown: Vec<(i32, i32)> = self.ticks.iter().step_by(*every).map(extent).collect();
            shown.windows(2).all(|pair| pair[1].0 - pair[0].0 >= (pair[0].1 + pair[1].1) / 2)
        };
        let every = (1..self.ticks.len()).find(is_free).unwrap_or(self.ticks.len().max(1));
        self.ticks.iter().step_by(every)
    }
}

/// How much is needed below a frame for an axis and its title.
pub(super) const AXIS_BELOW: i32 = 84;

/// The value in at most four digits, or as a power of ten.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let decimals = (2.0 - size.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> String {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_reach_the_largest_value() {
        assert_eq!(labels(&Axis::new(103.0, 5)), "0 50 100 150");
        assert_eq!(labels(&Axis::new(100.0, 5)), "0 20 40 60 80 100");
        assert_eq!(labels(&Axis::new(0.3, 3)), "0 0.1 0.2 0.3");
        assert_eq!(labels(&Axis::new(2.5e9, 3)), "0 1e9 2e9 3e9");
        assert_eq!(labels(&Axis::new(3e-7, 3)), "0 1e-7 2e-7 3e-7");
        assert_eq!(labels(&Axis::between(1.0, 200.0, 4)), "0 50 100 150 200");
        assert_eq!(labels(&Axis::between(94.0, 99.0, 5)), "94 95 96 97 98 99");
        assert_eq!(labels(&Axis::between(-3.0, 2.0, 5)), "-3 -2 -1 0 1 2");
    }

    #[test]
    fn a_degenerate_range_has_an_axis_too() {
        for max in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            assert_eq!(Axis::new(max, 5), Axis::new(1.0, 5), "{max}");
        }
        assert!(Axis::between(7.0, 7.0, 5).ticks.len() > 1);
        for max in [1e-9, 1e-6, 9.99e14] {
            let axis = Axis::new(max, 5);
            assert!(axis.ticks.len() > 2 && axis.at(max) <= 1.0, "{max}");
        }
    }

    #[test]
    fn logarithmic_ticks_are_round_and_enclose_all_values() {
        let log = |values: &[f64]| Axis::log(values.iter().copied()).unwrap();
        assert_eq!(labels(&log(&[7.0, 90.0])), "5 10 20 50 100");
        assert_eq!(labels(&log(&[10.0])), "5 10 20");
        assert_eq!(labels(&log(&[0.2, 900.0])), "0.1 0.3 1 3 10 30 100 300 1000");
        for values in [[1e-9, 9.9e14], [1e-9, 1.1e-9], [9e14, 9.9e14]] {
            let ticks = log(&values).ticks;
            assert!(ticks.len() > 1 && ticks.len() < 16, "{ticks:?}");
            assert!(ticks[0].0 <= values[0] && ticks[ticks.len() - 1].0 >= values[1], "{ticks:?}");
        }
        assert_eq!(Axis::log([].into_iter()), None);
    }

    #[test]
    fn labels_that_would_touch_are_left_out_evenly() {
        let values: Vec<f64> = (0..20).map(|power| f64::from(1 << power)).collect();
        let frame = Frame { left: 0, top: 0, right: 600, bottom: 300 };
        let axis = Axis::log_at(&values, 0.03);
        let shown: Vec<&str> = axis.labels(frame, Side::Bottom).map(|(_, label)| label.as_str()).collect();
        assert_eq!(shown, ["1", "16", "256", "4096", "65536"]);
    }

    #[test]
    fn labels_are_short() {
        let shown = [0.001, 0.2, 5.0, 1000.0, 1e6, 1e-5, 2.34567, 1234.5].map(short);
        assert_eq!(shown, ["0.001", "0.2", "5", "1000", "1e6", "1e-5", "2.35", "1234"]);
    }
}
