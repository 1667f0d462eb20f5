//! The limit: the standard heap with a typed event, and nothing else of a simulator.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::workload::{self, Done, Draws, Use};

/// Events by time and, at equal times, by insertion.
struct Calendar<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    inserted: u64,
}

struct Entry<E> {
    /// The bits of a time that is not negative order as the time does.
    key: (u64, u64),
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<E> Calendar<E> {
    fn new() -> Calendar<E> {
        Calendar { heap: BinaryHeap::new(), inserted: 0 }
    }

    fn push(&mut self, at: f64, event: E) {
        self.inserted += 1;
        self.heap.push(Reverse(Entry { key: (at.to_bits(), self.inserted), event }));
    }

    fn pop(&mut self) -> Option<(f64, E)> {
        self.heap.pop().map(|Reverse(entry)| (f64::from_bits(entry.key.0), entry.event))
    }
}

/// One queue, one server.
pub(crate) fn mm1() -> Done {
    enum Event {
        Arrival,
        Departure,
    }
    let (mut draws, mut calendar) = (Draws::new(42), Calendar::new());
    let (mut arrived, mut departed, mut sojourns) = (0, 0, 0.0);
    let mut waiting = VecDeque::new();
    calendar.push(draws.exp(1.25), Event::Arrival);
    while let Some((now, event)) = calendar.pop() {
        match event {
            Event::Arrival => {
                arrived += 1;
                if arrived < workload::CUSTOMERS {
                    calendar.push(now + draws.exp(1.25), Event::Arrival);
                }
                waiting.push_back(now);
                if waiting.len() == 1 {
                    calendar.push(now + draws.exp(1.0), Event::Departure);
                }
            }
            Event::Departure => {
                departed += 1;
                sojourns += now - waiting.pop_front().expect("who departs has waited");
                if !waiting.is_empty() {
                    calendar.push(now + draws.exp(1.0), Event::Departure);
                }
            }
        }
    }
    Done { check: sojourns / departed as f64, events: arrived + departed }
}

/// Entities that send each other an event after a random time.
pub(crate) fn phold(entities: usize) -> Done {
    let (mut draws, mut calendar) = (Draws::new(42), Calendar::new());
    let mut handled = vec![0u32; entities];
    for entity in 0..entities as u32 {
        calendar.push(draws.exp(1.0), entity);
    }
    let mut end = 0.0;
    for _ in 0..workload::HOPS {
        let (now, entity) = calendar.pop().expect("each event sends another");
        handled[entity as usize] += 1;
        let receiver = draws.below(entities) as u32;
        calendar.push(now + draws.exp(1.0), receiver);
        end = now;
    }
    Done { check: end, events: handled.iter().map(|&count| u64::from(count)).sum() }
}

/// A closed network of queues.
pub(crate) fn cqn() -> Done {
    let (mut draws, mut calendar) = (Draws::new(42), Calendar::new());
    let mut waiting: Vec<VecDeque<u32>> = vec![VecDeque::new(); workload::STATIONS];
    for customer in 0..workload::POPULATION {
        waiting[customer % workload::STATIONS].push_back(customer as u32);
    }
    for station in 0..workload::STATIONS as u32 {
        calendar.push(draws.exp(1.0), station);
    }
    let mut end = 0.0;
    for _ in 0..workload::COMPLETIONS {
        let (now, station) = calendar.pop().expect("customers never leave");
        let customer = waiting[station as usize].pop_front().expect("a busy station has one");
        if !waiting[station as usize].is_empty() {
            calendar.push(now + draws.exp(1.0), station);
        }
        let receiver = draws.below(workload::STATIONS);
        waiting[receiver].push_back(customer);
        if waiting[receiver].len() == 1 {
            calendar.push(now + draws.exp(1.0), receiver as u32);
        }
        end = now;
    }
    Done { check: end, events: workload::COMPLETIONS }
}

/// Hosts around a switch that send each other flows, each as fast as max-min fairness lets it.
///
/// Each up-link carries one flow, so that flows share only the down-link, in equal parts: what is left of them is
/// ordered by the work that each flow of the link has had since the beginning. An engine has to find this out.
pub(crate) fn star(hosts: usize) -> Done {
    let mut calendar = Calendar::new();
    let mut draws: Vec<Draws> = (0..hosts).map(|host| Draws::new(1000 + host as u64)).collect();
    let mut links: Vec<DownLink> = (0..hosts).map(|_| DownLink::default()).collect();
    for (host, draws) in draws.iter_mut().enumerate() {
        let (to, bytes) = draws.flow(host, hosts);
        links[to].begin(0.0, host, bytes);
    }
    for (to, link) in links.iter_mut().enumerate() {
        link.schedule(0.0, to, &mut calendar);
    }
    let (mut used, mut end) = (Use::new(hosts), 0.0);
    let mut done = 0;
    while done < workload::FLOWS {
        let (now, (to, revision)) = calendar.pop().expect("each flow is followed by one");
        if revision != links[to].revision {
            continue;
        }
        let (host, bytes) = links[to].end(now);
        used.end(bytes, now);
        (done, end) = (done + 1, now);
        let (next, bytes) = draws[host].flow(host, hosts);
        links[next].begin(now, host, bytes);
        links[to].schedule(now, to, &mut calendar);
        if next != to {
            links[next].schedule(now, next, &mut calendar);
        }
    }
    Done { check: used.mean(end), events: done }
}

/// A link that gives each flow the same share.
#[derive(Default)]
struct DownLink {
    /// Bytes that each flow would have had, had it been there from the beginning.
    served: f64,
    /// When `served` was so.
    at: f64,
    /// By what `served` will be when the flow ends: (that, sender, bytes).
    flows: Vec<(f64, usize, u64)>,
    /// How often the end of its first flow was scheduled; earlier schedules are void.
    revision: u64,
}

impl DownLink {
    fn advance(&mut self, now: f64) {
        if !self.flows.is_empty() {
            self.served += (now - self.at) * workload::BANDWIDTH / self.flows.len() as f64;
        }
        self.at = now;
    }

