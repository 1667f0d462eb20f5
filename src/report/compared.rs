//! Which strategies differ by more than chance.

use crate::statistics::{Comparison, compare};

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
/// Pairs of replications are compared, at 95 %; where strategies have different numbers of them, the first that both
/// have.
pub fn compared_with_best(figure: &str, runs: &[Compared<'_>]) -> Vec<String> {
    let count = runs.iter().map(|run| run.figures.len()).min().unwrap_or(0);
    let mean = |run: &Compared<'_>| run.figures[..count].iter().sum::<f64>() / count as f64;
    let known = runs.iter().filter(|run| count > 1 && mean(run).is_finite());
    let Some(best) = known.clone().min_by(|a, b| mean(a).total_cmp(&mean(b))) else { return Vec::new() };
    let line = |run: &Compared<'_>| {
        let (comparison, difference) = compare(&run.figures[..count], &best.figures[..count], 0.95)?;
        let (name, best) = (run.strategy, best.strategy);
        let [low, high] = [difference.low(), difference.high()].map(|end| format!("{end:+.4}"));
        Some(match comparison {
            _ if difference.mean == 0.0 && difference.half_width == 0.0 => {
                format!("{name} and {best} behave the same in every replication")
            }
            Comparison::NotDistinguishable => {
                format!("{name} and {best} are not distinguishable: {figure} differs by {low} to {high} ms")
            }
            _ => format!("{name}: {figure} exceeds that of {best} by {low} to {high} ms"),
        })
    };
    known.filter(|run| run.strategy != best.strategy).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
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
        slow: the makespan exceeds that of best by +1.9454 to +2.1046 ms
        twin and best are not distinguishable: the makespan differs by -0.1273 to +0.1773 ms
        same and best behave the same in every replication
        ");
        assert!(compared_with_best("the makespan", &[run("once", &[1.0]), run("twice", &[2.0])]).is_empty());
    }
}
