//! A naive simulation: all rates are computed anew from their definitions whenever anything begins or ends.
//!
//! It shares no code with the engine, and follows the same documented rules.

use std::collections::BTreeSet;

use coinfer::plan::{Lane, Plan};
use coinfer::platform::{BandwidthRule, DeviceId, LinkId, Platform, Sharing};
use coinfer::problem::Problem;

/// A step that has begun and not ended.
#[derive(Clone, Copy)]
struct Running {
    /// Whether it waits for memory, and neither goes on nor disturbs others.
    waits: bool,
    /// Nanoseconds of overhead, then of what follows, that are left when alone.
    overhead: f64,
    left: f64,
    /// Whose turn comes before whose where one sends at a time.
    order: usize,
    /// Below 0 while it is not known.
    rate: f64,
    since: u64,
    end: u64,
    /// Whether it has been sent, and only has to arrive.
    is_sent: bool,
}

/// When each step begins and ends, in nanoseconds; `alone` is how long each takes by itself.
pub(crate) fn simulate(problem: &Problem, plan: &Plan, alone: &[u64]) -> Vec<(u64, u64)> {
    simulate_paged(problem, plan, alone, &vec![0; alone.len()])
}

/// As [`simulate`], where each step first waits for so many nanoseconds.
pub(crate) fn simulate_paged(problem: &Problem, plan: &Plan, alone: &[u64], waits: &[u64]) -> Vec<(u64, u64)> {
    let count = plan.steps.len();
    let mut running: Vec<Option<Running>> = vec![None; count];
    let mut spans = vec![(u64::MAX, u64::MAX); count];
    let mut is_on_lane = vec![true; count];
    let (mut now, mut orders) = (0, 0);
    loop {
        // What may begin, begins; a join ends at once, which may let others begin.
        while let Some(step) =
            (0..count).find(|&step| spans[step].0 == u64::MAX && may_begin(plan, &spans, &is_on_lane, step))
        {
            spans[step].0 = now;
            match plan.steps[step].lane {
                None => spans[step].1 = now,
                Some(lane) => {
                    let overhead = match plan.lanes[lane.0 as usize] {
                        Lane::Link(link) if is_shared(&problem.platform, link) => {
                            problem.platform.link(link).overhead.as_nanos().min(alone[step])
                        }
                        _ => 0,
                    };
                    orders += usize::from(overhead == 0);
                    let (overhead, left) = (overhead as f64, (alone[step] - overhead) as f64);
                    running[step] = Some(Running {
                        waits: waits[step] > 0,
                        overhead,
                        left,
                        order: orders,
                        rate: -1.0,
                        since: now,
                        end: now + waits[step],
                        is_sent: false,
                    });
                }
            }
        }
        let rates = rates(problem, plan, &running);
        for (step, rate) in running.iter_mut().zip(rates) {
            let Some(step) = step.as_mut().filter(|step| !step.is_sent && !step.waits) else { continue };
            if step.rate != rate {
                let done = (now - step.since) as f64 * step.rate;
                (step.left, step.rate, step.since) = ((step.left - done).max(0.0), rate, now);
                step.end = if rate > 0.0 { now + (step.left / rate).round() as u64 } else { u64::MAX };
            }
            if step.overhead > 0.0 {
                step.end = step.since + step.overhead as u64;
            }
        }
        let next = |step: usize| running[step].map(|running| (running.end, step));
        let Some((end, step)) = (0..count).filter_map(next).min() else { return spans };
        now = end;
        let ended = running[step].as_mut().expect("it runs");
        if ended.waits {
            orders += usize::from(ended.overhead == 0.0);
            (ended.waits, ended.order, ended.since, ended.rate) = (false, orders, now, -1.0);
            continue;
        }
        if ended.overhead > 0.0 {
            orders += 1;
            (ended.overhead, ended.order, ended.since, ended.rate) = (0.0, orders, now, -1.0);
            continue;
        }
        let latency = match plan.steps[step].lane.map(|lane| &plan.lanes[lane.0 as usize]) {
            Some(Lane::Link(link)) => problem.platform.link(*link).latency.as_nanos(),
            _ => 0,
        };
        is_on_lane[step] = false;
        if latency > 0 && !ended.is_sent {
            (ended.is_sent, ended.end) = (true, now + latency);
        } else {
            (running[step], spans[step].1) = (None, now);
        }
    }
}

