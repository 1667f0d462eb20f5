//! What a group is expected to take, from profiles of single layers.
//!
//! `T[i,j] = max over boards d of S_d[i] A_d[i,j] + sum over l from i to j of E_d[l] A_d[l,j] + R_d[j]`, where S, E and R
//! are the times to send a unit's input, to run it and to return its output at the rows that board d has of it, and A
//! is how many times as many rows it computes when a group goes on to unit j (Choi, Lee, Kang and Park, ICCD 2021).
//! Each way in which this errs can be corrected by itself: [`Corrections`].

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::chain::{GroupRead, is_input};
use super::grouping::{Grouping, best};
use super::shares::{earliest, proportional};
use super::{MODEL, RowGroup, RowSplit, Transport};
use crate::cost::Uncalibrated;
use crate::model::{LayerId, Region};
use crate::plan::Plan;
use crate::platform::{DeviceId, LinkId};
use crate::strategy::PlanError;
use crate::units::{Bytes, Share};

/// Which causes of error a forecast leaves out; the published one corrects none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Corrections {
    /// Inputs grow with the rows that are sent, not with those that the first layer computes.
    pub input_growth: bool,
    /// What a step costs by itself is counted once a group, not once a layer.
    pub fusion_overhead: bool,
    /// Layers are profiled at the rows that they compute in a group instead of being scaled to them.
    pub row_steps: bool,
    /// Boards at the edge of the image have a halo on one side only.
    pub edge_halo: bool,
}

impl Corrections {
    /// All of them.
    pub const ALL: Corrections =
        Corrections { input_growth: true, fusion_overhead: true, row_steps: true, edge_halo: true };
}

/// How the times of messages between home and boards were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Messages {
    /// With all boards at once, so that they hold the waits for the home's interface, which carries one after the other.
    #[default]
    Together,
    /// One board at a time, so that nobody waits.
    Apart,
}

/// How the rows of groups follow from weights of boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::strategy) enum Rows {
    /// In proportion.
    Weighted,
    /// As is best for each group; weights say at which rows layers are profiled.
    Earliest,
}

/// What a forecast is of, and how it is made.
#[derive(Clone, Copy, Debug)]
pub(in crate::strategy) struct Settings {
    pub(in crate::strategy) rows: Rows,
    pub(in crate::strategy) transport: Transport,
    pub(in crate::strategy) messages: Messages,
    pub(in crate::strategy) corrections: Corrections,
}

/// Expected times of all groups.
pub(in crate::strategy) struct Forecast<'s, 'a> {
    split: &'s RowSplit<'a>,
    settings: Settings,
    /// By board.
    weights: Vec<f64>,
    /// By board, then unit; `None` for boards without weight.
    alone: Vec<Option<Vec<Alone>>>,
    /// By board.
    reads: Vec<Reads>,
    /// By board that sends and board that receives, the links between them.
    between: Vec<Vec<Vec<(LinkId, DeviceId)>>>,
    /// By layer, then board: its rows by weight.
    shares: Vec<Vec<Range<u32>>>,
    /// By board, what a step costs by itself, in nanoseconds; 0 where it is not corrected.
    overhead: Vec<f64>,
    /// By last unit, then first; `None` for units that are no group.
    groups: Vec<Vec<Option<(f64, RowGroup)>>>,
}

/// A unit, profiled by itself on a board at the rows that the board has of it.
struct Alone {
    rows: Range<u32>,
    /// Nanoseconds.
    run: f64,
}

/// By unit, how many rows of each layer it reads for the rows that its board has of it alone.
struct Reads(Vec<Vec<(LayerId, usize)>>);

impl Reads {
    fn of(split: &RowSplit<'_>, alone: Option<&[Alone]>) -> Reads {
        let of_unit = |(unit, alone): (usize, &Alone)| {
            let read = split.chain.readings(&(unit..unit + 1), &alone.rows);
            read.into_iter().map(|reading| (reading.layer, reading.rows.len())).collect()
        };
        Reads(alone.into_iter().flatten().enumerate().map(of_unit).collect())
    }

    fn rows(&self, unit: usize, layer: LayerId) -> usize {
        self.0[unit].iter().find(|(read, _)| *read == layer).map_or(0, |&(_, rows)| rows)
    }
}

/// Nanoseconds of a board's part of a group.
#[derive(Clone, Copy, Debug, Default)]
struct BoardParts {
    /// For which sending its inputs keeps the home.
    from_home: f64,
    from_boards: f64,
    /// From when its last input was sent until that has arrived.
    inward: f64,
    run: f64,
    /// For which receiving its output keeps the home.
    to_home: f64,
    /// From when its output was sent until that has arrived.
    outward: f64,
}

