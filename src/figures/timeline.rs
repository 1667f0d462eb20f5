//! A timeline as a chart of lanes over time.

use std::collections::BTreeMap;

use plotters::style::WHITE;

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{Anchor, BELOW_TITLE, Canvas, Frame, LINE, MARGIN, Width, draw, text_width, widest};
use super::style::{GREY, GRID, Hatching, INK, colour, is_dark};
use crate::output::TimelineRow;
use crate::timeline::{self, Span};
use crate::units::{Duration, Time};

/// The figure: a line a lane that has steps, a box a step, with its number of samples where there is room for it. Transfers
/// that are on their way while their link carries further ones have rows below each other.
///
/// Computing has the colour of its device, which is that of its finish time, and transfers are hatched. Of more than
/// 2000 steps, those that are too short to be told apart are drawn as one.
pub fn timeline_svg(title: &str, rows: &[TimelineRow], width: Width) -> String {
    let all = lanes(rows);
    let lanes = &all[..all.len().min(LANES_MAX)];
    let names_width = widest(lanes.iter().map(|lane| lane.name.as_str())).clamp(60, width.units() / 4);
    let left = MARGIN + names_width + 14;
    let bottom = BELOW_TITLE + lanes.iter().map(Track::height).sum::<i32>().max(ROW);
    let frame = Frame { left, top: BELOW_TITLE, right: width.units() - 4 * MARGIN, bottom };
    let notes = notes(rows, all.len(), width);
    let below = frame.bottom + AXIS_BELOW;
    draw(width, below + LINE * notes.len() as i32 + MARGIN, |canvas| {
        canvas.title(title);
        let scale = TimeScale::new(rows, frame);
        scale.axis.draw(canvas, frame, Side::Bottom, "time (ms)");
        canvas.outline(frame, GREY);
        let mut top = frame.top;
        for lane in lanes {
            let at = (frame.left - 10, top + lane.height() / 2);
            canvas.text(&lane.name, at, Anchor::Right, names_width);
            for (index, row) in lane.rows.iter().enumerate() {
                let (height, gap) = (lane.height() / lane.rows.len() as i32, if lane.rows.len() > 1 { 3 } else { 8 });
                let upper = top + height * index as i32;
                for block in blocks(row, &scale, shortest(rows.len(), lanes.len(), frame)) {
                    block.draw(canvas, lane.fill, (upper + gap, upper + height - gap));
                }
            }
            top += lane.height();
        }
        for (index, note) in notes.iter().enumerate() {
            let at = (width.units() / 2, below + LINE / 2 + LINE * index as i32);
            canvas.text(note, at, Anchor::Center, width.units() - 2 * MARGIN);
        }
    })
}

/// Height of a lane that has one row.
const ROW: i32 = 56;
/// Height of one of several rows of a lane.
const LOW_ROW: i32 = 34;
/// What needs more rows shares the last.
const ROWS_MAX: usize = 12;
/// Further lanes are not drawn; the figure could not be read.
const LANES_MAX: usize = 500;
/// Of more steps, short ones are drawn as one.
const STEPS_MAX: usize = 2000;

/// A line of the figure.
struct Track<'a> {
    /// Of its device or link, numbered if that has several lanes.
    name: String,
    /// The device by which it is coloured; `None` for a link.
    fill: Option<usize>,
    /// Steps in the order in which they began; those of one row do not overlap.
    rows: Vec<Vec<&'a TimelineRow>>,
}

impl Track<'_> {
    fn height(&self) -> i32 {
        (LOW_ROW * self.rows.len() as i32).max(ROW)
    }
}

/// Where times are on the figure.
struct TimeScale {
    frame: Frame,
    start: Time,
    axis: Axis,
}

/// A step, or several that are too short to be told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    /// Tenths of a millimetre.
    left: i32,
    /// Tenths of a millimetre.
    right: i32,
    /// Of the last step; the same for all steps that take as long, wherever their edges are rounded to.
    width: i32,
    /// Until where the first step waits for pages.
    waits: i32,
    /// Of the step; `None` if there are several.
    samples: Option<u32>,
}

