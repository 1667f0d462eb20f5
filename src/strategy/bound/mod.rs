//! How fast any plan could be: a lower bound of the makespan, and why it is one.
//!
//! **What a plan must do.** Let every row of a network's output be worth the same, and hand that down to rows of each layer
//! that it is computed from ([`Coverage`]). A sound plan computes them all, so that in each layer its steps are together
//! worth one for each sample. Layers that are in the same pieces need not be told apart; let `a` be such a set of layers,
//! and `n_a` the samples of its network.
//!
//! **What that takes.** The cost model tells pieces `p` of networks for each device `d`, with the least time `t_dp` that a
//! sample takes ([`CostModel::least`](crate::cost::CostModel::least)): whatever step the model prices on `d` is made of so
//! many `x_dp` of them that they are worth no less than the step, in each of its layers, and take no longer than the step
//! does of the whole device. Summed over all steps, for each set of layers and each device,
//!
//! ```text
//! sum over d and pieces p with a in p of x_dp >= n_a          sum over p of t_dp x_dp <= max(0, T - away_d)
//! ```
//!
//! where `T` is the makespan and `away_d` the time in which `d` can be of no use: data must reach it from home, and what it
//! made, or what was made of it, must get home. Steps of one device on several lanes hold shares of it that add up to one
//! at most, so that shares of it times durations add up to no more than the time that there is. Contention only makes steps
//! longer than the model says, memory and limits only forbid some; whether anything is left to be read or sent is not asked.
//!
//! **What that proves.** Let `w_d >= 0` be any prices of a nanosecond of the devices and `y_a >= 0` any prices of work, such
//! that no device sells a piece below its price: `w_d t_dp >= sum over a in p of y_a`. Multiplied by these prices and added
//! up, the inequalities say `sum of w_d max(0, T - away_d) >= sum of n_a y_a`. The left side grows with `T`: the time at
//! which it reaches the right side bounds all makespans from below, *whatever the prices*. The best prices are a linear
//! programme (`program.rs`), whose solver need not be trusted: only prices of work are taken from it, and those of devices
//! follow, as the least at which nothing is sold below its price.

mod program;

use std::collections::{BTreeMap, BTreeSet};

use crate::cost::{Piece, Scope};
use crate::model::{Coverage, LayerId, ModelId, Segment};
use crate::plan::room::samples_max;
use crate::platform::{DeviceId, LinkId};
use crate::problem::Problem;
use crate::units::{Bytes, Duration};
use program::{LinearProgram, Offer, Seller};

/// A time that no plan can beat. `None` if it is not known: a cost model that does not say what anything takes at least, or
/// work that takes no time or that no device can do.
pub fn lower_bound(problem: &Problem) -> Option<Duration> {
    let bound = program(problem)?.bound()?;
    // Rounded down by more than the error of the sums, so that it stays a bound.
    Some(Duration::from_nanos_f64((bound * (1.0 - 1e-11) - 0.5).max(0.0)))
}

