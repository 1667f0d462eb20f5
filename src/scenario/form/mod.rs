//! The tables of a scenario file, with what an editor shows about each key.
//!
//! What each key may hold is checked here; what the values mean together, in [`super::lower`].

mod contention;
mod hardware;
mod load;
mod variation;

use std::any::Any;

use schemars::json_schema;

pub(super) use contention::{HostForm, MemoryForm, NicDuplex, NicForm, NicSharing, PackageForm, SlowdownForm};
pub(super) use hardware::{
    AgentForm, CpuForm, DeviceForm, Duplex, LimitsForm, LinkForm, PagingForm, PowerForm, RuntimeForm, SwitchForm,
    TensorrtForm,
};
pub(super) use load::{ArrivalsForm, DispatchForm, LoadForm, Moment, RecordedForm, ReplicationsForm, ServerForm};
pub(super) use variation::{DeviceVariationForm, FaultForm, GammaForm, LinkVariationForm, LognormalForm, SpikesForm};

use super::decode::{At, Decode, LIST_MAX, form, inline_schema, table};
use super::diagnostic::{Mistakes, Span};
use super::document::{Node, Value};
use super::overrides::counted;
use super::parsed::{Parsed, StrategyTable};
use super::range::range;
use super::scalar::{FileName, Word};
use crate::cost::Lookup;
use crate::strategy::{
    Aofl, BatchScheduler, Coedge, Deepthings, DlaSplit, DlaStream, Even, Exact, FirstFree, FullSearch, Greedy, Guided,
    KBest, LayerGroups, Legion, MicroBatchedSingle, Modnn, Partitioned, Proportional, RoundRobin, Single,
};
use crate::units::{Bytes, Duration};