/// The lanes that `rows` are on, ascending.
fn lanes(rows: &[TimelineRow]) -> Vec<Track<'_>> {
    let mut by_lane: BTreeMap<u32, Vec<&TimelineRow>> = BTreeMap::new();
    for row in rows {
        by_lane.entry(row.lane).or_default().push(row);
    }
    // For each name: its number of lanes, and how many of them came before.
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for rows in by_lane.values() {
        counts.entry(&rows[0].place).or_default().0 += 1;
    }
    let mut lanes = Vec::new();
    for mut rows in by_lane.into_values() {
        rows.sort_by_key(|row| row.start);
        let spans = rows.iter().map(|row| Span { start: row.start, end: row.end });
        let mut apart: Vec<Vec<&TimelineRow>> = Vec::new();
        for (row, place) in rows.iter().zip(timeline::rows(spans)) {
            let place = place.min(ROWS_MAX - 1);
            apart.resize(apart.len().max(place + 1), Vec::new());
            apart[place].push(row);
        }
        let TimelineRow { place, device, .. } = rows[0];
        let (count, before) = counts.entry(place).or_default();
        *before += 1;
        lanes.push(Track {
            name: match count {
                1 => place.clone(),
                _ => format!("{place} #{before}"),
            },
            fill: device.map(|device| device.0 as usize),
            rows: apart,
        });
    }
    lanes
}

impl TimeScale {
    fn new(rows: &[TimelineRow], frame: Frame) -> TimeScale {
        let start = rows.iter().map(|row| row.start).min().unwrap_or_default();
        let end = rows.iter().map(|row| row.end).max().unwrap_or_default();
        let axis = Axis::new(since(start, end).as_millis_f64(), 6);
        TimeScale { frame, start, axis }
    }

    fn x(&self, time: Time) -> i32 {
        self.frame.left + self.width(since(self.start, time))
    }

    fn width(&self, duration: Duration) -> i32 {
        self.frame.x(self.axis.at(duration.as_millis_f64())) - self.frame.left
    }
}

/// Zero if `time` is before `start`.
fn since(start: Time, time: Time) -> Duration {
    time.since_start().saturating_sub(start.since_start())
}

/// Steps and gaps of no more pixels are drawn as one with their neighbours.
fn shortest(steps: usize, lanes: usize, frame: Frame) -> i32 {
    match steps > STEPS_MAX {
        // No more than about `STEPS_MAX` boxes are left, since each is wider, or followed by a wider gap.
        true => (frame.width() * lanes as i32 / STEPS_MAX as i32).max(1),
        false => -1,
    }
}

/// The boxes of one lane, from left to right.
fn blocks(rows: &[&TimelineRow], scale: &TimeScale, shortest: i32) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for row in rows {
        let left = scale.x(row.start);
        let right = scale.x(row.end).max(left);
        let width = scale.width(since(row.start, row.end));
        match blocks.last_mut() {
            Some(last) if left - last.right <= shortest && last.width.min(width) <= shortest => {
                last.right = last.right.max(right);
                last.width = width;
                last.samples = None;
            }
            _ => {
                let waits = scale.x(row.start + row.waited).clamp(left, right);
                blocks.push(Block { left, right, width, waits, samples: Some(row.samples) });
            }
        }
    }
    blocks
}

impl Block {
    /// Draws it between two heights as of the device `fill`, or hatched without.
    fn draw(&self, canvas: &mut Canvas<'_>, fill: Option<usize>, (top, bottom): (i32, i32)) {
        // A gap keeps neighbours apart.
        let gap = 2 * i32::from(self.right - self.left > 6);
        let frame = Frame { left: self.left, top, right: (self.right - gap).max(self.left + 1), bottom };
        match fill {
            Some(device) => canvas.fill(frame, colour(device)),
            None if frame.width() < 6 => canvas.fill(frame, GREY),
            None => {
                canvas.hatched_box(frame, GRID, Hatching::Rising);
                canvas.outline(frame, INK);
            }
        }
        if self.waits > self.left && self.samples.is_some() {
            canvas.fill(Frame { right: self.waits.min(frame.right), ..frame }, GREY);
        }
        let Some(samples) = self.samples.map(|samples| samples.to_string()) else {
            return;
        };
        let room = text_width(&samples) + 12;
        if room < self.width {
            let at = frame.middle();
            let is_white = fill.is_some_and(|device| is_dark(colour(device)));
            match fill {
                Some(_) if is_white => canvas.white_text(&samples, at, Anchor::Center, room),
                Some(_) => canvas.text(&samples, at, Anchor::Center, room),
                None => {
                    let label = Frame {
                        left: at.0 - room / 2,
                        right: at.0 + room / 2,
                        top: frame.top + 3,
                        bottom: frame.bottom - 3,
                    };
                    canvas.fill(label, WHITE);
                    canvas.text(&samples, at, Anchor::Center, room);
                }
            }
        }
    }
}

