//! What devices and links contend for.

use std::any::Any;

use schemars::JsonSchema;

use super::{PagingForm, Pairs};
use crate::scenario::decode::{At, form};
use crate::scenario::scalar::{FileName, Word};
use crate::units::{Bytes, BytesPerSec, Watts};

form! {
    /// How much longer steps on a device take while another computes. Of several, what is above 1 adds up: two of 1.12 make
    /// 1.24.
    SlowdownForm("the slowdown") {
        /// The device that is slowed.
        device: At<String> = "device = \"cpu\"",
        /// The device whose work slows it; if it is the same, what networks on parts of it take from each other.
        while_busy: At<String> = "while_busy = \"igpu\"",
        /// How many times as long steps take, from 1 to 100.
        factor: At<f64> = "factor = 1.12",
    }

    /// A memory that several devices share: what it holds, how they slow each other there, or both. How fast a device goes
    /// that alone would read and write `x` beside others that need `y` is one of four rules. Speeds are relative to running alone: others take no more than they need, so that it
    /// is `(x - y) / x` at least by any formula, and 1 alone.
    MemoryForm("the memory") {
        /// Unique among the memories.
        name: At<String>,
        /// The devices that share it; each belongs to one memory at most.
        devices: Vec<At<String>> = "devices = [\"gpu\", \"dla\"]",
        /// What it can hold of weights and data of all devices that share it; if absent, each holds what its own `memory` says.
        capacity: At<Bytes>,
        /// How it holds more than its capacity by turns; if absent, all has to fit.
        paging: PagingForm,
        @one_of "proportional = { peak = \"78 GB/s\" }" as dyn Any, unless capacity {
            /// All get the same part of what they need: `peak / (x + y)`.
            proportional: ProportionalForm,
            /// A device gets what others leave, or `floor` if that is more: `max(peak - y, floor) / x`.
            residual_or_floor: ResidualForm,
            /// `1 / (1 + (max(0, x + min(y, cap) - threshold) / width)^exponent)`.
            smooth: SmoothForm,
            /// As it was measured on a grid of `x` and `y`, bilinear between its points. Beyond it others slow no more, and a
            /// device gets no more than the one that needed most.
            table: TableForm,
        }
    }

    /// Bandwidth as it was measured.
    TableForm("`table`") {
        /// File with the grid, relative to the scenario file.
        file: At<FileName> = "file = \"../traces/xavier-shared-bandwidth.csv\"",
    }

    /// All get the same part of what they need.
    ProportionalForm("`proportional`") {
        /// What the memory delivers.
        peak: At<BytesPerSec> = "peak = \"78 GB/s\"",
    }

    /// A device gets what others leave, or `floor` if that is more.
    ResidualForm("`residual_or_floor`") {
        /// What the memory delivers.
        peak: At<BytesPerSec> = "peak = \"78 GB/s\"",
        /// What a device gets at least; at most `peak`.
        floor: At<BytesPerSec> = "floor = \"46 GB/s\"",
    }

    /// The more devices need together, the slower they go.
    SmoothForm("`smooth`") {
        /// Below this sum nothing slows.
        threshold: At<BytesPerSec> = "threshold = \"76.5 GB/s\"",
        /// Others slow no more than this much traffic would.
        cap: At<BytesPerSec> = "cap = \"40.6 GB/s\"",
        /// The excess over `threshold` at which the speed is a half.
        width: At<BytesPerSec> = "width = \"71 GB/s\"",
        /// How steep the speed falls around that, from 0.01 to 100.
        exponent: At<f64> = "exponent = 0.91",
    }

    /// A chip whose devices share a power budget: while the busy ones would draw more, all are clocked down. Times of a device
    /// are those at the clock that the budget leaves it alone.
    PackageForm("the package") {
        /// Unique among the packages.
        name: At<String>,
        /// Its devices, which have a `power`; each belongs to one package at most.
        devices: Vec<At<String>> = "devices = [\"cpu\", \"gpu\"]",
        /// What they may draw together; more than while all are idle.
        budget: At<Watts> = "budget = \"15 W\"",
        /// Power grows with the clock to the power of this: 1 if only the clock falls, up to 3 if the voltage falls
        /// with it. 3 if absent.
        exponent: At<f64>,
    }

    /// A processor some of whose threads drive other devices while these are busy. Where `h` of its `C` threads are held, it
    /// has `C - h` left, and at least `min(1, C^2 / (C + h))`: one that takes turns with those that poll.
    HostForm("the host") {
        /// The processor.
        device: At<String> = "device = \"cpu\"",
        /// Threads that its steps use when no other device needs one, from 1 to 1024.
        threads: At<u64> = "threads = 8",
        /// Devices, and how many threads each holds while it is busy.
        holds: Pairs = "holds = { gpu = 1 }",
    }

    /// A network interface of a device, which its links share whether or not `contention` is on.
    NicForm("the interface") {
        /// Unique among the interfaces.
        name: At<String>,
        /// The device that has it.
        device: At<String> = "device = \"server\"",
        /// The links of the device that pass through it; all if absent. A link that works one way at a time takes of
        /// both directions.
        links: Vec<At<String>>,
        /// What it carries altogether, or in each direction.
        bandwidth: At<BytesPerSec> = "bandwidth = \"100 Mbit/s\"",
        /// Whether each direction has the bandwidth, or both share it; `full` if absent.
        duplex: At<Word<NicDuplex>>,
        /// How transfers share it; `fair` if absent.
        sharing: At<Word<NicSharing>>,
    }
}

/// Whether both directions of an interface have a bandwidth each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum NicDuplex {
    /// Each direction has the bandwidth.
    Full,
    /// Both directions share it.
    Half,
}

/// How transfers share an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum NicSharing {
    /// All at once, max-min fair.
    Fair,
    /// One after the other, in the order in which they began to send.
    Serial,
}
