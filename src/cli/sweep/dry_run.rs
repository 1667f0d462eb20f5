//! `coinfer sweep --dry-run`: what would be done, and about how long it would take.

use std::path::Path;
use std::time::Duration;

use super::record::{Head, settings};
use super::simulate::simulated;
use super::store;
use crate::cli::stopwatch::Stopwatch;
use crate::cli::{Error, Terminal};
use crate::scenario::{Points, Scenario};

/// Points that are timed, evenly among those that are to be done.
const TIMED_MAX: usize = 16;
/// Or fewer, if that takes longer.
const TIMING: Duration = Duration::from_secs(2);

/// Prints how many points there are, the first and the last, what is done already, and an estimate of the rest.
pub(super) fn dry_run(
    scenario: &Scenario,
    points: &Points,
    folder: &Path,
    head: &Head,
    terminal: &Terminal,
) -> Result<(), Error> {
    let count = points.len();
    let part = match head.shard {
        [_, 1] => String::new(),
        [shard, shards] => format!(" of {}, part {shard} of {shards}", points.sweep_len()),
    };
    let strategies = scenario.case_at(&points.point(0))?.strategies.len();
    terminal.print(format!("{}: {}{part}; {strategies} strategies at each\n", scenario.name(), counted(count)))?;
    let shown = |position: usize| {
        let settings = settings(&points.point(position)).into_iter();
        settings.map(|(path, value)| format!(" {path}={value}")).collect::<String>()
    };
    terminal.print(format!("first:{}\nlast: {}\n", shown(0), shown(count - 1)))?;
    let missing = store::missing(folder, points);
    let done = count - missing.len();
    terminal.print(match done {
        0 => "journal: has none of them\n".to_owned(),
        _ => format!("journal: has {done} of them, which --resume takes; {} are new or changed\n", missing.len()),
    })?;
    if !missing.is_empty() {
        let (timed, each) = time(scenario, points, &missing)?;
        let threads = rayon::current_num_threads().min(missing.len());
        let all = each.mul_f64(missing.len() as f64 / threads as f64);
        terminal.print(format!(
            "estimate: {} for {}, {threads} at a time; {} timed at {} each\n",
            rounded(all),
            counted(missing.len()),
            counted(timed),
            rounded(each)
        ))?;
    }
    Ok(())
}

/// How many points were timed, and how long each took.
fn time(scenario: &Scenario, points: &Points, missing: &[usize]) -> Result<(usize, Duration), Error> {
    // The first one reads what the others share.
    simulated(scenario, points, missing[0])?;
    let stopwatch = Stopwatch::start();
    let wanted = missing.len().min(TIMED_MAX);
    let mut timed = 0;
    while timed < wanted && (timed == 0 || stopwatch.elapsed() < TIMING) {
        simulated(scenario, points, missing[spread(timed, wanted, missing.len())])?;
        timed += 1;
    }
    Ok((timed, stopwatch.elapsed() / timed as u32))
}

/// The place of the `index`th of `wanted` among `count`, from the middle of each part. Odd ones come from the other
/// half, so that the first few say something of all.
fn spread(index: usize, wanted: usize, count: usize) -> usize {
    let half = wanted.div_ceil(2);
    let index = if index.is_multiple_of(2) { index / 2 } else { half + index / 2 };
    (2 * index + 1) * count / (2 * wanted)
}

fn counted(count: usize) -> String {
    if count == 1 { "1 point".to_owned() } else { format!("{count} points") }
}

/// With two digits.
fn rounded(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        0.0..1e-3 => (seconds * 1e6, "us"),
        1e-3..1.0 => (seconds * 1e3, "ms"),
        1.0..120.0 => (seconds, "s"),
        120.0..7200.0 => (seconds / 60.0, "min"),
        7200.0..172_800.0 => (seconds / 3600.0, "h"),
        _ => (seconds / 86_400.0, "days"),
    };
    let decimals = usize::from(value < 9.95);
    let value = if value >= 100.0 { (value / 10.0).round() * 10.0 } else { value };
    format!("about {value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_digits_and_a_fitting_unit() {
        let check = |millis: f64, expected: &str| assert_eq!(rounded(Duration::from_secs_f64(millis / 1e3)), expected);
        check(0.0421, "about 42 us");
        check(0.716, "about 720 us");
        check(9.96, "about 10 ms");
        check(1.23, "about 1.2 ms");
        check(9_400.0, "about 9.4 s");
        check(600_000.0, "about 10 min");
        check(9e6, "about 2.5 h");
        check(1e9, "about 12 days");
    }

    #[test]
    fn timed_points_are_spread_over_all() {
        let of = |wanted, count| (0..wanted).map(|index| spread(index, wanted, count)).collect::<Vec<_>>();
        assert_eq!(of(4, 100), [12, 62, 37, 87]);
        assert_eq!(of(1, 1), [0]);
        assert_eq!(of(3, 3), [0, 2, 1]);
    }
}
