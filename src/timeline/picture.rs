//! A timeline as lines of text, for tests and terminals.

use super::Timeline;
use crate::plan::Plan;

/// One line a lane, `width` characters for the whole makespan, each step drawn as a digit or letter.
pub fn picture(plan: &Plan, timeline: &Timeline, width: u32) -> String {
    let start = timeline.spans.iter().map(|span| span.start).min().unwrap_or_default();
    let unit = timeline.makespan().as_nanos().div_ceil(u64::from(width)).max(1);
    let mut lanes = vec![vec!['.'; width as usize]; plan.lanes.len()];
    for (index, (step, span)) in plan.steps.iter().zip(&timeline.spans).enumerate() {
        let Some(lane) = step.lane else { continue };
        let from = (span.start - start).as_nanos() / unit;
        let to = (span.end - start).as_nanos().div_ceil(unit).min(u64::from(width));
        let mark = char::from_digit(index as u32 % 36, 36).expect("a remainder of 36 is a digit of base 36");
        lanes[lane.0 as usize][from.min(to) as usize..to as usize].fill(mark);
    }
    let line = |(index, marks): (usize, &Vec<char>)| format!("lane {index} |{}|\n", marks.iter().collect::<String>());
    lanes.iter().enumerate().map(line).collect()
}
