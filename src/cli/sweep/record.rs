//! The lines of a sweep's journal: what is swept, what came of each point, and that all is done.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cli::results::Origin;
use crate::metrics::{Failure, Outcome};
use crate::output::{Manifest, ResultRow};
use crate::scenario::{Point, PointKey};

/// What a strategy did at one point.
pub(in crate::cli) type Attempt = Result<Outcome, Failure>;

/// The first line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Head {
    /// A hash of all that the results depend on.
    pub(in crate::cli) run: String,
    /// Which part of the sweep it is, from 1, and of how many.
    pub(in crate::cli) shard: [usize; 2],
    /// Points of the whole sweep.
    pub(in crate::cli) points: usize,
    pub(in crate::cli) manifest: Manifest,
}

impl Head {
    pub(in crate::cli) fn new(origin: &Origin, shard: [usize; 2], points: usize) -> Head {
        Head { run: origin.run.clone(), shard, points, manifest: origin.manifest.clone() }
    }

    /// Whether both are of the same part of the same sweep, whenever they were made.
    pub(super) fn is_same(&self, other: &Head) -> bool {
        (&self.run, self.shard, self.points) == (&other.run, other.shard, other.points)
    }

    /// Number of its points.
    pub(in crate::cli) fn point_count(&self) -> usize {
        let [shard, count] = self.shard;
        (self.points + count).saturating_sub(shard) / count
    }

    /// Whether the point with this index in the sweep is one of its points.
    pub(in crate::cli) fn has(&self, index: usize) -> bool {
        let [shard, count] = self.shard;
        index < self.points && index % count == shard - 1
    }

    /// The place of one of its points among them.
    pub(in crate::cli) fn position(&self, index: usize) -> usize {
        index / self.shard[1]
    }

    /// Whether its numbers can be: nobody but this program should have written them.
    fn is_sound(&self) -> bool {
        let [shard, count] = self.shard;
        (1..=count).contains(&shard) && self.points <= POINTS_MAX
    }

    pub(super) fn line(&self) -> String {
        format!("{HEAD} {}", json(self))
    }
}

/// What a line of a journal says.
#[derive(Debug)]
pub(in crate::cli) enum Line<'a> {
    Head(Box<Head>),
    /// What a point is made of, its index in the sweep, and its record as JSON.
    Point {
        key: PointKey,
        index: usize,
        record: &'a str,
        /// A strategy panicked: the point is worth another try.
        panicked: bool,
    },
    Complete,
}

/// A sweep has no more.
const POINTS_MAX: usize = 1_000_000;

const HEAD: &str = "sweep";
const POINT: &str = "point";
const PANICKED: &str = "panicked";
/// The last line of a journal that has all points.
pub(super) const COMPLETE: &str = "complete";

impl Line<'_> {
    /// `None` if it is no line of a sweep, or of a version that wrote other ones.
    pub(in crate::cli) fn parse(text: &str) -> Option<Line<'_>> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match word {
            HEAD => Line::Head(serde_json::from_str(rest).ok().filter(Head::is_sound)?.into()),
            POINT | PANICKED => {
                let mut parts = rest.splitn(3, ' ');
                let (key, index) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
                Line::Point { key, index, record: parts.next()?, panicked: word == PANICKED }
            }
            COMPLETE => Line::Complete,
            _ => return None,
        })
    }
}

/// What came of a point.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Record {
    settings: Vec<(String, String)>,
    results: Vec<Attempt>,
}

impl Record {
    pub(super) fn new(point: &Point, results: Vec<Attempt>) -> Record {
        Record { settings: settings(point), results }
    }

    /// Its line in a journal.
    pub(super) fn line(&self, key: PointKey, index: usize, panicked: bool) -> String {
        format!("{} {key} {index} {}", if panicked { PANICKED } else { POINT }, json(self))
    }

    /// A line for each strategy.
    pub(in crate::cli) fn rows(&self) -> impl Iterator<Item = ResultRow<'_>> {
        self.results.iter().map(|result| ResultRow { settings: &self.settings, result: result.as_ref() })
    }
}

/// The line of a point whose record was found under another name, perhaps in another sweep.
pub(super) fn relabelled(record: &str, point: &Point, key: PointKey, index: usize) -> Option<String> {
    #[derive(Serialize, Deserialize)]
    struct Raw<'a> {
        settings: Vec<(String, String)>,
        #[serde(borrow)]
        results: &'a RawValue,
    }
    let found: Raw<'_> = serde_json::from_str(record).ok()?;
    Some(format!("{POINT} {key} {index} {}", json(&Raw { settings: settings(point), ..found })))
}

/// Each path of the sweep and its value at `point`.
pub(super) fn settings(point: &Point) -> Vec<(String, String)> {
    point.settings().iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("all keys are strings, and writing to memory succeeds")
}
