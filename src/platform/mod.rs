//! Where it is computed: devices, their memory, and the links between them.
//!
//! States what exists, never how long something takes on it: that is `cost`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

mod bandwidth_table;
mod interference;
mod limits;
mod memory;
mod paging;
mod runtime;

use serde::{Deserialize, Serialize};

pub use bandwidth_table::BandwidthTable;
pub use interference::{BandwidthRule, Host, Interference, Nic, Package, Sharing, Slowdown};
pub use limits::Limits;
pub use memory::{Memory, MemoryId};
pub use paging::Paging;
pub use runtime::{AgentAddress, CORE_MAX, Cores, Runtime, TensorrtUnit, parse_cores};

pub use crate::model::Precision;
use crate::model::{Graph, Layer, OpKind, Segment};
use crate::units::{BytesPerSec, Duration, JoulesPerByte, Watts};

/// Index of a device in the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub u32);

/// Index of a link in the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkId(pub u32);

/// Kind of compute unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// General-purpose cores, one device for all that work together.
    Cpu,
    /// A GPU on the processor's die, sharing its memory.
    Igpu,
    /// A GPU with memory of its own.
    Gpu,
    /// A deep-learning accelerator with a fixed set of operators.
    Dla,
    /// A whole board on a network.
    Board,
}

impl DeviceKind {
    /// Whether it is a GPU, wherever its memory is.
    pub fn is_gpu(self) -> bool {
        matches!(self, DeviceKind::Igpu | DeviceKind::Gpu)
    }
}

/// A compute unit.
#[derive(Clone, Debug)]
pub struct Device {
    /// Unique in the platform.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Devices of one class are equal: what was built for one runs on all of them.
    pub class: String,
    /// What it computes in.
    pub precision: Precision,
    /// Operators that it cannot run.
    pub unsupported: BTreeSet<OpKind>,
    /// What it accepts.
    pub limits: Limits,
    /// Compute units, such as streaming multiprocessors, of which lanes may hold some only.
    pub units: u32,
    /// What its steps read from and write to shared memory when alone; `None` follows from what they compute.
    pub traffic: Option<BytesPerSec>,
    /// What it draws, if that is known.
    pub power: Option<Power>,
    /// What runs it in profiles and replays.
    pub runtime: Runtime,
}

/// What a device draws.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Power {
    /// While it computes nothing.
    pub idle: Watts,
    /// While it computes; at least `idle`.
    pub active: Watts,
}

/// Whether both directions of a link work at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Data goes from the first end to the second only; a full-duplex cable is two such links.
    OneWay,
    /// Data goes either way, one transfer at a time: a half-duplex cable.
    EitherWay,
}

/// A way for data between two devices.
#[derive(Clone, Debug)]
pub struct Link {
    /// Unique in the platform.
    pub name: String,
    /// Where data comes from.
    pub from: DeviceId,
    /// Where data goes to.
    pub to: DeviceId,
    /// Whether `from` and `to` may change places.
    pub direction: Direction,
    /// What each transfer takes of the link's time beside its bytes: what is sent next waits for it.
    pub overhead: Duration,
    /// Bytes per second after that.
    pub bandwidth: BytesPerSec,
    /// From when data has been sent until it has arrived; meanwhile the link carries other data.
    pub latency: Duration,
    /// What it takes to send data, at both ends, if that is known.
    pub energy: Option<JoulesPerByte>,
}

/// Devices, links and how they disturb each other.
#[derive(Clone, Debug, Default)]
pub struct Platform {
    /// Compute units.
    pub devices: Vec<Device>,
    /// What holds their weights and data. A device that uses none holds as much as it wants.
    pub memories: Vec<Memory>,
    /// Ways between devices.
    pub links: Vec<Link>,
    /// How they slow each other.
    pub interference: Interference,
}

/// Why data cannot get from one device to another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No links lead there.
    #[error("no link leads from `{from}` to `{to}`")]
    None {
        /// The sender's name.
        from: String,
        /// The receiver's name.
        to: String,
    },
    /// The links form a cycle, so that there are several routes.
    #[error("the links form a cycle: data from `{from}` to `{to}` can go by {first} or by {second}")]
    Ambiguous {
        /// The sender's name.
        from: String,
        /// The receiver's name.
        to: String,
        /// One route, as the devices it passes.
        first: String,
        /// Another.
        second: String,
    },
}

impl Device {
    /// A device that computes in fp32 and can do what its kind can, of which no more is known.
    pub fn new(name: impl Into<String>, kind: DeviceKind) -> Device {
        let name = name.into();
        Device {
            class: name.clone(),
            name,
            kind,
            precision: Precision::default(),
            unsupported: kind.unsupported(),
            limits: kind.limits(),
            units: 100,
            traffic: None,
            power: None,
            runtime: Runtime::default(),
        }
    }

