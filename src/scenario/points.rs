//! The points of a sweep, made as they are asked for: a sweep may have a million.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One combination of a sweep's values.
#[derive(Clone, Debug)]
pub struct Point {
    settings: Vec<(Arc<str>, Arc<str>)>,
    /// The index of the value on each axis.
    choice: Vec<u32>,
}

impl Point {
    /// Each path of the sweep and its value here, in the sweep's order.
    pub fn settings(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.settings
    }

    /// The index of the value on each axis.
    pub(super) fn choice(&self) -> &[u32] {
        &self.choice
    }
}

/// What a point is made of, its sweep's other points aside: equal if the scenario says the same there, its files have
/// the same contents, whatever they are called and wherever values stand, and this program computes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PointKey(pub(super) [u8; 16]);

impl fmt::Display for PointKey {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for PointKey {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<PointKey, Self::Err> {
        u128::from_str_radix(text, 16).map(|number| PointKey(number.to_be_bytes()))
    }
}

/// Every so manieth point of a sweep, for sharing it among machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stride {
    /// Index of the first point, less than `count`.
    pub first: usize,
    /// How many points further the next one is; at least 1.
    pub count: usize,
}

impl Stride {
    /// All points.
    pub const ALL: Stride = Stride { first: 0, count: 1 };
}

/// Points that are sound, in order.
#[derive(Clone, Debug)]
pub struct Points {
    choices: Choices,
    stride: Stride,
    keys: Vec<PointKey>,
}

impl Points {
    pub(super) fn new(choices: Choices, stride: Stride, keys: Vec<PointKey>) -> Points {
        Points { choices, stride, keys }
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none, since a stride goes beyond the sweep.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of points of the whole sweep.
    pub fn sweep_len(&self) -> usize {
        self.choices.len()
    }

    /// The index in the whole sweep of the point at `position` here.
    pub fn index(&self, position: usize) -> usize {
        self.stride.first + position * self.stride.count
    }

    /// The point at `position`, which is less than [`Points::len`].
    pub fn point(&self, position: usize) -> Point {
        self.choices.point(self.index(position))
    }

    /// What the point at `position` is made of.
    pub fn key(&self, position: usize) -> PointKey {
        self.keys[position]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Point> {
        (0..self.len()).map(|position| self.point(position))
    }
}

/// Values of axes and the combinations of them that are not excluded.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    /// The name of each axis and the texts of its values.
    axes: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// The number of values of each axis of the grid, and of those that advance together.
    sizes: Vec<usize>,
    /// How many of `axes` are of the grid.
    grid_count: usize,
    /// Indices of combinations in the order in which the last axis is the fastest.
    kept: Vec<u32>,
}

impl Choices {
    /// None yet.
    pub(super) fn new(axes: Vec<(Arc<str>, Vec<Arc<str>>)>, sizes: Vec<usize>, grid_count: usize) -> Choices {
        Choices { axes, sizes, grid_count, kept: Vec::new() }
    }

    /// The number of values of each axis of the grid, and of those that advance together.
    pub(super) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Keeps those of the first `count` combinations for which `is_kept`.
    pub(super) fn keep(&mut self, count: usize, is_kept: impl Fn(&[u32]) -> bool) {
        self.kept = (0..count as u32).filter(|&index| is_kept(&self.choice(index))).collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Number of points.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The point with this index.
    pub(super) fn point(&self, index: usize) -> Point {
        let choice = self.choice(self.kept[index]);
        let setting =
            |((name, texts), &value): (&(Arc<str>, Vec<Arc<str>>), &u32)| (name.clone(), texts[value as usize].clone());
        Point { settings: self.axes.iter().zip(&choice).map(setting).collect(), choice }
    }

    fn choice(&self, index: u32) -> Vec<u32> {
        let mut index = index as usize;
        let mut choice = vec![0; self.sizes.len()];
        for (chosen, size) in choice.iter_mut().zip(&self.sizes).rev() {
            *chosen = (index % size) as u32;
            index /= size;
        }
        let together = choice.get(self.grid_count).copied().unwrap_or_default();
        choice.resize(self.axes.len(), together);
        choice
    }
}
