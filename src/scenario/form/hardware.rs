//! Devices and links.

use std::any::Any;

use schemars::JsonSchema;

use super::{DeviceVariationForm, LinkVariationForm, NicDuplex, NicSharing};
use crate::model::OpKind;
use crate::platform::{DeviceKind, Precision};
use crate::scenario::decode::{At, form};
use crate::scenario::scalar::{FileName, Word};
use crate::units::{Bytes, BytesPerSec, Duration, JoulesPerByte, MacsPerSec, Watts};

form! {
    /// A compute unit.
    DeviceForm("the device") {
        /// Unique among the devices.
        name: At<String> = "name = \"gpu\"",
        /// How many there are of it, called by its name and numbers from 1 on; one, called by its name, if absent.
        count: At<u64>,
        /// What it is.
        kind: At<Word<DeviceKind>> = "kind = \"gpu\"",
        /// Memory for weights and data, for example `"4 GiB"`. Of a device in one of `memories` with a capacity, the most that
        /// it may hold there; all of that if absent.
        memory: At<Bytes>,
        /// How its memory holds more than its size by turns, as managed memory of a GPU does; if absent, all has to fit.
        paging: PagingForm,
        /// File with its profile, relative to the scenario file.
        trace: At<FileName>,
        /// What the trace calls it; its name if absent.
        profile: At<String>,
        /// How fast it computes networks that its trace does not have.
        speed: SpeedForm,
        /// What it computes in; `fp32` if absent. Only rows of its trace count that were taken so.
        precision: At<Word<Precision>>,
        /// Operators that it cannot run; if absent, none, but for a DLA those that TensorRT does not run there.
        unsupported: Vec<At<Word<OpKind>>>,
        /// What it accepts.
        limits: LimitsForm,
        /// Compute units, such as streaming multiprocessors, of which networks may have some each; 100 if absent.
        units: At<u64>,
        /// What runs it for `profile` and in replays; it is simulated only if nothing does.
        runtime: RuntimeForm,
        /// Short for `runtime = { cpu = .. }`.
        cpu: CpuForm,
        /// Short for `runtime = { agent = .. }`.
        agent: AgentForm,
        /// Short for `runtime = { tensorrt = .. }`.
        tensorrt: TensorrtForm,
        /// What its steps read from and write to memory that it shares, when alone; if absent, weights, inputs and
        /// outputs once each.
        traffic: At<BytesPerSec>,
        /// What it draws.
        power: PowerForm,
        /// How times vary around what its trace says; not at all if absent.
        variation: DeviceVariationForm,
    }

    /// What a device accepts. What is absent has no limit, but for a DLA that of TensorRT.
    LimitsForm("`limits`") {
        /// Precisions that it can compute in.
        precisions: Vec<At<Word<Precision>>>,
        /// Most samples of a step; 4096 on a DLA.
        batch: At<u64>,
        /// Most channels, rows or columns of a layer's input or output; 8192 on a DLA.
        dimension: At<u64>,
        /// Most segments, each compiled for a region of one shape; 16 on a DLA.
        loadables: At<u64>,
    }

    /// How a memory brings what a step uses and does not find there. The step waits for it before it computes: `start`, then
    /// for each batch `overhead` and `per_block` for each block (60 at most), then its bytes at `bandwidth`, and `eviction`
    /// for each block that has to go, of those that were used longest ago. What is absent is as on a Titan V with PCIe 3.
    PagingForm("`paging`") {
        /// Whether the driver brings neighbours of what faults, which is its default; `true` if absent. It says what the
        /// rest is.
        prefetch: At<bool>,
        /// What a step that faults waits for once; 0 with `prefetch`, 560 us without.
        start: At<Duration>,
        /// Most bytes that one batch of faults brings; 8.4 MB, or 1 MiB.
        batch: At<Bytes>,
        /// What a batch takes beside its bytes; 100 us, or 55 us.
        overhead: At<Duration>,
        /// What a batch takes for each block that a step lacks something of; 0, or 7.9 us.
        per_block: At<Duration>,
        /// How fast bytes come in; 7.19 GB/s, or 1.95 GB/s.
        bandwidth: At<BytesPerSec>,
        /// What is evicted at once; 2 MiB.
        block: At<Bytes>,
        /// What it takes to evict a block; 190 us.
        eviction: At<Duration>,
    }

    /// How fast a device computes.
    SpeedForm("`speed`") {
        /// Multiply-accumulates per second.
        rate: At<MacsPerSec> = "rate = \"9.7 GMAC/s\"",
        /// What each step takes by itself; 0 if absent.
        step: At<Duration>,
        /// Rows of a layer that are computed together, so that a part of them takes as long as all; 1 if absent.
        row_tile: At<u64>,
        /// Elements of a layer's output that a compute unit computes at once, so that a part of a wave over all `units` takes as
        /// long as all of it; any number if absent.
        unit_tile: At<u64>,
    }

    /// What a device draws.
    PowerForm("`power`") {
        /// While it computes nothing.
        idle: At<Watts> = "idle = \"5 W\"",
        /// While it computes; at least as much.
        active: At<Watts> = "active = \"30 W\"",
    }

    /// What runs a device.
    RuntimeForm("`runtime`") {
        @one_of "cpu = { cores = \"0\" }" as dyn Any {
            /// Cores of this machine.
            cpu: CpuForm,
            /// A device of another machine, by the agent that runs there.
            agent: AgentForm,
            /// A unit of this board that TensorRT runs.
            tensorrt: TensorrtForm,
            /// No hardware: its steps take the time that is predicted for them.
            mock: MockForm,
        }
    }

    /// No hardware.
    MockForm("`mock`") {
    }

    /// Cores of this machine that are a device.
    CpuForm("`cpu`") {
        /// Cores, such as `0`, `0-3` or `0,2`.
        cores: At<String> = "cores = \"0\"",
        /// Threads that compute together; as many as cores if absent.
        threads: At<u64>,
        /// How many times as long as on these cores each step takes, from 1 to 100: emulates a slower device. 1 if
        /// absent.
        slowed: At<f64>,
    }

    /// A device of another machine, on which `coinfer agent` runs.
    AgentForm("`agent`") {
        /// Host and port.
        address: At<String> = "address = \"10.0.0.2:7071\"",
        /// The name in its certificate; the host of the address if absent.
        server_name: At<String>,
    }

    /// The GPU or a DLA of this board, by trtexec.
    TensorrtForm("`tensorrt`") {
        /// Number of the deep-learning accelerator (DLA); the GPU if absent.
        dla_core: At<u64>,
        /// Whether the GPU runs layers that the DLA does not support; it does if absent.
        gpu_fallback: At<bool>,
    }

    /// A way for data between two devices.
    LinkForm("the link") {
        /// Unique among the links.
        name: At<String> = "name = \"pcie\"",
        /// The devices at its ends; data goes from the first to the second if `duplex = "one_way"`.
        between: Vec<At<String>> = "between = [\"cpu\", \"gpu\"]",
        /// Bytes per second, beside the overhead of each message.
        bandwidth: At<BytesPerSec> = "bandwidth = \"9.99 GB/s\"",
        /// From when a message has been sent until it has arrived; the link sends others meanwhile. 0 if absent.
        latency: At<Duration>,
        /// What each message keeps the link beside its bytes; what is sent next waits for it. 0 if absent.
        overhead: At<Duration>,
        /// Whether data goes both ways; `full` if absent.
        duplex: At<Word<Duplex>>,
        /// What it takes to send data, at both ends.
        energy: At<JoulesPerByte>,
        /// How times vary for which messages keep the link, around what overhead and bandwidth say; not at all if absent.
        variation: LinkVariationForm,
    }

    /// A network switch: links between every two of its devices, and a port for each.
    SwitchForm("the switch") {
        /// Unique among the links.
        name: At<String> = "name = \"lan\"",
        /// The devices at its ports; the name of several equal ones stands for all of them. All devices if absent.
        devices: Vec<At<String>>,
        /// What a port carries, in bytes per second.
        bandwidth: At<BytesPerSec> = "bandwidth = \"94 Mbit/s\"",
        /// From when a message has been sent until it has arrived; ports send others meanwhile. 0 if absent.
        latency: At<Duration>,
        /// What each message keeps its sender from sending the next to the same device, beside its bytes. 0 if absent.
        overhead: At<Duration>,
        /// Whether a port sends and receives at once; `full` if absent.
        duplex: At<Word<NicDuplex>>,
        /// Who goes first at a port; `fair` if absent.
        sharing: At<Word<NicSharing>>,
    }
}

/// Whether data goes both ways over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum Duplex {
    /// Both ways at once: two one-way links.
    Full,
    /// Either way, one transfer at a time.
    Half,
    /// From the first device to the second only.
    OneWay,
}
