//! Axes from zero to a round value, and where values lie on them.

use super::canvas::{Anchor, Canvas, Frame, GREY, GRID, INK, Pixel, TEXT};

/// An axis from 0 to a round value, with ticks at round values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// Values of the ticks, ascending from 0; at least two.
    pub(super) ticks: Vec<f64>,
    decimals: usize,
}

/// On which side of its frame an axis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    Bottom,
}

impl Axis {
    /// An axis that reaches `max` with about `count` ticks. One up to 1 if `max` is not a positive number.
    pub(super) fn new(max: f64, count: u32) -> Axis {
        let max = if super::is_drawable(max) { max } else { 1.0 };
        let rough = max / f64::from(count.max(1));
        let power = rough.log10().floor();
        let unit = 10f64.powf(power);
        let multiple = [1.0, 2.0, 5.0].into_iter().find(|&multiple| multiple * unit >= rough * 0.999);
        let step = multiple.unwrap_or(10.0) * unit;
        let last = (max / step * 0.999_999).ceil().clamp(1.0, 100.0) as u32;
        Axis {
            ticks: (0..=last).map(|index| f64::from(index) * step).collect(),
            decimals: (-step.log10().floor()).clamp(0.0, 12.0) as usize,
        }
    }

    /// The share of the axis below `value`.
    pub(super) fn at(&self, value: f64) -> f64 {
        (value / self.max()).clamp(0.0, 1.0)
    }

    /// Draws ticks, their labels and the axis' title; grid lines too, but not for an axis on the right.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, frame: Frame, side: Side, title: &str) {
        for &tick in &self.ticks {
            let label = self.label(tick);
            let y = frame.y(self.at(tick));
            let x = frame.x(self.at(tick));
            let (from, to, at, anchor): (Pixel, Pixel, Pixel, Anchor) = match side {
                Side::Left => ((frame.left, y), (frame.right, y), (frame.left - 8, y), Anchor::Right),
                Side::Right => ((frame.right, y), (frame.right + 4, y), (frame.right + 8, y), Anchor::Left),
                Side::Bottom => ((x, frame.top), (x, frame.bottom), (x, frame.bottom + 14), Anchor::Center),
            };
            canvas.line(from, to, if side == Side::Right { GREY } else { GRID }, 1);
            canvas.text(&label, at, anchor, TEXT, INK, 100);
        }
        let (center, middle) = frame.middle();
        match side {
            Side::Left => canvas.text(title, (frame.left - 70, middle), Anchor::Upward, TEXT, INK, frame.height()),
            Side::Right => canvas.text(title, (frame.right + 62, middle), Anchor::Downward, TEXT, INK, frame.height()),
            Side::Bottom => {
                canvas.text(title, (center, frame.bottom + 38), Anchor::Center, TEXT, INK, frame.width());
            }
        }
    }

    /// Steps of 1, 2 or 5 times a power of ten need no more than two digits in the exponential form.
    fn label(&self, tick: f64) -> String {
        match tick {
            0.0 => "0".to_owned(),
            _ if self.max() >= 1e6 || self.decimals > 4 => format!("{tick:.1e}"),
            _ => format!("{tick:.*}", self.decimals),
        }
    }

    fn max(&self) -> f64 {
        self.ticks.last().copied().unwrap_or(1.0)
    }
}

impl Frame {
    /// The pixel at a share of the width, from the left.
    pub(super) fn x(self, share: f64) -> i32 {
        self.left + (f64::from(self.width()) * share).round() as i32
    }

    /// The pixel at a share of the height, from below.
    pub(super) fn y(self, share: f64) -> i32 {
        self.bottom - (f64::from(self.height()) * share).round() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(max: f64) -> Vec<f64> {
        Axis::new(max, 5).ticks
    }

    #[test]
    fn ticks_are_round_and_reach_the_largest_value() {
        assert_eq!(ticks(103.0), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(ticks(100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(4.1), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn labels_are_short() {
        let labels = |max: f64| {
            let axis = Axis::new(max, 3);
            axis.ticks.iter().map(|&tick| axis.label(tick)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(0.3), "0 0.1 0.2 0.3");
        assert_eq!(labels(53.2), "0 20 40 60");
        assert_eq!(labels(2.5e9), "0 1.0e9 2.0e9 3.0e9");
        assert_eq!(labels(3e-7), "0 1.0e-7 2.0e-7 3.0e-7");
    }

    #[test]
    fn a_degenerate_range_has_an_axis_too() {
        for max in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            assert_eq!(Axis::new(max, 5), Axis::new(1.0, 5), "{max}");
        }
        for max in [1e-9, 1e-6, 9.99e14] {
            assert!(ticks(max).len() > 2 && ticks(max).last() >= Some(&(max * 0.999)), "{max}");
        }
    }
}
