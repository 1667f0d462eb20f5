//! Links that pass through common network interfaces.
//!
//! A transfer first takes its link's overhead, which it shares with nobody, and then sends. What is sent at the same
//! time through an interface shares its bandwidth: max-min fair, by progressive filling (Bertsekas and Gallager, Data
//! Networks, 1992, section 6.5), or one after the other. A start or an end changes the rates of those transfers only
//! that are joined to it by interfaces they have in common.

use crate::plan::{Lane, LaneId};
use crate::platform::{LinkId, Nic, Platform, Sharing};
use crate::units::{BytesPerSec, Duration};

/// Interfaces, and the transfers that go through them now.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    interfaces: Vec<Interface>,
    /// By lane; entries of computing lanes are of no use.
    lanes: Vec<CarryingLane>,
    /// The interfaces of each lane, one lane after the other.
    uses: Vec<u32>,
    /// Interfaces where a transfer has begun or ended since rates were last computed.
    changed: Vec<u32>,
    /// Lanes without interfaces that have begun to send, or whose link has changed, since rates were last computed.
    alone: Vec<u32>,
    /// Marks what a search has seen.
    epoch: u64,
    component: Component,
}

/// Transfers and interfaces that are joined, as a search finds them; kept to be filled again.
#[derive(Clone, Debug, Default)]
struct Component {
    interfaces: Vec<u32>,
    lanes: Vec<u32>,
    given: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Interface {
    /// Bytes per second.
    capacity: f64,
    sharing: Sharing,
    /// Lanes that send through it, in the order in which they began.
    senders: Vec<u32>,
    is_changed: bool,
    seen: u64,
    /// While rates are computed: what is left to give, and to how many.
    left: f64,
    waiting: u32,
}

#[derive(Clone, Copy, Debug)]
struct CarryingLane {
    /// Its part of `uses`.
    uses_from: u32,
    uses_count: u32,
    link: LinkId,
    /// Bytes per second of its link when healthy.
    bandwidth: f64,
    overhead: Duration,
    /// The part of the bandwidth that a fault leaves.
    health: f64,
    /// Isolated time to send once the overhead has passed; `None` if it has, or nothing is under way.
    to_send: Option<Duration>,
    seen: u64,
    /// Bytes per second, as computed last; negative while it is not known.
    rate: f64,
}

impl Interfaces {
    /// The interfaces of a platform, without lanes.
    pub(super) fn of(platform: &Platform) -> Interfaces {
        Interfaces::with_interfaces(&platform.interference.nics)
    }