impl BoardParts {
    fn total(&self) -> f64 {
        self.from_home + self.from_boards + self.inward + self.run + self.to_home + self.outward
    }
}

impl<'s, 'a> Forecast<'s, 'a> {
    /// Profiles each unit on each board that has a weight.
    ///
    /// # Errors
    /// A profile is not known.
    pub(in crate::strategy) fn new(
        split: &'s RowSplit<'a>,
        weights: Vec<f64>,
        settings: Settings,
    ) -> Result<Self, Uncalibrated> {
        let profile = |board: usize| -> Result<Option<Vec<Alone>>, Uncalibrated> {
            let units = (0..split.len()).map(|unit| Alone::profile(split, &weights, board, unit));
            (weights[board] > 0.0).then(|| units.collect()).transpose()
        };
        let alone = (0..weights.len()).map(profile).collect::<Result<Vec<_>, _>>()?;
        let overhead = |board: usize| match settings.corrections.fusion_overhead && weights[board] > 0.0 {
            true => overhead(split, board),
            false => Ok(0.0),
        };
        let overhead = (0..weights.len()).map(overhead).collect::<Result<Vec<_>, _>>()?;
        let reads = (0..weights.len()).map(|board| Reads::of(split, alone[board].as_deref())).collect();
        let of_layer = |layer| proportional(&weights, split.graph().shape(layer).rows);
        let shares = split.graph().layer_ids().map(of_layer).collect();
        let boards = 0..weights.len();
        let between = boards.clone().map(|from| boards.clone().map(|to| split.between(from, to)).collect()).collect();
        let groups = Vec::new();
        let mut forecast = Forecast { split, settings, weights, alone, reads, between, shares, overhead, groups };
        forecast.groups = (0..split.len()).into_par_iter().map(|last| forecast.groups_to(last)).collect();
        Ok(forecast)
    }

    /// Nanoseconds of a group; `None` for units that are no group.
    pub(in crate::strategy) fn time(&self, units: Range<usize>) -> Option<f64> {
        self.groups[units.end - 1][units.start].as_ref().map(|(time, _)| *time)
    }

    /// Who does what of a group.
    ///
    /// # Panics
    /// If the units are no group.
    pub(in crate::strategy) fn group(&self, units: Range<usize>) -> RowGroup {
        let (_, group) = self.groups[units.end - 1][units.start].as_ref().expect("the units are a group");
        group.clone()
    }

    /// The plan of a grouping.
    ///
    /// # Panics
    /// If some of the units are no group.
    ///
    /// # Errors
    /// Data cannot get where it must.
    pub(in crate::strategy) fn plan(&self, grouping: &Grouping) -> Result<Plan, PlanError> {
        let groups: Vec<RowGroup> = grouping.iter().map(|units| self.group(units.clone())).collect();
        self.split.plan(&groups, self.settings.transport)
    }

    /// The grouping with the least forecast, and the forecast in nanoseconds.
    ///
    /// # Errors
    /// Of each grouping, some time is not known.
    pub(in crate::strategy) fn best(&self) -> Result<(f64, Grouping), PlanError> {
        best(self.split.len(), |units| self.time(units).filter(|time| time.is_finite())).ok_or_else(unknown)
    }

    /// All groups that end with `last`, by their first unit.
    fn groups_to(&self, last: usize) -> Vec<Option<(f64, RowGroup)>> {
        let rows = self.settings.rows;
        let weighted = self.shares[self.split.chain.output(last).0 as usize].clone();
        let mut of_first: Vec<Vec<BoardParts>> = vec![Vec::new(); last + 1];
        let times = self.times_to(last);
        if rows == Rows::Weighted {
            for (board, rows) in weighted.iter().enumerate() {
                self.each_part(board, 0..last + 1, rows, |first, parts| of_first[first].push(parts));
            }
        }
        (0..=last)
            .map(|first| {
                let units = first..last + 1;
                if !self.split.chain.is_group(&units) {
                    return None;
                }
                let (rows, parts) = match rows {
                    Rows::Weighted => (weighted.clone(), std::mem::take(&mut of_first[first])),
                    Rows::Earliest => self.earliest(&units, &times),
                };
                let mut order: Vec<usize> = (0..parts.len()).collect();
                order.sort_by(|&a, &b| parts[b].run.total_cmp(&parts[a].run));
                let time = match self.settings.messages {
                    Messages::Together => serial_round(&order, &parts),
                    Messages::Apart => parts.iter().map(BoardParts::total).fold(0.0, f64::max),
                };
                Some((time, RowGroup { units, rows, order }))
            })
            .collect()
    }

