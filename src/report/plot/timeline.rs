//! A timeline as a chart of lanes over time.

use plotters::style::{BLACK, RGBColor, WHITE};

use super::axis::{Axis, Side};
use super::canvas::{Anchor, Canvas, Frame, GREY, INK, TEXT, colour, draw, text_width};
use crate::plan::{Action, Lane, Plan};
use crate::problem::Problem;
use crate::report::files::lane_name;
use crate::timeline::Timeline;
use crate::units::Time;

/// The figure: a row a lane, a box a step, with its number of samples where there is room for it.
///
/// Computing has the colour of its device, and transfers are hatched. In a plan of more than 2000 steps, steps that
/// are too short to be told apart are drawn as one.
pub fn timeline_svg(title: &str, problem: &Problem, plan: &Plan, timeline: &Timeline) -> String {
    let names = lane_names(problem, plan);
    let names_width = names
        .iter()
        .map(|name| text_width(name, TEXT))
        .max()
        .unwrap_or(0)
        .clamp(40, 220);
    let left = names_width + 24;
    let frame = Frame {
        left,
        top: 44,
        right: left + 860,
        bottom: 44 + ROW * (plan.lanes.len() as i32).clamp(1, LANES_MAX),
    };
    let width = frame.right + 40;
    draw((width, frame.bottom + 86), |canvas| {
        canvas.title(title, width);
        let axis = Axis::new(timeline.makespan().as_millis_f64(), 8);
        axis.draw(canvas, frame, Side::Bottom, "time (ms)");
        canvas.outline(frame, GREY);
        let drawn = plan.lanes.iter().zip(&names).zip(boxes(plan, timeline, &axis, frame));
        for (index, ((lane, name), boxes)) in drawn.take(LANES_MAX as usize).enumerate() {
            let top = frame.top + ROW * index as i32;
            let at = (frame.left - 10, top + ROW / 2);
            canvas.text(name, at, Anchor::Right, TEXT, INK, names_width);
            for step in boxes {
                step.draw(canvas, lane, top);
            }
        }
        draw_caption(canvas, frame, plan);
    })
}

/// Height of a lane.
const ROW: i32 = 28;
/// Further lanes are not drawn; the figure could not be read.
const LANES_MAX: i32 = 500;
/// A plan of more steps is drawn with short ones merged.
const STEPS_MAX: usize = 2000;

/// A step, or several that are too short to be told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    /// Pixels.
    left: i32,
    /// Pixels.
    right: i32,
    /// Width of the last step.
    last_width: i32,
    /// Of the step; `None` if there are several.
    samples: Option<usize>,
}

