//! The workloads on desque: an event is a boxed type, the state belongs to the simulation.

use std::collections::VecDeque;
use std::ops::Add;

use desque::serial::{OkEvent, Simulation};
use desque::{SimState, SimTime};

use crate::workload::{self, Done, Draws};

/// Seconds, or what stands for them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Add for Time {
    type Output = Time;
    fn add(self, delay: Time) -> Time {
        Time(self.0 + delay.0)
    }
}

impl SimTime for Time {}

/// Schedules `event` after `delay`.
fn push<S: SimState<Time>>(simulation: &mut Simulation<S, Time>, delay: f64, event: impl OkEvent<S, Time> + 'static) {
    simulation.schedule_with_delay(event, Time(delay)).expect("delays are not negative");
}

fn run<S: SimState<Time>>(simulation: &mut Simulation<S, Time>) {
    simulation.run().expect("no event fails");
}

/// One queue, one server.
pub(crate) fn mm1() -> Done {
    struct Queue {
        draws: Draws,
        waiting: VecDeque<f64>,
        arrived: u64,
        departed: u64,
        sojourns: f64,
    }
    impl SimState<Time> for Queue {}
    #[derive(Debug)]
    struct Arrival;
    #[derive(Debug)]
    struct Departure;
    impl OkEvent<Queue, Time> for Arrival {
        fn execute(&mut self, simulation: &mut Simulation<Queue, Time>) {
            let now = simulation.current_time().0;
            let queue = simulation.state_mut();
            queue.arrived += 1;
            if queue.arrived < workload::CUSTOMERS {
                let gap = queue.draws.exp(1.25);
                push(simulation, gap, Arrival);
            }
            let queue = simulation.state_mut();
            queue.waiting.push_back(now);
            if queue.waiting.len() == 1 {
                let service = queue.draws.exp(1.0);
                push(simulation, service, Departure);
            }
        }
    }
    impl OkEvent<Queue, Time> for Departure {
        fn execute(&mut self, simulation: &mut Simulation<Queue, Time>) {
            let now = simulation.current_time().0;
            let queue = simulation.state_mut();
            queue.departed += 1;
            queue.sojourns += now - queue.waiting.pop_front().expect("who departs has waited");
            if !queue.waiting.is_empty() {
                let service = queue.draws.exp(1.0);
                push(simulation, service, Departure);
            }
        }
    }
    let mut draws = Draws::new(42);
    let first = draws.exp(1.25);
    let queue = Queue { draws, waiting: VecDeque::new(), arrived: 0, departed: 0, sojourns: 0.0 };
    let mut simulation = Simulation::new(queue, Time(0.0));
    push(&mut simulation, first, Arrival);
    run(&mut simulation);
    let queue = simulation.state();
    Done { check: queue.sojourns / queue.departed as f64, events: queue.arrived + queue.departed }
}

/// Entities that send each other an event after a random time.
pub(crate) fn phold(entities: usize) -> Done {
    struct Entities {
        draws: Draws,
        handled: Vec<u32>,
        hops: u64,
    }
    impl SimState<Time> for Entities {
        fn is_complete(&self, _: &Time) -> bool {
            self.hops == workload::HOPS
        }
    }
    #[derive(Debug)]
    struct Hop(u32);
    impl OkEvent<Entities, Time> for Hop {
        fn execute(&mut self, simulation: &mut Simulation<Entities, Time>) {
            let state = simulation.state_mut();
            state.hops += 1;
            state.handled[self.0 as usize] += 1;
            let receiver = state.draws.below(state.handled.len()) as u32;
            let delay = state.draws.exp(1.0);
            push(simulation, delay, Hop(receiver));
        }
    }
    let state = Entities { draws: Draws::new(42), handled: vec![0; entities], hops: 0 };
    let mut simulation = Simulation::new(state, Time(0.0));
    for entity in 0..entities as u32 {
        let delay = simulation.state_mut().draws.exp(1.0);
        push(&mut simulation, delay, Hop(entity));
    }
    run(&mut simulation);
    let events = simulation.state().handled.iter().map(|&count| u64::from(count)).sum();
    Done { check: simulation.current_time().0, events }
}

