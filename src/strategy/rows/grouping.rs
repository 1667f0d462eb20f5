//! Which units run together: the cuts that make the sum of the groups' times least, by dynamic programming over
//! intervals, and the next best ones.

use std::ops::Range;

/// Units in groups, one after the other.
pub(in crate::strategy) type Grouping = Vec<Range<usize>>;

/// The grouping of `length` units with the least sum of `time`, which is `None` for units that are no group.
/// Of equal ones, that with the earlier last cut. `None` if there is none.
pub(in crate::strategy) fn best(length: usize, time: impl Fn(Range<usize>) -> Option<f64>) -> Option<(f64, Grouping)> {
    k_best(length, 1, time).into_iter().next()
}

/// The `count` groupings with the least sums, best first; fewer if there are no more.
///
/// f(j) holds the best ways to cut the first j units: each is one of f(i) and the group from i to j.
pub(in crate::strategy) fn k_best(
    length: usize,
    count: usize,
    time: impl Fn(Range<usize>) -> Option<f64>,
) -> Vec<(f64, Grouping)> {
    // Sum, the units before the last group, and which of the ways to cut these.
    let mut ways: Vec<Vec<(f64, usize, usize)>> = vec![vec![(0.0, 0, 0)]];
    for end in 1..=length {
        let mut found: Vec<(f64, usize, usize)> = Vec::new();
        for (start, before) in ways.iter().enumerate() {
            let Some(time) = time(start..end) else { continue };
            found.extend(before.iter().enumerate().map(|(rank, &(sum, _, _))| (sum + time, start, rank)));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.truncate(count);
        ways.push(found);
    }
    let trace = |rank: usize| {
        let (mut end, mut rank) = (length, rank);
        let mut groups = Vec::new();
        while end > 0 {
            let (_, start, before) = ways[end][rank];
            groups.push(start..end);
            (end, rank) = (start, before);
        }
        groups.reverse();
        groups
    };
    ways[length].iter().enumerate().map(|(rank, &(sum, _, _))| (sum, trace(rank))).collect()
}

/// The grouping with the two neighbouring groups merged whose merger shortens the sum most, or lengthens it least.
/// `None` if no two can be.
pub(in crate::strategy) fn merged(groups: &Grouping, time: impl Fn(Range<usize>) -> Option<f64>) -> Option<Grouping> {
    let change = |at: usize| {
        let (first, second) = (groups[at].clone(), groups[at + 1].clone());
        Some((time(first.start..second.end)? - time(first)? - time(second)?, at))
    };
    let pairs = (0..groups.len().saturating_sub(1)).filter_map(change);
    let (_, at) = pairs.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let mut merged = groups.clone();
    let second = merged.remove(at + 1);
    merged[at].end = second.end;
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every grouping of `length` units with its sum, best first.
    fn all(length: usize, time: &dyn Fn(Range<usize>) -> Option<f64>) -> Vec<f64> {
        let mut sums: Vec<f64> = (0..1u32 << (length - 1))
            .filter_map(|cuts| {
                let mut start = 0;
                let mut sum = 0.0;
                for end in 1..=length {
                    if end == length || cuts & (1 << (end - 1)) != 0 {
                        sum += time(start..end)?;
                        start = end;
                    }
                }
                Some(sum)
            })
            .collect();
        sums.sort_by(f64::total_cmp);
        sums
    }

    proptest::proptest! {
        #[test]
        fn the_best_groupings_are_those_of_brute_force(
            length in 1usize..9, times in proptest::collection::vec(0u32..50, 81), count in 1usize..20,
        ) {
            // One in five is no group; single units always are.
            let time = |units: Range<usize>| {
                let drawn = times[units.start * 9 + units.end - 1];
                (units.len() == 1 || drawn % 5 > 0).then_some(f64::from(drawn))
            };
            let found = k_best(length, count, time);
            let expected: Vec<f64> = all(length, &time).into_iter().take(count).collect();
            assert_eq!(found.iter().map(|(sum, _)| *sum).collect::<Vec<_>>(), expected);
            for (sum, groups) in &found {
                assert_eq!(groups.iter().cloned().map(|units| time(units).unwrap()).sum::<f64>(), *sum);
                assert_eq!(groups.iter().map(Range::len).sum::<usize>(), length);
            }
            let mut distinct: Vec<_> = found.iter().map(|(_, groups)| groups.iter().map(|g| g.end).collect::<Vec<_>>()).collect();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), found.len());
        }
    }

    #[test]
    fn the_merger_that_gains_most_is_made() {
        let time = |units: Range<usize>| Some(if units == (1..3) { 1.0 } else { units.len() as f64 });
        assert_eq!(merged(&vec![0..1, 1..2, 2..3], time), Some(vec![0..1, 1..3]));
        let whole: Grouping = std::iter::once(0..3).collect();
        assert_eq!(merged(&whole, time), None);
        assert_eq!(merged(&vec![0..1, 1..3], |units| (units.len() < 3).then_some(1.0)), None);
    }
}
