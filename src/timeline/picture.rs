//! A timeline as lines of text, for tests and terminals.

use super::{Span, Timeline, rows};
use crate::plan::Plan;

/// One line a lane, `width` characters for the whole makespan, each step drawn as a digit or letter, and as `~` while it waits
/// for pages. Transfers that are on
/// their way while their link carries further ones stand below each other.
pub fn picture(plan: &Plan, timeline: &Timeline, width: u32) -> String {
    let start = timeline.spans.iter().map(|span| span.start).min().unwrap_or_default();
    let unit = timeline.makespan().as_nanos().div_ceil(u64::from(width)).max(1);
    let mut text = String::new();
    for lane in 0..plan.lanes.len() {
        let steps = plan.steps.iter().zip(&timeline.spans).enumerate();
        let own = steps.filter(|(_, (step, _))| step.lane.is_some_and(|found| found.0 as usize == lane));
        let own: Vec<(usize, Span)> = own.map(|(index, (_, span))| (index, *span)).collect();
        let mut lines = vec![vec!['.'; width as usize]];
        for (&(index, span), row) in own.iter().zip(rows(own.iter().map(|(_, span)| *span))) {
            let from = (span.start - start).as_nanos() / unit;
            let to = (span.end - start).as_nanos().div_ceil(unit).min(u64::from(width));
            let mark = char::from_digit(index as u32 % 36, 36).expect("a remainder of 36 is a digit of base 36");
            lines.resize(lines.len().max(row + 1), vec!['.'; width as usize]);
            lines[row][from.min(to) as usize..to as usize].fill(mark);
            let fault = timeline.faults.iter().find(|faults| faults.step.0 as usize == index);
            let waits = fault.map_or(0, |faults| (span.start - start + faults.wait).as_nanos() / unit);
            lines[row][from.min(to) as usize..waits.clamp(from, to) as usize].fill('~');
        }
        let name = format!("lane {lane}");
        for (row, marks) in lines.iter().enumerate() {
            let name = if row == 0 { &name } else { "" };
            let marks: String = marks.iter().collect();
            text += &format!("{name:width$} |{marks}|\n", width = 5 + lane.to_string().len());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LayerId, ModelId, Region};
    use crate::plan::{Action, Lane};
    use crate::platform::{DeviceId, LinkId};
    use crate::timeline::Origin;
    use crate::units::Time;

    #[test]
    fn transfers_on_their_way_at_the_same_time_stand_below_each_other() {
        let mut plan = Plan::default();
        let link = plan.lane(Lane::Link(LinkId(0)));
        let spans = [(0, 4), (2, 6), (4, 8)].map(|(start, end)| {
            let region = Region { samples: 0..1, rows: 0..1 };
            let action = Action::Transfer { model: ModelId(0), layer: LayerId(0), region, to: DeviceId(0) };
            plan.step(link, action, &[]);
            Span { start: Time::from_nanos(start), end: Time::from_nanos(end) }
        });
        let timeline = Timeline::new(Origin::Simulated, spans.to_vec());
        insta::assert_snapshot!(picture(&plan, &timeline, 8), @"
        lane 0 |00002222|
               |..1111..|
        ");
    }
}