/// A closed network of queues.
pub(crate) fn cqn() -> Done {
    struct Network {
        draws: Draws,
        waiting: Vec<VecDeque<u32>>,
        completions: u64,
    }
    impl SimState<Time> for Network {
        fn is_complete(&self, _: &Time) -> bool {
            self.completions == workload::COMPLETIONS
        }
    }
    #[derive(Debug)]
    struct Completion(u32);
    impl OkEvent<Network, Time> for Completion {
        fn execute(&mut self, simulation: &mut Simulation<Network, Time>) {
            let network = simulation.state_mut();
            network.completions += 1;
            let customer = network.waiting[self.0 as usize].pop_front().expect("a busy station has one");
            if !network.waiting[self.0 as usize].is_empty() {
                let service = network.draws.exp(1.0);
                push(simulation, service, Completion(self.0));
            }
            let network = simulation.state_mut();
            let receiver = network.draws.below(workload::STATIONS);
            network.waiting[receiver].push_back(customer);
            if network.waiting[receiver].len() == 1 {
                let service = network.draws.exp(1.0);
                push(simulation, service, Completion(receiver as u32));
            }
        }
    }
    let mut waiting = vec![VecDeque::new(); workload::STATIONS];
    for customer in 0..workload::POPULATION {
        waiting[customer % workload::STATIONS].push_back(customer as u32);
    }
    let mut simulation = Simulation::new(Network { draws: Draws::new(42), waiting, completions: 0 }, Time(0.0));
    for station in 0..workload::STATIONS as u32 {
        let service = simulation.state_mut().draws.exp(1.0);
        push(&mut simulation, service, Completion(station));
    }
    run(&mut simulation);
    Done { check: simulation.current_time().0, events: simulation.state().completions }
}

/// Three hosts in a row that execute items and hand them on when the next one is idle.
pub(crate) fn pipe() -> Done {
    struct Hosts {
        draws: [Draws; 3],
        is_idle: [bool; 3],
        holds: [bool; 3],
        begun: u64,
        activities: u64,
    }
    impl SimState<Time> for Hosts {}
    #[derive(Debug)]
    struct Executed(usize);
    #[derive(Debug)]
    struct Sent(usize);
    impl OkEvent<Hosts, Time> for Executed {
        fn execute(&mut self, simulation: &mut Simulation<Hosts, Time>) {
            let hosts = simulation.state_mut();
            hosts.activities += 1;
            if self.0 == 2 {
                hosts.is_idle[2] = true;
                hand_on(simulation, 1);
            } else {
                hosts.holds[self.0] = true;
                hand_on(simulation, self.0);
            }
        }
    }
    impl OkEvent<Hosts, Time> for Sent {
        fn execute(&mut self, simulation: &mut Simulation<Hosts, Time>) {
            let from = self.0;
            let hosts = simulation.state_mut();
            hosts.activities += 1;
            let execution = hosts.draws[from + 1].exp(workload::EXECUTION);
            push(simulation, execution, Executed(from + 1));
            let hosts = simulation.state_mut();
            if from > 0 {
                hosts.is_idle[from] = true;
                hand_on(simulation, from - 1);
            } else if hosts.begun < workload::ITEMS {
                hosts.begun += 1;
                let execution = hosts.draws[0].exp(workload::EXECUTION);
                push(simulation, execution, Executed(0));
            }
        }
    }
    /// Begins the transfer from `from` to the next host if the one has an item and the other is idle.
    fn hand_on(simulation: &mut Simulation<Hosts, Time>, from: usize) {
        let hosts = simulation.state_mut();
        if hosts.holds[from] && hosts.is_idle[from + 1] {
            (hosts.holds[from], hosts.is_idle[from + 1]) = (false, false);
            push(simulation, workload::ITEM_BYTES as f64 / workload::BANDWIDTH, Sent(from));
        }
    }
    let draws = [1, 2, 3].map(Draws::new);
    let hosts = Hosts { draws, is_idle: [false, true, true], holds: [false; 3], begun: 1, activities: 0 };
    let mut simulation = Simulation::new(hosts, Time(0.0));
    let execution = simulation.state_mut().draws[0].exp(workload::EXECUTION);
    push(&mut simulation, execution, Executed(0));
    run(&mut simulation);
    Done { check: simulation.current_time().0 / workload::ITEMS as f64, events: simulation.state().activities }
}
