//! Recorded arrivals of the form: which column says when, and which part of it counts.

use std::sync::Arc;

use crate::scenario::arrival_files::Recording;
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::Mistakes;
use crate::scenario::form::{Moment, RecordedForm};
use crate::scenario::text_files::TextFiles;
use crate::units::{Duration, Time};

/// Recorded arrivals that the scenario names.
pub(super) type Recorded = TextFiles<Arc<Recording>>;

/// Later arrivals are a mistake: 1000 days.
const NANOS_MAX: f64 = 8.64e16;

/// Arrivals on the clock of the run, in order.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) times: Vec<Time>,
    /// Samples of the query of each; empty if nothing says how many.
    pub(super) samples: Vec<u32>,
    /// The network of each; empty if nothing says which.
    pub(super) models: Vec<Box<str>>,
}

impl Rows {
    /// The first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.times.truncate(count);
        self.samples.truncate(count);
        self.models.truncate(count);
    }

    /// Those of one network.
    pub(super) fn of(&self, model: &str) -> Rows {
        let is_own = |index: &usize| &*self.models[*index] == model;
        let mut own = Rows::default();
        for index in (0..self.times.len()).filter(is_own) {
            own.times.push(self.times[index]);
            own.samples.extend(self.samples.get(index));
        }
        own
    }
}

/// The arrivals in the window. A note says where rates are of a time without any.
pub(super) fn lower(
    form: &RecordedForm,
    files: &Recorded,
    mistakes: &mut Mistakes,
    notes: &mut Vec<String>,
) -> Option<Rows> {
    let file = form.file.as_ref()?;
    let recording = files.get(&file.value)?;
    let name = form.column.as_ref().map(|column| column.value.as_str());
    let at = form.column.as_ref().map_or(&file.at, |column| &column.at);
    let (column, numbers) = match recording.column(name) {
        Ok(found) => found,
        Err(cause) => {
            mistakes.add(at, cause, "name the column with the times, for example `column = \"arrival_s\"`");
            return None;
        }
    };
    let Some(unit) = form.unit.as_ref().map(|unit| unit.value.0.nanos()).or_else(|| unit_of(column)) else {
        let cause = format!("nothing says in what unit `{}` is", shorten(column));
        mistakes.add(at, cause, "add `unit = \"s\"`, `\"ms\"`, `\"us\"` or `\"ns\"`");
        return None;
    };
    if let Some(index) = numbers.windows(2).position(|pair| pair[1] < pair[0]) {
        let cause = format!("in `{}`, time {} comes before the one above it", shorten(column), index + 2);
        mistakes.add(at, cause, "sort the rows by time");
        return None;
    }
    let bound = |moment: &Option<At<Moment>>| moment.as_ref().map(|moment| moment.value.0 / unit);
    let (from, until) = (bound(&form.from), bound(&form.until));
    if let (Some(from_at), Some(until_at)) = (&form.from, &form.until)
        && from_at.value.0 >= until_at.value.0
    {
        let fault = mistakes.add(&until_at.at, "the window ends before it begins", "use a later time");
        fault.beside(&from_at.at, "it begins");
        return None;
    }
    let first = numbers.partition_point(|&time| from.is_some_and(|from| time < from));
    let end = numbers.partition_point(|&time| until.is_none_or(|until| time < until));
    let Some(&[begin, ..]) = numbers.get(first..end) else {
        let at = form.from.as_ref().or(form.until.as_ref()).map_or(&file.at, |moment| &moment.at);
        mistakes.add(at, "no arrival lies between `from` and `until`", "use other times, or leave them out");
        return None;
    };
    // As told, times are since the start.
    let origin = from.unwrap_or(if until.is_some() { begin } else { 0.0 });
    let within = &numbers[first..end];
    let last = (within[within.len() - 1] - origin) * unit;
    if !(begin >= origin && last <= NANOS_MAX) {
        let cause = format!("a run of {:.0} days cannot be simulated", last / 8.64e13);
        let remedy = "let times be since the start, or cut a window out of them, for example `from = \"3600 s\"`";
        mistakes.add(at, cause, remedy);
        return None;
    }
    let idle = begin - origin;
    if origin == 0.0 && form.from.is_none() && within.len() > 1 && idle > within[within.len() - 1] - begin {
        let idle = idle * unit / 1e9;
        notes.push(format!(
            "`{}`: the first query comes after {idle} s, later than all others take together, and that time counts too; \
             `from = \"{idle} s\"` begins there",
            shorten(&file.value)
        ));
    }
    let times = within.iter().map(|time| Time::ZERO + Duration::from_nanos_f64((time - origin) * unit)).collect();
    let part = |len: usize| if len == 0 { 0..0 } else { first..end };
    let samples = recording.samples[part(recording.samples.len())].to_vec();
    let models = recording.models[part(recording.models.len())].to_vec();
    Some(Rows { times, samples, models })
}

/// The unit of a column in nanoseconds, which its name ends with.
fn unit_of(column: &str) -> Option<f64> {
    let (_, unit) = column.rsplit_once('_')?;
    Some(match unit {
        "s" => 1e9,
        "ms" => 1e6,
        "us" => 1e3,
        "ns" => 1.0,
        _ => return None,
    })
}