    /// Lanes that each send at most at `bandwidth` through the interfaces with these indexes.
    pub fn new<'a>(nics: &[Nic], lanes: impl IntoIterator<Item = (BytesPerSec, &'a [u32])>) -> Interfaces {
        let mut network = Interfaces::with_interfaces(nics);
        for (bandwidth, interfaces) in lanes {
            network.push(LinkId(u32::MAX), bandwidth, Duration::ZERO, interfaces.iter().copied());
        }
        network
    }

    fn with_interfaces(nics: &[Nic]) -> Interfaces {
        let interface = |nic: &Nic| Interface {
            capacity: nic.bandwidth.as_f64(),
            sharing: nic.sharing,
            senders: Vec::new(),
            is_changed: false,
            seen: 0,
            left: 0.0,
            waiting: 0,
        };
        Interfaces { interfaces: nics.iter().map(interface).collect(), ..Interfaces::default() }
    }

    /// Adds a lane.
    pub(super) fn add(&mut self, lane: &Lane, platform: &Platform) {
        match lane {
            Lane::Link(id) => {
                let (link, nics) = (platform.link(*id), &platform.interference.nics);
                let through = (0..).zip(nics).filter(|(_, nic)| nic.links.contains(id)).map(|(index, _)| index);
                self.push(*id, link.bandwidth, link.overhead, through);
            }
            Lane::Compute { .. } => self.push(LinkId(u32::MAX), BytesPerSec::ONE, Duration::ZERO, []),
        }
    }

    fn push(
        &mut self,
        link: LinkId,
        bandwidth: BytesPerSec,
        overhead: Duration,
        interfaces: impl IntoIterator<Item = u32>,
    ) {
        let uses_from = self.uses.len() as u32;
        self.uses.extend(interfaces);
        self.lanes.push(CarryingLane {
            uses_from,
            uses_count: self.uses.len() as u32 - uses_from,
            link,
            bandwidth: bandwidth.as_f64(),
            overhead,
            health: 1.0,
            to_send: None,
            seen: 0,
            rate: -1.0,
        });
    }

    /// `lane` begins a transfer. Returns its rate and how long that lasts: to its end, or until it sends.
    #[inline]
    pub(super) fn begin(&mut self, lane: LaneId, isolated: Duration) -> (f64, Duration) {
        let state = &mut self.lanes[lane.0 as usize];
        if state.uses_count == 0 && (state.overhead == Duration::ZERO || state.overhead >= isolated) {
            return (state.health, isolated);
        }
        let overhead = state.overhead.min(isolated);
        state.to_send = Some(isolated.saturating_sub(overhead));
        (1.0, overhead)
    }

    /// If `lane` has passed its overhead and begins to send, the isolated time that this takes; its rate is among the
    /// changed ones.
    #[inline]
    pub(super) fn send(&mut self, lane: LaneId) -> Option<Duration> {
        let state = &mut self.lanes[lane.0 as usize];
        let to_send = state.to_send.take()?;
        if state.uses_count == 0 {
            self.alone.push(lane.0);
        }
        state.rate = -1.0;
        for &index in state.uses(&self.uses) {
            let interface = &mut self.interfaces[index as usize];
            interface.senders.push(lane.0);
            mark(interface, index, &mut self.changed);
        }
        Some(to_send)
    }

    /// `lane` ends its transfer, or loses it.
    #[inline]
    pub(super) fn end(&mut self, lane: LaneId) {
        let state = &mut self.lanes[lane.0 as usize];
        if state.to_send.take().is_some() {
            return;
        }
        for &index in state.uses(&self.uses) {
            let interface = &mut self.interfaces[index as usize];
            if let Some(at) = interface.senders.iter().position(|&sender| sender == lane.0) {
                interface.senders.remove(at);
                mark(interface, index, &mut self.changed);
            }
        }
    }

    /// Leaves `link` with this part of its bandwidth.
    pub(super) fn set_health(&mut self, link: LinkId, health: f64) {
        let Self { lanes, uses, interfaces, changed, alone, .. } = self;
        for (index, lane) in (0..).zip(lanes).filter(|(_, lane)| lane.link == link) {
            lane.health = health;
            for &interface in lane.uses(uses) {
                mark(&mut interfaces[interface as usize], interface, changed);
            }
            if lane.uses_count == 0 && lane.to_send.is_none() {
                alone.push(index);
            }
        }
    }

    /// Calls `apply` with each lane whose rate has changed since the last call, and its rate as a part of its link's
    /// bandwidth.
    #[inline]
    pub(super) fn for_each_changed(&mut self, mut apply: impl FnMut(LaneId, f64)) {
        for lane in self.alone.drain(..) {
            apply(LaneId(lane), self.lanes[lane as usize].health);
        }
        while let Some(first) = self.changed.pop() {
            if std::mem::take(&mut self.interfaces[first as usize].is_changed) {
                self.find_component(first);
                self.share(&mut apply);
            }
        }
    }

    /// Everything that is joined to the interface `first`.
    fn find_component(&mut self, first: u32) {
        self.epoch += 1;
        let Self { interfaces, lanes, uses, component, epoch, .. } = self;
        component.interfaces.clear();
        component.lanes.clear();
        component.interfaces.push(first);
        interfaces[first as usize].seen = *epoch;
        let mut next = 0;
        while let Some(&index) = component.interfaces.get(next) {
            next += 1;
            interfaces[index as usize].is_changed = false;
            for place in 0..interfaces[index as usize].senders.len() {
                let sender = interfaces[index as usize].senders[place];
                let lane = &mut lanes[sender as usize];
                if std::mem::replace(&mut lane.seen, *epoch) == *epoch {
                    continue;
                }
                component.lanes.push(sender);
                for &other in lane.uses(uses) {
                    if std::mem::replace(&mut interfaces[other as usize].seen, *epoch) != *epoch {
                        component.interfaces.push(other);
                    }
                }
            }
        }
    }

    /// Shares the interfaces of the component among its transfers.
    fn share(&mut self, apply: &mut impl FnMut(LaneId, f64)) {
        let Self { interfaces, lanes, uses, component, .. } = self;
        for &index in &component.interfaces {
            let interface = &mut interfaces[index as usize];
            (interface.left, interface.waiting) = (interface.capacity, 0);
        }
        // Those that must wait for an interface that serves one at a time get nothing.
        component.lanes.retain(|&index| {
            let lane = &mut lanes[index as usize];
            let is_first = |&interface: &u32| {
                let interface = &interfaces[interface as usize];
                interface.sharing == Sharing::Fair || interface.senders.first() == Some(&index)
            };
            let goes = lane.uses(uses).iter().all(is_first);
            if goes {
                lane.uses(uses).iter().for_each(|&interface| interfaces[interface as usize].waiting += 1);
            } else {
                give(lane, index, 0.0, apply);
            }
            goes
        });
        while !component.lanes.is_empty() {
            let fair = |&index: &u32| {
                let interface = &interfaces[index as usize];
                (interface.waiting > 0).then(|| interface.left / f64::from(interface.waiting))
            };
            let share = component.interfaces.iter().filter_map(fair).fold(f64::INFINITY, f64::min);
            // All whose link is slower than the fair share go as fast as that; if there are none, those that pass
            // through the scarcest interface get the fair share of it.
            let slowest = component.lanes.iter().map(|&lane| lanes[lane as usize].cap()).fold(f64::INFINITY, f64::min);
            let is_scarce = |interface: &Interface| interface.left / f64::from(interface.waiting) <= share;
            component.given.clear();
            let given = &mut component.given;
            component.lanes.retain(|&index| {
                let lane = &lanes[index as usize];
                let is_given = if slowest <= share {
                    lane.cap() <= share
                } else {
                    lane.uses(uses).iter().any(|&interface| is_scarce(&interfaces[interface as usize]))
                };
                if is_given {
                    given.push(index);
                }
                !is_given
            });
            debug_assert!(!given.is_empty(), "each round gives something");
            for &index in &component.given {
                let lane = &mut lanes[index as usize];
                let rate = lane.cap().min(share);
                for &interface in lane.uses(uses) {
                    let interface = &mut interfaces[interface as usize];
                    // Shares of what is left sum to it but for rounding.
                    debug_assert!(
                        interface.left - rate >= -1e-6 * interface.capacity,
                        "no more is given than there is"
                    );
                    interface.left = (interface.left - rate).max(0.0);
                    interface.waiting -= 1;
                }
                give(lane, index, rate, apply);
            }
        }
    }
}

impl CarryingLane {
    /// Its interfaces, of those of all lanes.
    #[inline]
    fn uses<'a>(&self, all: &'a [u32]) -> &'a [u32] {
        &all[self.uses_from as usize..(self.uses_from + self.uses_count) as usize]
    }

    /// Bytes per second that its link allows.
    #[inline]
    fn cap(&self) -> f64 {
        self.bandwidth * self.health
    }
}

#[inline]
fn mark(interface: &mut Interface, index: u32, changed: &mut Vec<u32>) {
    if !std::mem::replace(&mut interface.is_changed, true) {
        changed.push(index);
    }
}

fn give(lane: &mut CarryingLane, index: u32, rate: f64, apply: &mut impl FnMut(LaneId, f64)) {
    if lane.rate != rate {
        lane.rate = rate;
        apply(LaneId(index), rate / lane.bandwidth);
    }
}
