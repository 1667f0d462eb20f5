//! Rows divided over boards: equally, in proportion, or so that the last board is done earliest.

use std::ops::Range;

/// Rows for boards of these weights, as near to the proportion as whole rows are (largest remainder).
pub(in crate::strategy) fn proportional(weights: &[f64], height: u32) -> Vec<Range<u32>> {
    let total: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| f64::from(height) * weight / total).collect();
    let mut counts: Vec<u32> = exact.iter().map(|rows| rows.floor() as u32).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let remainder = |board: usize| exact[board] - exact[board].floor();
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)));
    let left = height.saturating_sub(counts.iter().sum());
    order.iter().cycle().take(left as usize).for_each(|&board| counts[board] += 1);
    contiguous(&counts)
}

/// As many rows for each board, or one more.
pub(in crate::strategy) fn equal(boards: usize, height: u32) -> Vec<Range<u32>> {
    proportional(&vec![1.0; boards], height)
}

/// Rows of the boards from the top down, each as many as counted.
fn contiguous(counts: &[u32]) -> Vec<Range<u32>> {
    let mut next = 0;
    counts
        .iter()
        .map(|count| {
            let rows = next..next + count;
            next = rows.end;
            rows
        })
        .collect()
}

/// The rows with which the last board is done earliest, if `time` says how long a board takes for some rows, and more
/// rows that include others take no less.
///
/// Bisects the time of the last board: within some time, each board in turn takes as many rows as it can. That is the
/// best of all divisions into contiguous parts in the order of the boards: whoever begins further down has less to do.
pub(super) fn earliest(boards: usize, height: u32, time: impl Fn(usize, Range<u32>) -> f64) -> Vec<Range<u32>> {
    let last = |rows: &[Range<u32>]| {
        let times = rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        times.map(|(board, rows)| time(board, rows.clone())).fold(0.0, f64::max)
    };
    // Where each board's rows ended at the latest try: it will not be far from there at the next.
    let mut ends: Vec<u32> = vec![height; boards];
    let mut within = |limit: f64| -> Option<Vec<Range<u32>>> {
        let mut next = 0;
        let mut rows = Vec::with_capacity(boards);
        for (board, end) in ends.iter_mut().enumerate() {
            *end = most(next, height, *end, |end| time(board, next..end) <= limit);
            rows.push(next..*end);
            next = *end;
        }
        (next == height).then_some(rows)
    };
    // The whole on one board always is a division; what follows only ever gets better.
    let alone = |board: usize| {
        let counts: Vec<u32> = (0..boards).map(|other| if other == board { height } else { 0 }).collect();
        contiguous(&counts)
    };
    let mut best = (0..boards).map(alone).min_by(|a, b| last(a).total_cmp(&last(b))).expect("there are boards");
    let (mut low, mut high) = (0.0, last(&best));
    // Hardly any division is left where the time is known so well; but where rows are many, there may be some.
    let mut is_last = false;
    loop {
        let is_near = high - low <= high * NEAR;
        let limit = if is_last { high.next_down() } else { low.midpoint(high) };
        match within(limit) {
            Some(rows) => {
                high = last(&rows);
                best = rows;
            }
            None if is_last => return best,
            None => low = limit,
        }
        is_last = is_near && !is_last;
    }
}

/// Bisection ends when the time is known so well, relative to itself.
const NEAR: f64 = 1e-4;

/// The largest end from `start` to `height` that fits, where each end fits if a larger one does; looks around `guess`
/// first.
fn most(start: u32, height: u32, guess: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut fit, mut not) = (start, height + 1);
    let (mut probe, mut step) = (guess.clamp(start, height), 1);
    while not - fit > 1 {
        if probe <= fit || probe >= not {
            probe = fit + (not - fit) / 2;
        }
        let is_fit = fits(probe);
        if is_fit {
            fit = probe;
            probe = probe.saturating_add(step);
        } else {
            not = probe;
            probe = probe.saturating_sub(step);
        }
        step *= 2;
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[Range<u32>]) -> Vec<usize> {
        rows.iter().map(Range::len).collect()
    }

    #[test]
    fn rows_follow_speeds_as_near_as_whole_rows_can() {
        assert_eq!(counts(&proportional(&[2.0, 1.0, 1.0], 8)), [4, 2, 2]);
        assert_eq!(counts(&proportional(&[9.7, 9.7, 5.0], 7)), [3, 3, 1]);
        assert_eq!(counts(&equal(4, 7)), [2, 2, 2, 1]);
        assert_eq!(counts(&equal(4, 2)), [1, 1, 0, 0]);
        assert_eq!(proportional(&[1.0, 3.0], 4), [0..1, 1..4]);
    }

    /// The least time of the last board over all divisions.
    fn exhaustive(boards: usize, height: u32, time: &dyn Fn(usize, Range<u32>) -> f64) -> f64 {
        fn search(board: usize, boards: usize, next: u32, height: u32, time: &dyn Fn(usize, Range<u32>) -> f64) -> f64 {
            if board == boards {
                return if next == height { 0.0 } else { f64::INFINITY };
            }
            let with = |end: u32| {
                let own = if end > next { time(board, next..end) } else { 0.0 };
                own.max(search(board + 1, boards, end, height, time))
            };
            (next..=height).map(with).fold(f64::INFINITY, f64::min)
        }
        search(0, boards, 0, height, time)
    }

    proptest::proptest! {
        #[test]
        fn bisection_finds_what_exhaustive_search_finds(
            speeds in proptest::collection::vec(1u32..20, 1..5), height in 1u32..13, halo in 0u32..5, fixed in 0u32..30,
        ) {
            let time = |board: usize, rows: Range<u32>| {
                let needed = rows.start.saturating_sub(halo)..(rows.end + halo).min(height);
                f64::from(fixed) + f64::from(needed.len() as u32) * f64::from(speeds[board])
            };
            let rows = earliest(speeds.len(), height, time);
            let mut next = 0;
            for rows in &rows {
                assert_eq!(rows.start, next);
                next = rows.end;
            }
            assert_eq!(next, height);
            let taken = rows.iter().enumerate().filter(|(_, rows)| !rows.is_empty());
            let last = taken.map(|(board, rows)| time(board, rows.clone())).fold(0.0, f64::max);
            assert_eq!(last, exhaustive(speeds.len(), height, &time));
        }
    }
}