    /// The first layer of `segment` that it cannot run, if there is one.
    pub fn lacks<'g>(&self, graph: &'g Graph, segment: &Segment) -> Option<&'g Layer> {
        let mut layers = segment.layers().map(|id| graph.layer(id));
        layers.find(|layer| self.unsupported.contains(&layer.op.kind()))
    }
}

impl Link {
    /// A link without overhead and latency, of which no more is known.
    pub fn new(
        name: impl Into<String>,
        (from, to): (DeviceId, DeviceId),
        direction: Direction,
        bandwidth: BytesPerSec,
    ) -> Link {
        let [overhead, latency] = [Duration::ZERO; 2];
        Link { name: name.into(), from, to, direction, overhead, latency, bandwidth, energy: None }
    }

    /// The other end than `end`, which is one of both.
    pub fn opposite(&self, end: DeviceId) -> DeviceId {
        if self.to == end { self.from } else { self.to }
    }

    /// Whether data can enter at `from` and leave at `to`.
    pub fn leads(&self, from: DeviceId, to: DeviceId) -> bool {
        (self.from, self.to) == (from, to)
            || (self.direction == Direction::EitherWay && (self.to, self.from) == (from, to))
    }
}

impl Platform {
    /// The device with this id.
    pub fn device(&self, id: DeviceId) -> &Device {
        &self.devices[id.0 as usize]
    }

    /// The memory with this id.
    pub fn memory(&self, id: MemoryId) -> &Memory {
        &self.memories[id.0 as usize]
    }

    /// Ids of all memories.
    pub fn memory_ids(&self) -> impl Iterator<Item = MemoryId> + use<> {
        (0..self.memories.len() as u32).map(MemoryId)
    }

    /// The link with this id.
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0 as usize]
    }

    /// Ids of all devices.
    pub fn device_ids(&self) -> impl Iterator<Item = DeviceId> + use<> {
        (0..self.devices.len() as u32).map(DeviceId)
    }

    /// Ids of all links.
    pub fn link_ids(&self) -> impl Iterator<Item = LinkId> + use<> {
        (0..self.links.len() as u32).map(LinkId)
    }

    /// The links that data takes from one device to another, with the device at the end of each.
    ///
    /// A direct link always wins. Otherwise there must be exactly one way over other devices.
    pub fn route(&self, from: DeviceId, to: DeviceId) -> Result<Vec<(LinkId, DeviceId)>, RouteError> {
        if from == to {
            return Ok(Vec::new());
        }
        if let Some(direct) = self.links.iter().position(|link| link.leads(from, to)) {
            return Ok(vec![(LinkId(direct as u32), to)]);
        }
        let name = |id: DeviceId| self.device(id).name.clone();
        let describe = |route: &[(LinkId, DeviceId)]| {
            let stops = std::iter::once(from).chain(route.iter().map(|&(_, device)| device));
            stops.map(|id| format!("`{}`", name(id))).collect::<Vec<_>>().join(" -> ")
        };
        let ways = self.ways();
        let mut visited = vec![false; self.devices.len()];
        let Some(route) = search(&ways, from, &mut visited, |_, device| device == to) else {
            return Err(RouteError::None { from: name(from), to: name(to) });
        };
        match detour(&ways, from, &route) {
            None => Ok(route),
            Some(other) => Err(RouteError::Ambiguous {
                from: name(from),
                to: name(to),
                first: describe(&route),
                second: describe(&other),
            }),
        }
    }

    /// For each device, the links that leave it and where they lead.
    fn ways(&self) -> Vec<Vec<(LinkId, DeviceId)>> {
        let mut ways = vec![Vec::new(); self.devices.len()];
        for (index, link) in self.links.iter().enumerate() {
            for (at, next) in [(link.from, link.to), (link.to, link.from)] {
                if link.leads(at, next) {
                    ways[at.0 as usize].push((LinkId(index as u32), next));
                }
            }
        }
        ways
    }
}

/// A shortest route from `from` to the first device that is a goal, over devices that are not `visited` before.
///
/// Whether a device is a goal may depend on the device and link that lead to it.
fn search(
    ways: &[Vec<(LinkId, DeviceId)>],
    from: DeviceId,
    visited: &mut [bool],
    is_goal: impl Fn((DeviceId, LinkId), DeviceId) -> bool,
) -> Option<Vec<(LinkId, DeviceId)>> {
    let mut before: BTreeMap<DeviceId, (DeviceId, LinkId)> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    visited[from.0 as usize] = true;
    while let Some(at) = queue.pop_front() {
        for &(link, next) in &ways[at.0 as usize] {
            if is_goal((at, link), next) {
                let mut route = vec![(link, next)];
                let mut device = at;
                while let Some(&(earlier, link)) = before.get(&device) {
                    route.push((link, device));
                    device = earlier;
                }
                route.reverse();
                return Some(route);
            }
            if !std::mem::replace(&mut visited[next.0 as usize], true) {
                before.insert(next, (at, link));
                queue.push_back(next);
            }
        }
    }
    None
}