/// What the figure's marks mean, on as many lines as they take.
fn notes(rows: &[TimelineRow], lane_count: usize, width: Width) -> Vec<String> {
    let mut notes = vec!["number: samples"];
    if rows.iter().any(|row| row.device.is_none()) {
        notes.push("hatched: transfer");
    }
    if rows.iter().any(|row| row.waited > Duration::ZERO) {
        notes.push("grey: waits for pages");
    }
    if rows.len() > STEPS_MAX {
        notes.push("short steps are drawn as one");
    }
    if lane_count > LANES_MAX {
        notes.push("further lanes are left out");
    }
    let mut lines: Vec<String> = Vec::new();
    for note in notes {
        match lines.last_mut() {
            Some(line) if text_width(line) + text_width(note) + 40 < width.units() => *line += &format!("; {note}"),
            _ => lines.push(note.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::DeviceId;

    fn row(lane: u32, place: &str, device: Option<u32>, start: u64, end: u64) -> TimelineRow {
        TimelineRow {
            lane,
            place: place.into(),
            device: device.map(DeviceId),
            samples: 1,
            start: Time::from_nanos(start),
            end: Time::from_nanos(end),
            waited: Duration::ZERO,
        }
    }

    /// Edges of the boxes of `count` steps of `length` ns, `gap` ns apart, on one lane of 100 pixels.
    fn edges(count: u64, length: u64, gap: u64) -> Vec<(i32, i32)> {
        let start = |index| index * (length + gap);
        let rows: Vec<_> =
            (0..count).map(|index| row(0, "cpu", Some(0), start(index), start(index) + length)).collect();
        let frame = Frame { left: 0, top: 0, right: 100, bottom: 10 };
        let scale = TimeScale::new(&rows, frame);
        let blocks = blocks(&lanes(&rows)[0].rows[0], &scale, shortest(rows.len(), 1, frame));
        blocks.iter().map(|block| (block.left, block.right)).collect()
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
        assert!(timeline_svg("t", &[], Width::Page).ends_with("</svg>\n"));
        assert!(timeline_svg("t", &[row(0, "cpu", Some(0), 5, 5)], Width::Page).ends_with("</svg>\n"));
        let extreme = [row(u32::MAX, "cpu", Some(0), 0, u64::MAX), row(7, "pcie", None, 9, 3)];
        assert!(timeline_svg("t", &extreme, Width::Column).ends_with("</svg>\n"));
    }

    #[test]
    fn transfers_that_overlap_have_rows_of_their_own() {
        let rows =
            [(0, 30), (10, 40), (20, 50), (30, 60), (70, 80)].map(|(start, end)| row(0, "lan", None, start, end));
        let lanes = lanes(&rows);
        let starts: Vec<Vec<u64>> =
            lanes[0].rows.iter().map(|row| row.iter().map(|row| row.start.as_nanos()).collect()).collect();
        assert_eq!(starts, [vec![0, 30, 70], vec![10], vec![20]]);
        let apart = rows.each_ref().map(|row| TimelineRow { lane: row.start.as_nanos() as u32, ..row.clone() });
        assert_eq!(super::lanes(&apart).iter().map(|lane| lane.rows.len()).max(), Some(1));
        let many: Vec<_> = (0..50).map(|start| row(0, "lan", None, start, 100)).collect();
        assert_eq!(super::lanes(&many)[0].rows.len(), ROWS_MAX);
        assert!(timeline_svg("t", &many, Width::Page).ends_with("</svg>\n"));
    }

    #[test]
    fn lanes_on_one_device_are_numbered_and_share_the_colour_of_its_place_in_the_platform() {
        let rows = [
            row(9, "gpu", Some(2), 0, 1),
            row(4, "pcie", None, 0, 1),
            row(5, "cpu", Some(0), 0, 1),
            row(2, "gpu", Some(2), 0, 1),
        ];
        let lanes = lanes(&rows);
        let shown: Vec<_> = lanes.iter().map(|lane| (lane.name.as_str(), lane.fill)).collect();
        assert_eq!(shown, [("gpu #1", Some(2)), ("pcie", None), ("cpu", Some(0)), ("gpu #2", Some(2))]);
    }
}