form! {
    /// A scenario: which devices share which inference work, and by which strategies.
    ScenarioForm("the scenario") {
        /// Names the folder of results: letters, digits, `.`, `_` and `-`. The file's name if absent.
        name: At<String>,
        /// What the scenario shows, in a sentence or two.
        description: At<String>,
        /// Seed of chance: of arrivals, variation and faults, and of the inputs of replays; 0 if absent.
        seed: At<u64>,
        /// Whether devices that compute at the same time slow each other, as `slowdowns`, `memories`, `packages` and
        /// `hosts` say or, without any of them, as was measured; false if absent.
        contention: At<bool>,
        /// The device that speed-ups are over, with the whole load on it alone; the fastest if absent.
        baseline: At<String>,
        /// Whether the baseline has its inputs at hand and keeps its outputs, wherever the models' homes are; false if
        /// absent.
        baseline_at_hand: At<bool>,
        /// When queries arrive and how many samples they have, for example `load = { offline = { samples = 100 } }`. Each
        /// runs all networks, unless recorded arrivals have a column `model`. Absent where models have loads of their own.
        load: LoadForm,
        /// When plans are issued for queries; for each as it arrives if absent.
        dispatch: DispatchForm,
        /// How often a run in which something is left to chance is repeated, and what of each counts.
        replications: ReplicationsForm,
        /// How durations follow from traces.
        costs: CostsForm,
        /// What it takes to profile; then results say what each strategy would have to profile, and how long that takes.
        profiling: ProfilingForm,
        /// Compute units.
        devices: Vec<DeviceForm> = "[[devices]]",
        /// Ways for data between devices.
        links: Vec<LinkForm>,
        /// Network switches, which link every two of their devices.
        switches: Vec<SwitchForm>,
        /// How much devices slow each other, used if `contention = true`.
        slowdowns: Vec<SlowdownForm>,
        /// Memories that devices share, used if `contention = true`.
        memories: Vec<MemoryForm>,
        /// Chips whose devices share a power budget, used if `contention = true`.
        packages: Vec<PackageForm>,
        /// Processors whose threads drive other devices, used if `contention = true`.
        hosts: Vec<HostForm>,
        /// Network interfaces that links share.
        nics: Vec<NicForm>,
        /// Devices and links that are slow or gone for some time.
        faults: Vec<FaultForm>,
        /// What planning again takes when a fault begins or ends, for all that has not begun. If absent, plans stay as
        /// they are, and what a device loses waits until it is back.
        replanning: At<Duration>,
        /// Networks to run.
        models: Vec<ModelForm> = "[[models]]",
        /// Ways of sharing the work, compared with each other.
        strategies: Vec<StrategyForm> = "[[strategies]]",
        /// Values to run the scenario with, one after the other.
        sweep: SweepForm,
    }

    /// How durations follow from traces.
    CostsForm("`costs`") {
        /// How times between and beyond profiled batches are found; `piecewise_linear` if absent.
        lookup: At<Word<Lookup>>,
        /// Whether to go beyond tables that predict nothing there; false if absent.
        extrapolate_unpredictable: At<bool>,
    }

    /// What it takes to profile.
    ProfilingForm("`profiling`") {
        /// To build one layer; builds follow each other. 0 if absent.
        build: At<Duration>,
        /// To open what was built on one device, besides sending it there. 0 if absent.
        session: At<Duration>,
        /// Runs of each profile until times have settled; 10 if absent.
        warm_up: At<u64>,
        /// Runs of each profile that count; 10 if absent.
        repeats: At<u64>,
    }

    /// A network.
    ModelForm("the model") {
        /// Unique among the models.
        name: At<String> = "name = \"vgg-16\"",
        /// What traces call it; its name, or that in the zoo, if absent.
        profile: At<String>,
        /// The device that holds inputs and receives outputs. If absent, inputs are on every device and outputs
        /// stay where they are computed.
        home: At<String>,
        /// Seed of the weights of a network of the zoo; 0 if absent.
        seed: At<u64>,
        /// Its last layer; what is behind it is left out. The network's own if absent.
        until: At<String>,
        /// When its queries arrive, if networks have loads of their own; then all have.
        load: LoadForm,
        /// Of networks with loads of their own, queries of one with a higher number begin first: 0 to 255; 0 if absent.
        priority: At<u64>,
        @one_of "opaque = { input = \"602112 B\", output = \"4000 B\", parameters = \"528 MiB\", activations = \"24.5 MiB\" }" as dyn Any {
            /// A network known by its sizes only.
            opaque: OpaqueForm,
            /// A network that `coinfer models` lists, with weights drawn from a seed.
            zoo: At<String>,
            /// A network in a file.
            onnx: OnnxForm,
        }
    }

    /// A network in an ONNX file.
    OnnxForm("`onnx`") {
        /// The file, relative to the scenario file.
        file: At<FileName> = "file = \"net.onnx\"",
        /// Values of its symbolic dimensions, other than the batch.
        dims: Pairs,
    }

    /// The sizes of a network whose inside is not known.
    OpaqueForm("the network") {
        /// Input of one sample, at least 1 B and below 4 GiB.
        input: At<Bytes> = "input = \"602112 B\"",
        /// Output of one sample, at least 1 B and below 4 GiB.
        output: At<Bytes> = "output = \"4000 B\"",
        /// Weights, held once on each device that runs it.
        parameters: At<Bytes> = "parameters = \"528 MiB\"",
        /// The most that is live at once of one sample, input and output included.
        activations: At<Bytes> = "activations = \"24.5 MiB\"",
    }

    /// One strategy, with its name in results.
    StrategyForm("the strategy entry") {
        /// Unique among the strategies; the key of its table if absent.
        name: At<String>,
        @one_of "greedy = {}" as dyn StrategyTable {
            /// Greedy batch split (Lee, Choi and Park, KCC 2020).
            greedy: Parsed<Greedy>,
            /// One device does everything.
            single: Parsed<Single>,
            /// One device does everything in small steps.
            micro_batched_single: Parsed<MicroBatchedSingle>,
            /// The same number of samples for every device.
            even: Parsed<Even>,
            /// Devices take turns.
            round_robin: Parsed<RoundRobin>,
            /// Samples in proportion to throughput.
            proportional: Parsed<Proportional>,
            /// Guided self-scheduling.
            guided: Parsed<Guided>,
            /// The best batch split there is.
            exact: Parsed<Exact>,
            /// Each network on a part of one device.
            partitioned: Parsed<Partitioned>,
            /// Networks in a memory that may be too small, layer by layer in batches (after Liu, NTUST 2023).
            batch_scheduler: Parsed<BatchScheduler>,
            /// Each query goes to the first of some devices that is free.
            first_free: Parsed<FirstFree>,
            /// Fused-layer model parallelism (Choi et al., ICCD 2021).
            legion: Parsed<Legion>,
            /// Legion by the measured times of all groups (Choi et al., ICCD 2021).
            full_search: Parsed<FullSearch>,
            /// The fastest of several configurations that Legion's forecast puts first.
            k_best: Parsed<KBest>,
            /// Every layer shared by itself (Mao et al., DATE 2017).
            modnn: Parsed<Modnn>,
            /// The first layers fused over equal tiles, the others on one board (Zhao et al., TCAD 2018).
            deepthings: Parsed<Deepthings>,
            /// Groups with equal tiles over as many boards as are worth it (Zhou et al., SEC 2019).
            aofl: Parsed<Aofl>,
            /// Rows divided once, with halos from neighbours (Zeng et al., ToN 2021).
            coedge: Parsed<Coedge>,
            /// The front of a network on a GPU and accelerators (Lee, Won and Park, KSC 2022).
            dla_split: Parsed<DlaSplit>,
            /// The same for inputs that arrive over a network.
            dla_stream: Parsed<DlaStream>,
            /// Several networks at once, in groups of layers on different devices (Dagli and Belviranli, PPoPP 2024).
            layer_groups: Parsed<LayerGroups>,
        }
    }

    /// Values to run the scenario with.
    SweepForm("the sweep") {
        /// All combinations, the first key slowest. Keys are paths such as `"load.offline.samples"`.
        grid: Axes,
        /// Lists of equal length that advance together, as one further axis.
        zip: Axes,
        /// Points to leave out: those that match all pairs of an entry.
        exclude: Vec<Pairs>,
        /// Seeds to run every combination with: how many, from 1 on, a range such as "1..=20", or a list. A further
        /// axis of the grid, its last.
        seeds: Seeds,
    }
}

