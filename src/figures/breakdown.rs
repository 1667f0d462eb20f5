//! Where the time of each device goes: computing, data on their way, or waiting.

use super::axis::Axis;
use super::bars::{Bar, BarGroup, BarPiece, Chart, bars_svg};
use super::canvas::{Canvas, Frame, Width};
use super::style::{GRID, Hatching, colour};
use crate::output::TimelineRow;
use crate::units::Time;

/// How the makespan of a strategy divides for one device. The shares add up to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Breakdown {
    pub(super) device: String,
    /// The device computes.
    pub(super) compute: f64,
    /// It does not, and some link carries data.
    pub(super) transfer: f64,
    /// Neither.
    pub(super) wait: f64,
}

/// The shares of each device that has a lane, by its place in the platform.
pub(super) fn shares(rows: &[TimelineRow]) -> Vec<Breakdown> {
    let start = rows.iter().map(|row| row.start).min().unwrap_or_default();
    let end = rows.iter().map(|row| row.end).max().unwrap_or_default();
    let all = nanos(start, end);
    if all == 0.0 {
        return Vec::new();
    }
    let mut devices: Vec<(u32, &str)> =
        rows.iter().filter_map(|row| Some((row.device?.0, row.place.as_str()))).collect();
    devices.sort_unstable();
    devices.dedup_by_key(|(index, _)| *index);
    let transfers = union(rows.iter().filter(|row| row.device.is_none()));
    let of_device = devices.into_iter().map(|(index, name)| {
        let busy = union(rows.iter().filter(|row| row.device.is_some_and(|device| device.0 == index)));
        let compute = length(&busy) / all;
        let transfer = (length(&transfers) - overlap(&busy, &transfers)) / all;
        Breakdown { device: name.to_owned(), compute, transfer, wait: (1.0 - compute - transfer).max(0.0) }
    });
    of_device.collect()
}

/// The figure: a group of bars a strategy, a bar a device.
pub(super) fn breakdown_svg(title: &str, timelines: &[(&str, &[TimelineRow])], width: Width) -> String {
    let bar = |Breakdown { device, compute, transfer, wait }: Breakdown| {
        let pieces = [compute, transfer, wait].into_iter().enumerate();
        let pieces = pieces.map(|(paint, share)| BarPiece { length: share * 100.0, paint }).collect();
        Bar { name: device, pieces, label: String::new() }
    };
    let groups = timelines.iter().map(|(strategy, rows)| BarGroup {
        name: (*strategy).to_owned(),
        bars: shares(rows).into_iter().map(bar).collect(),
    });
    let chart = Chart {
        title,
        axis: Axis::new(100.0, 5),
        axis_title: "share of the makespan (%)",
        paint: &paint,
        paints: ["compute", "transfer: no computing, some link busy", "wait: neither"].map(str::to_owned).to_vec(),
        mark: None,
    };
    bars_svg(&chart, &groups.collect::<Vec<_>>(), width)
}

fn paint(canvas: &mut Canvas<'_>, frame: Frame, index: usize) {
    match index {
        0 => canvas.hatched_box(frame, colour(0), Hatching::None),
        1 => canvas.hatched_box(frame, colour(1), Hatching::Rising),
        _ => canvas.hatched_box(frame, GRID, Hatching::None),
    }
}

type Span = (Time, Time);

/// The union of the rows' spans, ascending and apart.
fn union<'a>(rows: impl Iterator<Item = &'a TimelineRow>) -> Vec<Span> {
    let mut spans: Vec<Span> = rows.map(|row| (row.start, row.end)).collect();
    spans.sort_unstable();
    let mut union: Vec<Span> = Vec::new();
    for (start, end) in spans {
        match union.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => union.push((start, end)),
        }
    }
    union
}

fn length(spans: &[Span]) -> f64 {
    spans.iter().map(|&(start, end)| nanos(start, end)).sum()
}

/// How long both have a span.
fn overlap(first: &[Span], second: &[Span]) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while let (Some(a), Some(b)) = (first.get(i), second.get(j)) {
        let (start, end) = (a.0.max(b.0), a.1.min(b.1));
        if start < end {
            sum += nanos(start, end);
        }
        if a.1 < b.1 { i += 1 } else { j += 1 }
    }
    sum
}

fn nanos(start: Time, end: Time) -> f64 {
    end.since_start().saturating_sub(start.since_start()).as_nanos_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::DeviceId;

    fn row(place: &str, device: Option<u32>, start: u64, end: u64) -> TimelineRow {
        let (start, end) = (Time::from_nanos(start), Time::from_nanos(end));
        TimelineRow {
            lane: 0,
            place: place.into(),
            device: device.map(DeviceId),
            samples: 1,
            start,
            end,
            waited: Default::default(),
        }
    }

    #[test]
    fn time_is_computing_or_transfer_or_waiting_and_adds_up() {
        let rows = [
            row("gpu", Some(1), 110, 140),
            row("gpu", Some(1), 130, 150),
            row("cpu", Some(0), 100, 200),
            row("pcie", None, 140, 160),
            row("pcie", None, 155, 175),
        ];
        let shares = shares(&rows);
        let share =
            |device: &str, compute, transfer, wait| Breakdown { device: device.into(), compute, transfer, wait };
        assert_eq!(shares, [share("cpu", 1.0, 0.0, 0.0), share("gpu", 0.4, 0.25, 0.35)]);
        assert_eq!(super::shares(&[]), []);
        assert_eq!(super::shares(&rows[..0]), []);
    }
}