    /// What boards take for rows of the output of `last`, by board, rows and the first unit of the group. Groups that differ in
    /// their first unit only ask for the same rows again and again, and one walk back from there answers all of them.
    fn times_to(&self, last: usize) -> impl Fn(usize, &Range<u32>, usize) -> f64 + use<'_, 's, 'a> {
        let first = (0..=last).find(|first| self.split.chain.is_group(&(*first..last + 1))).unwrap_or(last);
        // Where all rows are taken to be in the middle, only their number counts.
        let counts = self.split.chain.height(last) as usize + 1;
        let starts = if self.settings.corrections.edge_halo { counts } else { 1 };
        let known: RefCell<Vec<Vec<f64>>> = RefCell::new(vec![Vec::new(); self.weights.len() * starts * counts]);
        move |board, rows, of| {
            let start = rows.start as usize % starts;
            let times = &mut known.borrow_mut()[(board * starts + start) * counts + rows.len()];
            if times.is_empty() {
                times.resize(last + 1 - first, 0.0);
                self.each_part(board, first..last + 1, rows, |of, parts| times[of - first] = parts.total());
            }
            times[of - first]
        }
    }

    /// The rows of a group with which the last board is done earliest, and what each board takes then; `times` has what boards
    /// take for groups with that end.
    fn earliest(
        &self,
        units: &Range<usize>,
        times: &impl Fn(usize, &Range<u32>, usize) -> f64,
    ) -> (Vec<Range<u32>>, Vec<BoardParts>) {
        let height = self.split.chain.height(units.end - 1);
        let time = |board: usize, rows: Range<u32>| match self.alone[board] {
            _ if rows.is_empty() => 0.0,
            Some(_) => times(board, &rows, units.start),
            None => f64::INFINITY,
        };
        let rows = earliest(self.weights.len(), height, time);
        let part = |(board, rows): (usize, &Range<u32>)| {
            let mut found = BoardParts::default();
            self.each_part(board, units.clone(), rows, |_, parts| found = parts);
            found
        };
        let parts = rows.iter().enumerate().map(part).collect();
        (rows, parts)
    }

    /// Calls `part` with every first unit of groups that end with the last of `units`, from that back to the first of
    /// them, and what `board` takes for these rows of the output.
    fn each_part(&self, board: usize, units: Range<usize>, rows: &Range<u32>, mut part: impl FnMut(usize, BoardParts)) {
        let Some(alone) = self.alone[board].as_ref().filter(|_| !rows.is_empty()) else {
            units.rev().for_each(|first| part(first, BoardParts::default()));
            return;
        };
        let last = units.end - 1;
        let Settings { transport, corrections, .. } = self.settings;
        let chain = &self.split.chain;
        let returns = transport == Transport::Gather || chain.leaves(last);
        let back = &self.split.boards[board].outward;
        let (to_home, outward) = match returns {
            true => (self.send(back, chain.output(last), rows.len()), self.split.latency(back)),
            false => (0.0, 0.0),
        };
        let mut walk = chain.walk(last, self.placed(rows, chain.height(last)));
        let mut run = 0.0;
        // What a step costs by itself, as often as `run` has it.
        let mut steps = 0.0;
        // Rows that each unit computes in the group, over those that it computes alone.
        let mut growth = vec![0.0; last + 1];
        for first in units.rev() {
            let needed = walk.back();
            growth[first] = needed.len() as f64 / alone[first].rows.len().max(1) as f64;
            let (time, count) = match corrections.row_steps {
                true if needed.is_empty() => (0.0, 0.0),
                true => (self.split.run(board, first, needed).unwrap_or(f64::INFINITY), 1.0),
                false => (alone[first].run * growth[first], growth[first]),
            };
            (run, steps) = (run + time, steps + count);
            let fused = (steps - 1.0f64).max(0.0) * self.overhead[board];
            let mut parts = BoardParts { run: run - fused, to_home, outward, ..BoardParts::default() };
            for reading in walk.open() {
                self.add_reading(board, reading, &growth, &mut parts);
            }
            part(first, parts);
        }
    }

    /// Where rows are taken to be: in the middle of the image, with a halo on both sides, unless that is corrected.
    fn placed(&self, rows: &Range<u32>, height: u32) -> Range<u32> {
        let start = (height - rows.len() as u32) / 2;
        if self.settings.corrections.edge_halo { rows.clone() } else { start..start + rows.len() as u32 }
    }

    /// Adds the time until `board` has what it reads.
    fn add_reading(&self, board: usize, reading: &GroupRead, growth: &[f64], parts: &mut BoardParts) {
        let GroupRead { layer, rows, reader } = reading;
        let graph = self.split.graph();
        let Settings { transport, corrections, .. } = self.settings;
        if transport == Transport::Gather || is_input(graph, *layer) {
            let inward = &self.split.boards[board].inward;
            parts.from_home += match corrections.input_growth {
                true => self.send(inward, *layer, rows.len()),
                false => self.send(inward, *layer, self.reads[board].rows(*reader, *layer)) * growth[*reader],
            };
            parts.inward = parts.inward.max(self.split.latency(inward));
            return;
        }
        let height = graph.shape(*layer).rows;
        let shares = &self.shares[layer.0 as usize];
        let rows = match corrections.edge_halo {
            true => rows.clone(),
            // Rows in the middle stand for those at the board's own place.
            false => {
                let own = &shares[board];
                let more = (rows.len()).saturating_sub(own.len()) as u32;
                own.start.saturating_sub(more.div_ceil(2))..(own.end + more / 2).min(height)
            }
        };
        for (other, held) in shares.iter().enumerate().filter(|(other, _)| *other != board) {
            let missing = rows.start.max(held.start)..rows.end.min(held.end);
            if !missing.is_empty() {
                let between = &self.between[other][board];
                parts.from_boards += self.send(between, *layer, missing.len());
                parts.inward = parts.inward.max(self.split.latency(between));
            }
        }
    }

    /// Nanoseconds for which the links of a route are kept to send so many rows of a layer's output along it.
    fn send(&self, route: &[(LinkId, DeviceId)], layer: LayerId, rows: usize) -> f64 {
        let region = Region { samples: self.split.samples(), rows: 0..rows as u32 };
        let size = |hop| self.split.problem.sent(hop, MODEL, layer, &region);
        route.iter().map(|&hop| self.split.transfer(hop.0, size(hop))).sum()
    }
}