/// Paths and their values, as they follow each other in the file.
#[derive(Clone, Debug)]
pub(super) struct Pairs(pub(super) Vec<(At<String>, Node)>);

impl Decode for Pairs {
    /// `a.b = 1` without quotation marks is a table in a table, and is taken as the path that it looks like.
    fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Self> {
        fn flatten(prefix: &str, start: Option<&Span>, node: &Node, pairs: &mut Vec<(At<String>, Node)>) {
            for entry in node.as_table().into_iter().flat_map(|table| &table.0) {
                let path = format!("{prefix}{}", entry.key);
                let at =
                    start.map_or(entry.key_at.start, |first| first.start.min(entry.key_at.start))..entry.key_at.end;
                match entry.node.value {
                    Value::Table(_) => flatten(&format!("{path}."), Some(&at), &entry.node, pairs),
                    _ => pairs.push((At { value: path, at }, entry.node.clone())),
                }
            }
        }
        table(node, "this", mistakes)?;
        let mut pairs = Vec::new();
        flatten("", None, node, &mut pairs);
        if pairs.len() > LIST_MAX {
            let cause = format!("this part of the sweep has {} paths", pairs.len());
            mistakes.add(&node.at, cause, format!("use at most {LIST_MAX}"));
            return None;
        }
        pairs.sort_by_key(|(path, _)| path.at.end);
        Some(Pairs(pairs))
    }
}

inline_schema!([] Pairs, |_| json_schema!({ "type": "object" }));

/// Paths and the values that each goes through.
#[derive(Clone, Debug)]
pub(super) struct Axes(pub(super) Pairs);

impl Decode for Axes {
    fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Self> {
        Pairs::decode(node, mistakes).map(Axes)
    }
}

inline_schema!([] Axes, |_| json_schema!({
    "type": "object",
    "additionalProperties": {
        "anyOf": [
            { "type": "array", "minItems": 1 },
            { "type": "string", "pattern": r"^\s*[0-9_]+\s*\.\.=\s*[0-9_]+\s*(\*\s*[0-9_]+\s*)?$" },
            { "type": "object" },
        ],
    },
}));

/// Seeds, one value or more.
#[derive(Clone, Debug)]
pub(super) struct Seeds {
    pub(super) values: Vec<Node>,
    /// Where they are stated.
    pub(super) at: Span,
}

impl Decode for Seeds {
    fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Self> {
        let values = match &node.value {
            Value::Integer(count) => counted(*count, &node.at, mistakes)?,
            Value::String(text) => range(text, &node.at, mistakes)?,
            Value::List(list) if !list.is_empty() => list.clone(),
            other => {
                let cause = format!("seeds are a number of them, a range or a list, not {}", other.type_name());
                mistakes.add(&node.at, cause, "write for example `5`, \"1..=20\" or `[3, 5, 8]`");
                return None;
            }
        };
        Some(Seeds { values, at: node.at.clone() })
    }
}

inline_schema!([] Seeds, |_| json_schema!({
    "anyOf": [
        { "type": "integer", "minimum": 1 },
        { "type": "array", "minItems": 1 },
        { "type": "string", "pattern": r"^\s*[0-9_]+\s*\.\.=\s*[0-9_]+\s*(\*\s*[0-9_]+\s*)?$" },
    ],
}));