fn may_begin(plan: &Plan, spans: &[(u64, u64)], is_on_lane: &[bool], step: usize) -> bool {
    let lane = plan.steps[step].lane;
    let mut before = (0..step).filter(|&other| lane.is_some() && plan.steps[other].lane == lane);
    before.all(|other| !is_on_lane[other]) && plan.steps[step].after.iter().all(|on| spans[on.0 as usize].1 != u64::MAX)
}

fn is_shared(platform: &Platform, link: LinkId) -> bool {
    platform.interference.nics.iter().any(|nic| nic.links.contains(&link))
}

/// The rate of each running step: isolated nanoseconds done in a nanosecond.
fn rates(problem: &Problem, plan: &Plan, running: &[Option<Running>]) -> Vec<f64> {
    let lane = |step: usize| plan.steps[step].lane.map(|lane| plan.lanes[lane.0 as usize].clone());
    let device = |step: usize| match lane(step) {
        Some(Lane::Compute { device, .. }) => Some(device),
        _ => None,
    };
    let active: Vec<usize> = (0..running.len()).filter(|&step| running[step].is_some_and(|step| !step.waits)).collect();
    let busy: BTreeSet<DeviceId> = active.iter().filter_map(|&step| device(step)).collect();
    let steps_on: Vec<DeviceId> = active.iter().filter_map(|&step| device(step)).collect();
    let senders: Vec<(usize, LinkId)> = active
        .iter()
        .filter(|&&step| running[step].is_some_and(|running| running.overhead == 0.0 && !running.is_sent))
        .filter_map(|&step| match lane(step) {
            Some(Lane::Link(link)) if is_shared(&problem.platform, link) => Some((step, link)),
            _ => None,
        })
        .collect();
    let order = |step: usize| running[step].map_or(0, |running| running.order);
    let flows: Vec<(usize, LinkId)> = senders.iter().map(|&(step, link)| (order(step), link)).collect();
    let shared = max_min(&problem.platform, &flows);
    let rate = |step: usize| match (device(step), senders.iter().position(|&(sender, _)| sender == step)) {
        (Some(device), _) => speed(problem, device, &busy, &steps_on),
        (None, Some(index)) => shared[index] / problem.platform.link(senders[index].1).bandwidth.as_f64(),
        (None, None) => 1.0,
    };
    (0..running.len()).map(|step| if active.contains(&step) { rate(step) } else { 0.0 }).collect()
}

