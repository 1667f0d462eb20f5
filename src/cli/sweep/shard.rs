//! Parts of a sweep for several machines.

use std::str::FromStr;

use crate::cli::Error;
use crate::scenario::{Points, Stride};

/// One of several parts, such as 2/8. Its points are every eighth, so that parts take about as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// From 1.
    number: usize,
    count: usize,
}

/// A sweep has no more points.
const SHARDS_MAX: usize = 1_000_000;

impl Default for Shard {
    /// The whole sweep.
    fn default() -> Shard {
        Shard { number: 1, count: 1 }
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let numbers =
            text.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((number, count)) if (1..=count).contains(&number) && count <= SHARDS_MAX => {
                Ok(Shard { number, count })
            }
            _ => Err("write which part and of how many, from 1/8 to 8/8".to_owned()),
        }
    }
}

impl Shard {
    pub(super) fn stride(self) -> Stride {
        Stride { first: self.number - 1, count: self.count }
    }

    pub(super) fn numbers(self) -> [usize; 2] {
        [self.number, self.count]
    }

    /// Every part must have a point.
    pub(super) fn check(self, points: &Points) -> Result<(), Error> {
        let all = points.sweep_len();
        if all < self.count {
            let points = if all == 1 { "1 point".to_owned() } else { format!("{all} points") };
            return Err(Error::Usage(format!(
                "the sweep has {points}, which cannot be {} parts; use at most {all}",
                self.count
            )));
        }
        Ok(())
    }
}
