//! Which strategies differ by more than chance.

use crate::statistics::{Comparison, Interval, compare};

/// The figures of a strategy by replication, smaller ones better, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// Its name.
    pub strategy: &'a str,
    /// One for each replication; those with the same number met the same random world.
    pub figures: &'a [f64],
}

/// How each strategy compares with the one that has the smallest mean of `figure`, a line each. Nothing without
/// replications.
///
/// Pairs of replications are compared; where strategies have different numbers of them, the first that both have. That any
/// of several differences is claimed by chance is as unlikely as for a single one at 95 %: the clearest difference has to
/// hold at the level that divides what is left to chance by their number, the next by one less, and behind the first that
/// does not hold none is claimed (Holm, A simple sequentially rejective multiple test procedure, 1979).
pub fn compared_with_best(figure: &str, runs: &[Compared<'_>]) -> Vec<String> {
    let count = runs.iter().map(|run| run.figures.len()).min().unwrap_or(0);
    let mean = |run: &Compared<'_>| run.figures[..count].iter().sum::<f64>() / count as f64;
    let known = runs.iter().filter(|run| count > 1 && mean(run).is_finite());
    let Some(best) = known.clone().min_by(|a, b| mean(a).total_cmp(&mean(b))) else { return Vec::new() };
    let others: Vec<&Compared<'_>> = known.filter(|run| run.strategy != best.strategy).collect();
    let figures = others.iter().map(|run| &run.figures[..count]).collect::<Vec<_>>();
    let line = |(run, (comparison, difference)): (&&Compared<'_>, (Comparison, Interval))| {
        let (name, best) = (run.strategy, best.strategy);
        let [low, high] = [difference.low(), difference.high()].map(|end| format!("{end:+.4}"));
        match comparison {
            _ if difference.mean == 0.0 && difference.half_width == 0.0 => {
                format!("{name} and {best} behave the same in every replication")
            }
            Comparison::NotDistinguishable => {
                format!("{name} and {best} are not distinguishable: {figure} differs by {low} to {high} ms")
            }
            _ => format!("{name}: {figure} exceeds that of {best} by {low} to {high} ms"),
        }
    };
    let lines = others.iter().zip(compared_together(&best.figures[..count], &figures)).map(line);
    let together = format!("the {} comparisons hold together at {} % (Holm, 1979)", others.len(), LEVEL * 100.0);
    lines.chain((others.len() > 1).then_some(together)).collect()
}

/// How the figures of each of `others` compare with those of `best`, of which there are as many and two at least.
fn compared_together(best: &[f64], others: &[&[f64]]) -> Vec<(Comparison, Interval)> {
    let at = |index: usize, level: f64| compare(others[index], best, level).expect("there are pairs");
    let mut found: Vec<_> = (0..others.len()).map(|index| at(index, LEVEL)).collect();
    let clearness = |(_, difference): &(Comparison, Interval)| match difference.mean.abs() {
        0.0 => 0.0, // also of those that behave the same
        size => size / difference.half_width,
    };
    let mut order: Vec<usize> = (0..others.len()).collect();
    order.sort_by(|&a, &b| clearness(&found[b]).total_cmp(&clearness(&found[a])));
    let mut left = others.len();
    for index in order {
        found[index] = at(index, 1.0 - (1.0 - LEVEL) / left as f64);
        // Behind the first that does not hold, all are held to its level.
        left -= usize::from(found[index].0 != Comparison::NotDistinguishable && left > 1);
    }
    found
}

/// Level of confidence of all comparisons together.
const LEVEL: f64 = 0.95;

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn what_chance_can_explain_is_not_called_a_difference() {
        let run = |strategy, figures| Compared { strategy, figures };
        let lines = compared_with_best(
            "the makespan",
            &[
                run("slow", &[12.0, 13.0, 12.5, 13.5]),
                run("best", &[10.0, 11.0, 10.5, 11.4]),
                run("twin", &[10.1, 10.9, 10.6, 11.4, 99.0]),
                run("same", &[10.0, 11.0, 10.5, 11.4]),
            ],
        );
        insta::assert_snapshot!(lines.join("\n"), @"
        slow: the makespan exceeds that of best by +1.9036 to +2.1464 ms
        twin and best are not distinguishable: the makespan differs by -0.1749 to +0.2249 ms
        same and best behave the same in every replication
        the 3 comparisons hold together at 95 % (Holm, 1979)
        ");
        assert!(compared_with_best("the makespan", &[run("once", &[1.0]), run("twice", &[2.0])]).is_empty());
    }

    #[test]
    fn that_any_of_many_strategies_is_wrongly_told_apart_is_as_unlikely_as_for_one() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut figures = || (0..20).map(|_| random.random::<f64>()).collect::<Vec<f64>>();
        let (mut alone, mut together) = (0, 0);
        for _ in 0..400 {
            let (best, others) = (figures(), [(); 10].map(|()| figures()));
            let differs = |(comparison, _): &(Comparison, Interval)| *comparison != Comparison::NotDistinguishable;
            let others = others.each_ref().map(Vec::as_slice);
            together += u32::from(compared_together(&best, &others).iter().any(differs));
            alone += u32::from(others.iter().any(|other| differs(&compare(other, &best, 0.95).unwrap())));
        }
        // 20 of 400 are expected at most, with a standard deviation of 4.4.
        assert!(together <= 30 && alone > 100, "{together} and {alone} of 400");
    }
}