/// How fast a step on `device` goes while the devices in `busy` compute; `steps_on` has a device for each step.
fn speed(problem: &Problem, device: DeviceId, busy: &BTreeSet<DeviceId>, steps_on: &[DeviceId]) -> f64 {
    if !problem.contention {
        return 1.0;
    }
    let (platform, effects) = (&problem.platform, &problem.platform.interference);
    let slowing = effects.slowdowns.iter().filter(|effect| effect.device == device && busy.contains(&effect.busy));
    let others = steps_on.iter().filter(|on| **on == device).count() - 1;
    let times = |busy: DeviceId| if busy == device { others as f64 } else { 1.0 };
    let excess = slowing.map(|effect| times(effect.busy) * f64::from(effect.excess_ppm)).sum::<f64>();
    let mut speed = 1.0 / (1.0 + excess / 1e6);
    for package in effects.packages.iter().filter(|package| package.devices.contains(&device)) {
        let power = |id: &DeviceId| platform.device(*id).power.unwrap();
        let idle: f64 = package.devices.iter().map(|id| power(id).idle.as_f64()).sum();
        let is_busy = |id: &&DeviceId| busy.contains(id);
        let more = |id: &DeviceId| power(id).active.as_f64() - power(id).idle.as_f64();
        let dynamic: f64 = package.devices.iter().filter(is_busy).map(more).sum();
        let clock = |dynamic: f64| ((package.budget.as_f64() - idle) / dynamic).min(1.0).powf(1.0 / package.exponent);
        speed *= clock(dynamic) / clock(more(&device));
    }
    for host in effects.hosts.iter().filter(|host| host.device == device) {
        let held: u32 = host.holds.iter().filter(|(id, _)| busy.contains(id)).map(|(_, held)| held).sum();
        let (threads, held) = (f64::from(host.threads), f64::from(held));
        speed *= (1.0 - held / threads).max((threads / (threads + held)).min(1.0 / threads));
    }
    for (memory, rule) in platform.contended_memories().filter(|(memory, _)| memory.users.contains(&device)) {
        let need = |id: &DeviceId| platform.device(*id).traffic.unwrap().as_f64();
        let all: f64 = steps_on.iter().filter(|id| memory.users.contains(id)).map(need).sum();
        let (own, others) = (need(&device), all - need(&device));
        let granted = match rule {
            BandwidthRule::Proportional { peak } => own * peak.as_f64() / all,
            BandwidthRule::ResidualOrFloor { peak, floor } => (peak.as_f64() - others).max(floor.as_f64()),
            BandwidthRule::Smooth { threshold, cap, width, exponent } => {
                let over = (own + others.min(cap.as_f64()) - threshold.as_f64()).max(0.0) / width.as_f64();
                own / (1.0 + over.powf(*exponent))
            }
            // Its own tests say what it should be; here, that the engine asks it for the right needs.
            rule @ BandwidthRule::Table(_) => own * rule.speed(own, others),
        };
        let granted = if matches!(rule, BandwidthRule::Table(_)) { granted } else { granted.max(own - others) };
        speed *= (granted / own).min(1.0);
    }
    speed
}

/// Bytes per second of each of `flows`, which are given by when they began and their link: water rises in all of them at
/// the same pace until what it passes through is full.
pub(crate) fn max_min(platform: &Platform, flows: &[(usize, LinkId)]) -> Vec<f64> {
    let nics = &platform.interference.nics;
    // A link carries one flow, so that it is like an interface of its own.
    let passes = |flow: usize, nic: usize| nics[nic].links.contains(&flows[flow].1);
    let is_first = |flow: usize, nic: usize| {
        (0..flows.len()).filter(|&other| passes(other, nic)).all(|other| flows[flow].0 <= flows[other].0)
    };
    let goes = |flow: usize| {
        (0..nics.len()).all(|nic| !passes(flow, nic) || nics[nic].sharing == Sharing::Fair || is_first(flow, nic))
    };
    let mut rates = vec![0.0; flows.len()];
    let mut rising: BTreeSet<usize> = (0..flows.len()).filter(|&flow| goes(flow)).collect();
    while !rising.is_empty() {
        let room = |nic: usize| {
            let count = rising.iter().filter(|&&flow| passes(flow, nic)).count();
            let used: f64 = (0..flows.len()).filter(|&flow| passes(flow, nic)).map(|flow| rates[flow]).sum();
            if count == 0 { f64::INFINITY } else { (nics[nic].bandwidth.as_f64() - used).max(0.0) / count as f64 }
        };
        let of_link = |flow: &usize| platform.link(flows[*flow].1).bandwidth.as_f64() - rates[*flow];
        let rise = (0..nics.len()).map(room).chain(rising.iter().map(of_link)).fold(f64::INFINITY, f64::min);
        let nearly = rise * (1.0 + 1e-9) + 1e-3;
        let full: Vec<usize> = rising
            .iter()
            .copied()
            .filter(|flow| {
                of_link(flow) <= nearly || (0..nics.len()).any(|nic| passes(*flow, nic) && room(nic) <= nearly)
            })
            .collect();
        rising.iter().for_each(|&flow| rates[flow] += rise);
        rising.retain(|flow| !full.contains(flow));
    }
    rates
}
