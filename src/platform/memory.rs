//! What holds weights and data: memories of one device, or shared by several.

use serde::{Deserialize, Serialize};

use super::{BandwidthRule, Device, DeviceId, Paging, Platform};
use crate::units::Bytes;

/// Index of a memory in the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemoryId(pub u32);

/// What holds the weights and data of its users.
///
/// A device that uses several, such as a part of its own of a memory that others use too, keeps to the capacity of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Unique among the memories; one of a single device is called like it.
    pub name: String,
    /// What all of its users together can hold there; `None` if nobody says.
    pub capacity: Option<Bytes>,
    /// Who uses it; a device uses at most one memory with a rule.
    pub users: Vec<DeviceId>,
    /// How fast a user goes beside others; `None` if they do not slow each other there.
    pub rule: Option<BandwidthRule>,
    /// How it holds more than its capacity by turns; if it cannot, all that lies there at one time has to fit.
    pub paging: Option<Paging>,
}

impl Memory {
    /// What all that lies there at one time may come to; `None` if there is no such limit.
    pub fn most_held(&self) -> Option<Bytes> {
        self.capacity.filter(|_| self.paging.is_none())
    }
}

impl Platform {
    /// A platform of these devices, each with a memory of its own, and of nothing else.
    pub fn new(devices: impl IntoIterator<Item = (Device, Bytes)>) -> Platform {
        let mut platform = Platform::default();
        for (device, capacity) in devices {
            platform.add(device, capacity);
        }
        platform
    }

    /// Adds a device with a memory of its own.
    pub fn add(&mut self, device: Device, capacity: Bytes) -> DeviceId {
        let id = DeviceId(self.devices.len() as u32);
        let name = device.name.clone();
        self.memories.push(Memory { name, capacity: Some(capacity), users: vec![id], rule: None, paging: None });
        self.devices.push(device);
        id
    }

    /// Lets all devices slow each other by what they read and write, as they do in one memory of which no more is known.
    pub fn contend(&mut self, rule: BandwidthRule) {
        let users = self.device_ids().collect();
        self.memories.push(Memory { name: "shared".to_owned(), capacity: None, users, rule: Some(rule), paging: None });
    }

    /// The most that a step on `device` can use, if no other holds anything.
    pub fn capacity(&self, device: DeviceId) -> Bytes {
        let of_device = self.memories.iter().filter(|memory| memory.users.contains(&device));
        of_device.filter_map(|memory| memory.capacity).min().unwrap_or(Bytes(u64::MAX))
    }

    /// The most that `device` can hold in the course of a plan, if no other holds anything.
    pub fn most_held(&self, device: DeviceId) -> Bytes {
        let of_device = self.memories.iter().filter(|memory| memory.users.contains(&device));
        of_device.filter_map(Memory::most_held).min().unwrap_or(Bytes(u64::MAX))
    }

    /// Whether two devices use one memory of limited capacity, as a device does with itself.
    pub fn share_memory(&self, device: DeviceId, other: DeviceId) -> bool {
        let is_of_both = |memory: &Memory| memory.users.contains(&device) && memory.users.contains(&other);
        self.memories.iter().any(|memory| memory.capacity.is_some() && is_of_both(memory))
    }

    /// Whether `device` uses a memory of limited capacity that others use too.
    pub fn shares_memory(&self, device: DeviceId) -> bool {
        self.device_ids().any(|other| other != device && self.share_memory(device, other))
    }

    /// The memories in which users slow each other, with how they do.
    pub fn contended_memories(&self) -> impl Iterator<Item = (&Memory, &BandwidthRule)> {
        self.memories.iter().filter_map(|memory| Some((memory, memory.rule.as_ref()?)))
    }
}