/// Devices, work and pieces as prices see them.
fn program(problem: &Problem) -> Option<LinearProgram> {
    let models: Vec<ModelId> = (0..problem.models.len() as u32).map(ModelId).collect();
    let coverages: Vec<Coverage<'_>> = problem.models.iter().map(|model| Coverage::of(&model.graph)).collect();
    let mut sellers: Vec<(Seller, Vec<Vec<Piece>>)> = Vec::new();
    for device in problem.platform.device_ids() {
        let offers = models.iter().zip(&coverages).map(|(&model, coverage)| pieces(problem, device, model, coverage));
        let offers: Vec<Vec<Piece>> = offers.collect::<Option<_>>()?;
        let away = away(problem, device);
        if !away.is_finite() || offers.iter().all(Vec::is_empty) {
            continue;
        }
        // Devices of one kind are one seller of as much more time.
        match sellers.iter_mut().find(|(seller, known)| seller.away == away && *known == offers) {
            Some((seller, _)) => seller.count += 1.0,
            None => sellers.push((Seller { away, count: 1.0 }, offers)),
        }
    }
    let mut program = LinearProgram::default();
    for &model in &models {
        let offers: Vec<(usize, &Piece)> = sellers
            .iter()
            .enumerate()
            .flat_map(|(seller, (_, offers))| offers[model.0 as usize].iter().map(move |piece| (seller, piece)))
            .collect();
        // By the pieces that they are in, layers that no price tells apart.
        let mut inside: BTreeMap<LayerId, Vec<usize>> = BTreeMap::new();
        for (index, (_, piece)) in offers.iter().enumerate() {
            piece.segment.layers().for_each(|layer| inside.entry(layer).or_default().push(index));
        }
        let graph = &problem.model(model).graph;
        let layers = graph.layer_ids().filter(|&layer| !graph.is_input(layer));
        let mut work: BTreeSet<Vec<usize>> = BTreeSet::new();
        let mut offers: Vec<Offer> =
            offers.iter().map(|&(seller, piece)| Offer { seller, work: Vec::new(), nanos: piece.nanos }).collect();
        for layer in layers {
            // What no device can compute no plan does.
            let pieces = inside.remove(&layer)?;
            if work.insert(pieces.clone()) {
                let index = program.amounts.len();
                program.amounts.push(f64::from(problem.samples()));
                pieces.iter().for_each(|&piece| offers[piece].work.push(index));
            }
        }
        program.offers.extend(offers);
    }
    program.sellers = sellers.into_iter().map(|(seller, _)| seller).collect();
    Some(program)
}

/// What a device takes for pieces of a network that it can run, at least.
fn pieces(problem: &Problem, device: DeviceId, model: ModelId, coverage: &Coverage<'_>) -> Option<Vec<Piece>> {
    let entry = problem.platform.device(device);
    let graph = &problem.model(model).graph;
    let samples_whole =
        |segment: &Segment| samples_max(problem, device, (model, segment), Bytes(0)).min(problem.samples());
    let samples = entry.limits.batch_max.unwrap_or(u32::MAX).min(problem.samples());
    let mut pieces = problem.costs.least(device, model, &Scope { coverage, samples, samples_whole: &samples_whole })?;
    pieces.retain(|piece| entry.lacks(graph, &piece.segment).is_none());
    Some(pieces)
}

/// Nanoseconds of a run in which a device cannot be of use, since all data is on its way from home or back; infinite if
/// none gets there.
///
/// Rows that are read are worth at least a byte, which takes the way that is quickest for it, whatever way a plan takes.
fn away(problem: &Problem, device: DeviceId) -> f64 {
    let homes = problem.models.iter().map(|model| model.home.filter(|&home| home != device));
    let of_home = |home: Option<DeviceId>| {
        home.map_or(0.0, |home| quickest(problem, home, device) + quickest(problem, device, home))
    };
    homes.map(of_home).fold(f64::INFINITY, f64::min)
}

/// Nanoseconds of a byte from one device to another, at least.
fn quickest(problem: &Problem, from: DeviceId, to: DeviceId) -> f64 {
    let platform = &problem.platform;
    let hop = |link: LinkId| problem.arrival(link, Bytes(1)).map_or(0.0, Duration::as_nanos_f64);
    let hops: Vec<f64> = platform.link_ids().map(hop).collect();
    let mut reached = vec![f64::INFINITY; platform.devices.len()];
    reached[from.0 as usize] = 0.0;
    // As many rounds as a way can have hops (Bellman and Ford).
    loop {
        let before = reached.clone();
        for (link, &hop) in platform.links.iter().zip(&hops) {
            for (from, to) in
                [(link.from, link.to), (link.to, link.from)].into_iter().filter(|&(from, to)| link.leads(from, to))
            {
                reached[to.0 as usize] = reached[to.0 as usize].min(reached[from.0 as usize] + hop);
            }
        }
        if reached == before {
            return reached[to.0 as usize];
        }
    }
}
