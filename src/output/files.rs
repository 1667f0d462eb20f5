//! The bytes of the files that describe one plan.

use serde::Serialize;

use crate::plan::Plan;
use crate::problem::Problem;
use crate::timeline::{Timeline, chrome_trace};

/// The plan as JSON, one line a lane and one a step. Reads back as the same plan.
pub fn plan_json(plan: &Plan) -> Vec<u8> {
    let (lanes, steps) = (lines(&plan.lanes), lines(&plan.steps));
    format!("{{\n\"lanes\": [{lanes}],\n\"steps\": [{steps}]\n}}\n").into_bytes()
}

/// The timeline in the Chrome trace format, which Perfetto opens.
pub fn timeline_json(problem: &Problem, plan: &Plan, timeline: &Timeline) -> Vec<u8> {
    chrome_trace(problem, plan, timeline).into_bytes()
}

fn lines<T: Serialize>(items: &[T]) -> String {
    let line = |item| serde_json::to_string(item).expect("all keys are strings and writing to memory succeeds");
    let lines: Vec<String> = items.iter().map(|item| format!("\n  {}", line(item))).collect();
    lines.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example;

    #[test]
    fn a_written_plan_reads_back_as_itself() {
        let plan = &*example::run(&[(0, 0..6, 0..8), (2, 6..10, 0..8)]).plan;
        let bytes = plan_json(plan);
        assert_eq!(&serde_json::from_slice::<Plan>(&bytes).unwrap(), plan);
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 4 + plan.lanes.len() + plan.steps.len());
        let empty = plan_json(&Plan::default());
        assert_eq!(serde_json::from_slice::<Plan>(&empty).unwrap(), Plan::default());
    }
}