/// There is no grouping whose times are known.
pub(in crate::strategy) fn unknown() -> PlanError {
    PlanError::Infeasible("no grouping of the layers has times that are all known".into())
}

impl Alone {
    fn profile(split: &RowSplit<'_>, weights: &[f64], board: usize, unit: usize) -> Result<Alone, Uncalibrated> {
        let height = split.chain.height(unit);
        let rows = proportional(weights, height)[board].clone();
        // A board that is too slow for a whole row is profiled with one.
        let rows = if rows.is_empty() { rows.start.min(height - 1)..rows.start.min(height - 1) + 1 } else { rows };
        Ok(Alone { run: split.run(board, unit, rows.clone())?, rows })
    }
}

impl RowSplit<'_> {
    /// Nanoseconds of rows of one unit on a board.
    fn run(&self, board: usize, unit: usize, rows: Range<u32>) -> Result<f64, Uncalibrated> {
        let work = self.work(unit..unit + 1, rows);
        let time = self.problem.costs.compute(self.boards[board].device, Share::FULL, &work)?.time;
        Ok(time.as_nanos_f64())
    }

    /// Nanoseconds from when data has left the first device of a route until it is at the last, beside those for which it
    /// keeps links.
    fn latency(&self, route: &[(LinkId, DeviceId)]) -> f64 {
        route.iter().map(|&(link, _)| self.problem.platform.link(link).latency.as_nanos_f64()).sum()
    }

    /// Nanoseconds for which a transfer keeps its link; infinitely many if nothing is known of it.
    fn transfer(&self, link: LinkId, size: Bytes) -> f64 {
        self.problem.costs.transfer(link, size).map_or(f64::INFINITY, |estimate| estimate.time.as_nanos_f64())
    }
}

/// Nanoseconds by which a board's units, each in a step of its own, take longer than in one step, for each step more.
fn overhead(split: &RowSplit<'_>, board: usize) -> Result<f64, Uncalibrated> {
    let units = 0..split.len();
    let apart = units.clone().map(|unit| split.run(board, unit, 0..split.chain.height(unit)));
    let apart: f64 = apart.sum::<Result<f64, _>>()?;
    let whole = split.work(units.clone(), 0..split.chain.height(units.end - 1));
    let together = split.problem.costs.compute(split.boards[board].device, Share::FULL, &whole)?.time.as_nanos_f64();
    Ok(((apart - together) / (units.len().max(2) - 1) as f64).max(0.0))
}

/// Nanoseconds of a round in which the home sends one input after the other, in this order, and takes in outputs in the
/// order in which boards are done.
fn serial_round(order: &[usize], parts: &[BoardParts]) -> f64 {
    let mut free = 0.0;
    let mut done: Vec<(f64, f64, f64)> = Vec::new();
    for &board in order {
        let BoardParts { from_home, from_boards, inward, run, to_home, outward } = parts[board];
        free += from_home;
        done.push((free + from_boards + inward + run, to_home, outward));
    }
    done.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut end = 0.0f64;
    for (done, to_home, outward) in done {
        free = free.max(done) + to_home;
        end = end.max(if to_home > 0.0 { free + outward } else { done });
    }
    end
}