/// Another way to where `route` leads from `from`, passing no device twice.
///
/// It leaves the route somewhere and comes back further on, over devices that are not on the route. What was
/// visited from one device of the route leads no further from a later one, so that each device is visited once.
fn detour(
    ways: &[Vec<(LinkId, DeviceId)>],
    from: DeviceId,
    route: &[(LinkId, DeviceId)],
) -> Option<Vec<(LinkId, DeviceId)>> {
    let stops: Vec<DeviceId> = std::iter::once(from).chain(route.iter().map(|&(_, device)| device)).collect();
    let mut visited = vec![false; ways.len()];
    let mut position = vec![0; ways.len()];
    for (index, stop) in stops.iter().enumerate() {
        visited[stop.0 as usize] = true;
        position[stop.0 as usize] = index;
    }
    for (index, &(link, _)) in route.iter().enumerate() {
        let leave = stops[index];
        let returns =
            |way: (DeviceId, LinkId), device: DeviceId| way != (leave, link) && position[device.0 as usize] > index;
        if let Some(way) = search(ways, leave, &mut visited, returns) {
            let (_, device) = *way.last().expect("a route has a link");
            let rest = position[device.0 as usize];
            return Some([&route[..index], &way, &route[rest..]].concat());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    fn platform(links: &[(u32, u32)]) -> Platform {
        let device = |name: &str| (Device::new(name, DeviceKind::Cpu), Bytes(1));
        let link = |&(from, to): &(u32, u32)| {
            let ends = (DeviceId(from), DeviceId(to));
            Link::new(format!("{from}-{to}"), ends, Direction::EitherWay, BytesPerSec::new(1e6).unwrap())
        };
        Platform { links: links.iter().map(link).collect(), ..Platform::new(["a", "b", "c", "d"].map(device)) }
    }

    fn route(links: &[(u32, u32)]) -> Result<Vec<u32>, String> {
        let route = platform(links).route(DeviceId(0), DeviceId(2));
        route.map(|hops| hops.iter().map(|(_, device)| device.0).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_route_is_direct_or_the_only_way_round() {
        assert_eq!(route(&[(0, 2), (0, 1), (1, 2)]), Ok(vec![2]));
        assert_eq!(route(&[(0, 1), (2, 1), (1, 3)]), Ok(vec![1, 2]));
    }

    #[test]
    fn a_missing_route_is_named() {
        assert_eq!(route(&[(0, 1)]), Err("no link leads from `a` to `c`".into()));
    }

    #[test]
    fn a_cycle_of_links_is_ambiguous_where_no_direct_link_decides() {
        let message =
            "the links form a cycle: data from `a` to `c` can go by `a` -> `b` -> `c` or by `a` -> `d` -> `c`";
        assert_eq!(route(&[(0, 1), (1, 2), (2, 3), (3, 0)]), Err(message.into()));
        assert!(route(&[(0, 1), (0, 1), (1, 2)]).is_err());
        assert_eq!(route(&[(0, 1), (1, 2), (1, 3), (0, 3)]).unwrap_err().matches("->").count(), 5);
        assert_eq!(route(&[(0, 1), (1, 2), (2, 3)]), Ok(vec![1, 2]));
    }

    /// All routes from the first device to the third that pass no device twice.
    fn count_routes(links: &[(u32, u32)], at: u32, passed: u32) -> usize {
        let ends = |&(a, b): &(u32, u32)| if a == at { Some(b) } else { (b == at).then_some(a) };
        let fresh = links.iter().filter_map(ends).filter(|next| passed & (1 << next) == 0);
        fresh.map(|next| if next == 2 { 1 } else { count_routes(links, next, passed | 1 << next) }).sum()
    }

    #[test]
    fn a_route_is_found_exactly_if_there_is_one_and_no_other() {
        let pairs = [(0, 1), (1, 2), (3, 2), (3, 0), (1, 3), (1, 0)];
        for chosen in 0..1 << pairs.len() {
            let links: Vec<_> = (0..pairs.len()).filter(|bit| chosen & 1 << bit != 0).map(|bit| pairs[bit]).collect();
            let found = route(&links);
            match count_routes(&links, 0, 1) {
                0 => assert!(found.unwrap_err().starts_with("no link"), "{links:?}"),
                1 => assert_eq!(found.unwrap().last(), Some(&2), "{links:?}"),
                _ => assert!(found.unwrap_err().starts_with("the links form a cycle"), "{links:?}"),
            }
        }
    }
}
