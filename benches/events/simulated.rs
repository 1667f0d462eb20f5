//! The workloads that decide as they go, on the simulator that plans and dispatchers run on.

use std::collections::VecDeque;

use coinfer::engine::{Completion, Event, Interfaces, Simulator};
use coinfer::plan::{LaneId, StepId};
use coinfer::platform::{Nic, Sharing};
use coinfer::units::{BytesPerSec, Duration, Time};

use crate::workload::{self, Done, Draws, Use};

/// Nanoseconds that stand for a unit of a workload's time. Draws are ordered as events are, so that whole nanoseconds
/// must be as fine as the floats of the other engines; the longest run must still fit into a [`Time`].
#[derive(Clone, Copy)]
struct Unit(f64);

impl Unit {
    fn duration(self, units: f64) -> Duration {
        Duration::from_nanos_f64(units * self.0)
    }

    fn units(self, time: Time) -> f64 {
        time.since_start().as_nanos_f64() / self.0
    }
}

/// One queue before one lane; arrivals are timers.
pub(crate) fn mm1() -> Done {
    let unit = Unit(1e12);
    let (mut draws, mut simulator) = (Draws::new(42), Simulator::new(1));
    let (mut arrived, mut departed, mut sojourns) = (0, 0, Duration::ZERO);
    let mut waiting = VecDeque::new();
    simulator.wake(Time::ZERO + unit.duration(draws.exp(1.25)), 0);
    while let Some(event) = simulator.next() {
        let now = simulator.now();
        let is_next = match event {
            Event::Woken { .. } => {
                arrived += 1;
                if arrived < workload::CUSTOMERS {
                    simulator.wake(now + unit.duration(draws.exp(1.25)), 0);
                }
                waiting.push_back(now);
                waiting.len() == 1
            }
            Event::Sent { .. } => unreachable!("these lanes are no links"),
            Event::Ended(_) => {
                departed += 1;
                sojourns += now - waiting.pop_front().expect("who departs has waited");
                !waiting.is_empty()
            }
        };
        if is_next {
            simulator.begin(LaneId(0), StepId(departed), unit.duration(draws.exp(1.0)));
        }
    }
    let mean = unit.units(Time::ZERO + sojourns) / f64::from(departed);
    Done { check: mean, events: arrived + u64::from(departed) }
}

/// Entities that send each other timers.
pub(crate) fn phold(entities: usize) -> Done {
    let unit = Unit(1e15);
    let (mut draws, mut simulator) = (Draws::new(42), Simulator::new(0));
    let mut handled = vec![0u32; entities];
    for entity in 0..entities as u32 {
        simulator.wake(Time::ZERO + unit.duration(draws.exp(1.0)), entity);
    }
    for _ in 0..workload::HOPS {
        let Some(Event::Woken { token }) = simulator.next() else { unreachable!("each event sends another") };
        handled[token as usize] += 1;
        let receiver = draws.below(entities) as u32;
        simulator.wake(simulator.now() + unit.duration(draws.exp(1.0)), receiver);
    }
    Done { check: unit.units(simulator.now()), events: handled.iter().map(|&count| u64::from(count)).sum() }
}

/// A closed network of queues, each before a lane.
pub(crate) fn cqn() -> Done {
    let unit = Unit(1e15);
    let (mut draws, mut simulator) = (Draws::new(42), Simulator::new(workload::STATIONS));
    let mut waiting: Vec<VecDeque<u32>> = vec![VecDeque::new(); workload::STATIONS];
    for customer in 0..workload::POPULATION {
        waiting[customer % workload::STATIONS].push_back(customer as u32);
    }
    let serve = |simulator: &mut Simulator, draws: &mut Draws, station: usize| {
        let station = station as u32;
        simulator.begin(LaneId(station), StepId(station), unit.duration(draws.exp(1.0)));
    };
    for station in 0..workload::STATIONS {
        serve(&mut simulator, &mut draws, station);
    }
    for _ in 0..workload::COMPLETIONS {
        let Some(Event::Ended(Completion { step, .. })) = simulator.next() else { unreachable!("customers stay") };
        let station = step.0 as usize;
        let customer = waiting[station].pop_front().expect("a busy station has one");
        if !waiting[station].is_empty() {
            serve(&mut simulator, &mut draws, station);
        }
        let receiver = draws.below(workload::STATIONS);
        waiting[receiver].push_back(customer);
        if waiting[receiver].len() == 1 {
            serve(&mut simulator, &mut draws, receiver);
        }
    }
    Done { check: unit.units(simulator.now()), events: workload::COMPLETIONS }
}

/// Hosts around a switch: a lane for each pair, which passes the sender's up-link and the receiver's down-link.
pub(crate) fn star(hosts: usize) -> Done {
    let unit = Unit(1e9);
    let bandwidth = BytesPerSec::new(workload::BANDWIDTH).expect("it is positive");
    let mut draws: Vec<Draws> = (0..hosts).map(|host| Draws::new(1000 + host as u64)).collect();
    let nic = Nic { links: Vec::new(), bandwidth, sharing: Sharing::Fair };
    let passes = |pair: usize| [(pair / hosts) as u32, (hosts + pair % hosts) as u32];
    let passed: Vec<[u32; 2]> = (0..hosts * hosts).map(passes).collect();
    let network = Interfaces::new(&vec![nic; 2 * hosts], passed.iter().map(|nics| (bandwidth, nics.as_slice())));
    let mut simulator = Simulator::with_network(hosts * hosts, network);
    let mut sending = vec![0; hosts];
    let mut send = |simulator: &mut Simulator, sending: &mut Vec<u64>, host: usize| {
        let (to, bytes) = draws[host].flow(host, hosts);
        sending[host] = bytes;
        let isolated = unit.duration(bytes as f64 / workload::BANDWIDTH);
        simulator.begin(LaneId((host * hosts + to) as u32), StepId(host as u32), isolated);
    };
    for host in 0..hosts {
        send(&mut simulator, &mut sending, host);
    }
    let mut used = Use::new(hosts);
    for _ in 0..workload::FLOWS {
        let Some(Event::Ended(Completion { step, .. })) = simulator.next() else { unreachable!("flows follow flows") };
        let host = step.0 as usize;
        used.end(sending[host], unit.units(simulator.now()));
        send(&mut simulator, &mut sending, host);
    }
    Done { check: used.mean(unit.units(simulator.now())), events: workload::FLOWS }
}