impl Block {
    fn draw(&self, canvas: &mut Canvas<'_>, lane: &Lane, top: i32) {
        // A gap of a pixel keeps neighbours apart.
        let gap = i32::from(self.right - self.left > 3);
        let frame = Frame {
            left: self.left,
            top: top + 4,
            right: (self.right - gap).max(self.left + 1),
            bottom: top + ROW - 4,
        };
        let (is_link, fill) = match lane {
            Lane::Compute { device, .. } => (false, colour(device.0 as usize)),
            Lane::Link(_) => (true, WHITE),
        };
        match is_link {
            false => canvas.fill(frame, fill),
            true if frame.width() < 3 => canvas.fill(frame, GREY),
            true => canvas.hatched_box(frame),
        }
        let Some(samples) = self.samples.map(|samples| samples.to_string()) else {
            return;
        };
        let room = text_width(&samples, TEXT) + 6;
        if room <= frame.width() {
            let at = ((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2);
            if is_link {
                let label = Frame {
                    left: at.0 - room / 2,
                    right: at.0 + room / 2,
                    top: frame.top + 2,
                    bottom: frame.bottom - 2,
                };
                canvas.fill(label, WHITE);
            }
            canvas.text(&samples, at, Anchor::Center, TEXT, readable_on(fill), room);
        }
    }
}

/// The boxes of each lane, from left to right.
fn boxes(plan: &Plan, timeline: &Timeline, axis: &Axis, frame: Frame) -> Vec<Vec<Block>> {
    let start = timeline.spans.iter().map(|span| span.start).min().unwrap_or_default();
    let mut lanes: Vec<Vec<Block>> = vec![Vec::new(); plan.lanes.len()];
    // No more than about this many boxes are left, since each is wider, or followed by a wider gap.
    let shortest = match plan.steps.len() > STEPS_MAX {
        true => (frame.width() * plan.lanes.len().min(LANES_MAX as usize) as i32 / STEPS_MAX as i32).max(1),
        false => -1,
    };
    for (step, span) in plan.steps.iter().zip(&timeline.spans) {
        let samples = match &step.action {
            Action::Compute(work) => work.region.samples.len(),
            Action::Transfer { region, .. } => region.samples.len(),
            Action::Join => continue,
        };
        let Some(lane) = step.lane else { continue };
        let x = |time: Time| frame.x(axis.at((time - start).as_millis_f64()));
        let (left, right) = (x(span.start), x(span.end));
        let next = Block {
            left,
            right,
            last_width: right - left,
            samples: Some(samples),
        };
        let lane = &mut lanes[lane.0 as usize];
        match lane.last_mut() {
            Some(last) if left - last.right <= shortest && last.last_width.min(right - left) <= shortest => {
                last.right = last.right.max(right);
                last.last_width = right - left;
                last.samples = None;
            }
            _ => lane.push(next),
        }
    }
    lanes
}

fn draw_caption(canvas: &mut Canvas<'_>, frame: Frame, plan: &Plan) {
    let mut notes = vec!["colour: device"];
    if plan.lanes.iter().any(|lane| matches!(lane, Lane::Link(_))) {
        notes.push("hatched: transfer");
    }
    notes.push("number: samples");
    if plan.steps.len() > STEPS_MAX {
        notes.push("short steps are drawn as one");
    }
    if plan.lanes.len() > LANES_MAX as usize {
        notes.push("further lanes are left out");
    }
    let at = ((frame.left + frame.right) / 2, frame.bottom + 64);
    canvas.text(&notes.join("; "), at, Anchor::Center, TEXT, INK, frame.right);
}

/// The name of each lane's device or link, numbered if it has several lanes.
fn lane_names(problem: &Problem, plan: &Plan) -> Vec<String> {
    let drawn = plan.lanes.iter().take(LANES_MAX as usize);
    let names: Vec<&str> = drawn.map(|lane| lane_name(problem, lane)).collect();
    let numbered = |(index, name): (usize, &&str)| {
        let count = |names: &[&str]| names.iter().filter(|other| *other == name).count();
        match count(&names) {
            1 => name.to_string(),
            _ => format!("{name} #{}", count(&names[..=index])),
        }
    };
    names.iter().enumerate().map(numbered).collect()
}

fn readable_on(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let luma = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    if luma > 120_000 { BLACK } else { WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::LaneId;
    use crate::platform::LinkId;
    use crate::report::example;
    use crate::timeline::{Origin, Span};
    use crate::units::Duration;

    /// Edges of the boxes of `count` steps of `length` ns, `gap` ns apart, on one lane of 100 pixels.
    fn edges(count: u64, length: u64, gap: u64) -> Vec<(i32, i32)> {
        let run = example::run(&[(0, 0..10, 0..8)]);
        let mut plan = Plan::default();
        plan.lanes.push(Lane::Link(LinkId(0)));
        let action = Action::Compute(match &run.plan.steps[0].action {
            Action::Compute(work) => work.clone(),
            _ => unreachable!("the example computes first"),
        });
        for _ in 0..count {
            plan.step(LaneId(0), action.clone(), &[]);
        }
        let at = |nanos| Time::ZERO + Duration::from_nanos(nanos);
        let span = |index: u64| Span {
            start: at(index * (length + gap)),
            end: at(index * (length + gap) + length),
        };
        let timeline = Timeline {
            origin: Origin::Simulated,
            spans: (0..count).map(span).collect(),
        };
        let frame = Frame {
            left: 0,
            top: 0,
            right: 100,
            bottom: 10,
        };
        let axis = Axis::new(timeline.makespan().as_millis_f64(), 5);
        let boxes = boxes(&plan, &timeline, &axis, frame);
        boxes[0].iter().map(|step| (step.left, step.right)).collect()
    }

    #[test]
    fn few_steps_are_drawn_one_by_one_and_many_short_ones_together() {
        assert_eq!(edges(2, 500_000, 0), [(0, 50), (50, 100)]);
        assert_eq!(edges(2000, 500, 0).len(), 2000);
        assert_eq!(edges(5000, 200, 0), [(0, 100)]);
        assert_eq!(edges(5000, 1, 199), [(0, 100)]);
    }

    #[test]
    fn a_timeline_without_steps_or_time_is_drawn() {
        let run = example::run(&[(0, 0..10, 0..8)]);
        let empty = Timeline {
            origin: Origin::Simulated,
            spans: vec![],
        };
        let svg = timeline_svg("t", &run.problem, &Plan::default(), &empty);
        assert!(svg.ends_with("</svg>\n"));
        let still = Timeline {
            spans: vec![Span::default(); run.plan.steps.len()],
            ..empty
        };
        assert!(timeline_svg("t", &run.problem, &run.plan, &still).ends_with("</svg>\n"));
    }

    #[test]
    fn lanes_on_one_device_are_numbered() {
        let run = example::run(&[(0, 0..10, 0..8)]);
        let mut plan = Plan::clone(&run.plan);
        plan.lanes.push(plan.lanes[0].clone());
        assert_eq!(
            lane_names(&run.problem, &plan),
            ["cpu #1", "igpu", "gpu", "pcie", "cpu #2"]
        );
    }
}