    fn begin(&mut self, now: f64, from: usize, bytes: u64) {
        self.advance(now);
        self.flows.push((self.served + bytes as f64, from, bytes));
    }

    /// The first flow ends.
    fn end(&mut self, now: f64) -> (usize, u64) {
        let (_, from, bytes) = self.flows.swap_remove(self.first().expect("a flow ends"));
        // `advance` would count one flow too few.
        self.served += (now - self.at) * workload::BANDWIDTH / (self.flows.len() + 1) as f64;
        self.at = now;
        (from, bytes)
    }

    fn first(&self) -> Option<usize> {
        (0..self.flows.len()).min_by(|&a, &b| self.flows[a].0.total_cmp(&self.flows[b].0))
    }

    fn schedule(&mut self, now: f64, own: usize, calendar: &mut Calendar<(usize, u64)>) {
        self.revision += 1;
        if let Some(first) = self.first() {
            let left = (self.flows[first].0 - self.served) * self.flows.len() as f64 / workload::BANDWIDTH;
            calendar.push(now + left.max(0.0), (own, self.revision));
        }
    }
}

/// Three hosts in a row that execute items and hand them on when the next one is idle.
pub(crate) fn pipe() -> Done {
    #[derive(Clone, Copy)]
    enum Event {
        Executed(usize),
        Sent(usize),
    }
    const TRANSFER: f64 = workload::ITEM_BYTES as f64 / workload::BANDWIDTH;
    let mut calendar = Calendar::new();
    let mut draws = [1, 2, 3].map(Draws::new);
    // A host is idle, executes, holds an item that it cannot hand on yet, or sends or receives one.
    let (mut is_idle, mut holds) = ([false, true, true], [false; 3]);
    let (mut begun, mut activities, mut end) = (1, 0, 0.0);
    calendar.push(draws[0].exp(workload::EXECUTION), Event::Executed(0));
    while let Some((now, event)) = calendar.pop() {
        (activities, end) = (activities + 1, now);
        let freed = match event {
            Event::Executed(2) => {
                is_idle[2] = true;
                2
            }
            Event::Executed(host) => {
                holds[host] = true;
                host + 1
            }
            Event::Sent(from) => {
                calendar.push(now + draws[from + 1].exp(workload::EXECUTION), Event::Executed(from + 1));
                if from == 0 && begun < workload::ITEMS {
                    begun += 1;
                    calendar.push(now + draws[0].exp(workload::EXECUTION), Event::Executed(0));
                } else {
                    is_idle[from] = true;
                }
                from
            }
        };
        if freed > 0 && is_idle[freed] && holds[freed - 1] {
            (is_idle[freed], holds[freed - 1]) = (false, false);
            calendar.push(now + TRANSFER, Event::Sent(freed - 1));
        }
    }
    Done { check: end / workload::ITEMS as f64, events: activities }
}
