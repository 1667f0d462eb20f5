//! Draws scenarios as users write them: a file in TOML, and the files that it names.

use std::collections::BTreeMap;
use std::path::Path;

use coinfer::scenario::{Diagnostics, Scenario};
use toml::{Table, Value};

use super::dice::Dice;
use super::networks::{Network, network, profile};

/// A scenario that was not yet read.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) table: Table,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Written {
    /// Writes it into `folder`, and reads it as the program does.
    pub(super) fn read_in(&self, folder: &Path) -> Result<Scenario, Diagnostics> {
        for (name, bytes) in &self.files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let path = folder.join("scenario.toml");
        std::fs::write(&path, toml::to_string(&self.table).unwrap()).unwrap();
        Scenario::read(&path, &[])
    }
}

/// What a scenario is about: strategies for boards and accelerators refuse most of what is drawn otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    Anything,
    /// A network whose rows boards share.
    Boards,
    /// A GPU and accelerators.
    Accelerators,
}

/// The scenario of this seed.
pub(super) fn drawn(seed: u64) -> Written {
    let mut dice = Dice::new(seed);
    let theme = *dice.pick(&[Theme::Anything, Theme::Anything, Theme::Boards, Theme::Accelerators]);
    let is_any = theme == Theme::Anything;
    let devices = dice.number(if is_any { 1 } else { 2 }..5);
    let names: Vec<String> = (0..devices).map(|index| format!("d{index}")).collect();
    let count = if theme == Theme::Boards { 1 } else { *dice.pick(&[1, 1, 1, 2, 3]) };
    let networks: Vec<Network> = (0..count).map(|index| network(&mut dice, &format!("net{index}"), is_any)).collect();
    let models = networks.iter().map(|network| network.graph.name().to_owned()).collect();
    let files = networks.iter().filter_map(|network| network.file.clone()).collect();
    let text = format!("seed = {seed}\n");
    let mut draft = Draft { dice, theme, names, models, text, trace: String::new(), files };
    let contention = draft.dice.is(50);
    draft.say(format!("contention = {contention}"));
    draft.head();
    let loads = draft.loads();
    let home = (theme == Theme::Boards || draft.dice.is(60)).then(|| draft.name());
    let shared = draft.capacity(&networks);
    for name in draft.names.clone() {
        draft.device(&name, &networks, shared);
    }
    let links = draft.links(home.as_deref());
    draft.memories(shared, contention);
    if contention {
        draft.interference();
    }
    if draft.dice.is(30) {
        draft.faults(&links);
    }
    let home = home.map(|home| format!("\nhome = \"{home}\"")).unwrap_or_default();
    for (network, load) in networks.iter().zip(loads) {
        draft.say(format!("[[models]]\nname = \"{}\"{home}{load}\n{}", network.graph.name(), network.text));
    }
    let Draft { mut dice, names, text, trace, mut files, .. } = draft;
    let trace = format!(
        "# coinfer trace 1\n{ORIGIN}device,model,layer,batch,rows,statistic,repeat,precision,time_ms,share\n{trace}"
    );
    files.insert("trace.csv".to_owned(), trace.into_bytes());
    let layers = networks.iter().flat_map(|network| &network.graph.layers()[1..]);
    let layers: Vec<String> = layers.map(|layer| layer.name.clone()).collect();
    let strategies = (0..dice.number(1..5)).map(|index| {
        let mut strategy = dice.strategy(&names, &layers);
        strategy.insert("name".to_owned(), format!("s{index}").into());
        Value::Table(strategy)
    });
    let strategies = Value::Array(strategies.collect());
    let mut table: Table = text.parse().unwrap_or_else(|error| panic!("{error}:\n{text}"));
    table.insert("strategies".to_owned(), strategies);
    Written { table, files }
}

/// What files of measurements say of where they come from.
const ORIGIN: &str =
    "# source: fuzzer\n# revision: 1\n# hardware: none\n# software: none\n# date: none\n# kind: measured\n";

/// A scenario and its trace, as far as they are written.
pub(super) struct Draft {
    pub(super) dice: Dice,
    theme: Theme,
    /// Of its devices.
    names: Vec<String>,
    /// The names of its networks.
    pub(super) models: Vec<String>,
    text: String,
    trace: String,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Draft {
    pub(super) fn say(&mut self, line: String) {
        self.text += &line;
        self.text += "\n";
    }

    fn name(&mut self) -> String {
        self.dice.pick(&self.names).clone()
    }

    /// What stands before all tables of lists, but for the load.
    fn head(&mut self) {
        if self.dice.is(20) {
            let (baseline, at_hand) = (self.name(), self.dice.is(50));
            self.say(format!("baseline = \"{baseline}\"\nbaseline_at_hand = {at_hand}"));
        }
        if self.dice.is(20) {
            let time = self.dice.number(0..2000);
            self.say(format!("replanning = \"{time} us\""));
        }
        let (lookup, extrapolate) = (self.dice.word("Lookup"), self.dice.is(50));
        self.say(format!("costs = {{ lookup = {lookup}, extrapolate_unpredictable = {extrapolate} }}"));
        self.say("replications = { count = 2, warm_up = \"none\" }".to_owned());
    }

    fn device(&mut self, name: &str, networks: &[Network], shared: Option<f64>) {
        let dice = &mut self.dice;
        let kind = match self.theme {
            Theme::Anything => dice.word("DeviceKind"),
            Theme::Boards => "\"board\"".to_owned(),
            Theme::Accelerators if name == "d0" => dice.pick(&["\"gpu\"", "\"igpu\""]).to_string(),
            Theme::Accelerators => "\"dla\"".to_owned(),
        };
        let precisions = if kind.contains("dla") { &["fp16", "int8"][..] } else { &["fp32", "fp32", "fp16", "int8"] };
        let precision = *dice.pick(precisions);
        let memory = match dice.is(50) {
            true => 64e9,
            false => (weights_of(networks) + dice.real(1e4..1e8)) * dice.real(0.5..4.0),
        };
        let mut device = format!("[[devices]]\nname = \"{name}\"\nkind = {kind}\nprecision = \"{precision}\"");
        match shared {
            Some(_) if dice.is(50) => {}
            Some(capacity) => device += &format!("\nmemory = \"{:.0} B\"", memory.min(capacity)),
            None if dice.is(15) => {
                // It may hold a part of what is used.
                let memory = memory.min(weights_of(networks) * 2.0 + 1e5) * dice.real(0.1..1.0);
                device += &format!("\nmemory = \"{memory:.0} B\"\npaging = {}", paging(dice));
            }
            None => device += &format!("\nmemory = \"{memory:.0} B\""),
        }
        let before = self.trace.len();
        for (index, network) in networks.iter().enumerate() {
            let is_new = networks[..index].iter().all(|earlier| earlier.profile != network.profile);
            if is_new && dice.is(80) {
                profile(dice, network, (name, precision), &mut self.trace);
            }
        }
        if self.trace.len() > before {
            device += "\ntrace = \"trace.csv\"";
            device += &shares(dice, &mut self.trace, before);
        }
        let speed = (dice.real(1e-2..1e3), dice.number(0..500), dice.number(1..9));
        if self.trace.len() == before || self.theme == Theme::Boards || dice.is(40) {
            let (rate, step, tile) = speed;
            let mut of_units = String::new();
            if self.trace.len() == before && dice.is(30) {
                device += &format!("\nunits = {}", dice.pick(&[2u32, 3, 10, 80]));
                of_units = format!(", unit_tile = {}", dice.pick(&[1u32, 7, 4096]));
            }
            device += &format!(
                "\nspeed = {{ rate = \"{rate:.4} GMAC/s\", step = \"{step} us\", row_tile = {tile}{of_units} }}"
            );
        }
        if dice.is(20) {
            device += &format!("\nunsupported = [{}]", dice.word("OpKind"));
        }
        if dice.is(25) {
            let (batch, loadables) = (dice.number(1..12), dice.number(1..8));
            let limits = ["batch", "loadables", "dimension"].map(|key| (key, dice.is(50)));
            let limit = |(key, _): &(&str, bool)| match *key {
                "batch" => format!("batch = {batch}"),
                "loadables" => format!("loadables = {loadables}"),
                _ => format!("dimension = {}", batch * 64),
            };
            let limits: Vec<String> = limits.iter().filter(|(_, is_there)| *is_there).map(limit).collect();
            device += &format!("\nlimits = {{ {} }}", limits.join(", "));
        }
        if dice.is(30) {
            device += &format!("\ntraffic = \"{:.3} GB/s\"", dice.real(0.01..100.0));
        }
        let idle = dice.real(0.1..5.0);
        device += &format!("\npower = {{ idle = \"{idle:.3} W\", active = \"{:.3} W\" }}", idle * dice.real(1.0..9.0));
        device += &self.variation(self.trace[before..].contains(",raw,3,"));
        self.say(device);
    }

    /// How times vary; as repeats of the trace do, if it has any.
    fn variation(&mut self, has_repeats: bool) -> String {
        let dice = &mut self.dice;
        if !dice.is(15) {
            return String::new();
        }
        let cv = dice.real(0.01..2.0);
        let shape = match dice.number(if has_repeats { 0 } else { 2 }..4) {
            0..2 => "empirical = true".to_owned(),
            2 => format!("lognormal = {{ cv = {cv:.3} }}"),
            _ => format!("gamma = {{ cv = {cv:.3}, shift = {:.3} }}", dice.real(0.01..0.9)),
        };
        format!("\nvariation = {{ {shape}, spikes = {{ probability = 0.1, factor = {:.2} }} }}", dice.real(1.1..50.0))
    }

    /// Links such that every device can be reached in one way, and their names.
    fn links(&mut self, home: Option<&str>) -> Vec<String> {
        if self.names.len() == 1 || (home.is_none() && self.dice.is(40)) {
            return Vec::new();
        }
        let dice = &mut self.dice;
        let rate = |dice: &mut Dice| format!("\nbandwidth = \"{:.3} MB/s\"", dice.real(0.1..1e4));
        if dice.is(30) {
            let (duplex, sharing) = (dice.word("NicDuplex"), dice.word("NicSharing"));
            let (rate, latency) = (rate(dice), dice.number(0..2000));
            self.say(format!(
                "[[switches]]\nname = \"lan\"{rate}\nlatency = \"{latency} us\"\nduplex = {duplex}\nsharing = {sharing}"
            ));
            return vec!["lan".to_owned()];
        }
        let mut links = Vec::new();
        for index in 1..self.names.len() {
            // Each hangs on one before it: a star, a chain, or what lies between.
            let (from, to) = (self.dice.number(0..index as u32) as usize, index);
            let ends = format!("\nbetween = [\"{}\", \"{}\"]", self.names[from], self.names[to]);
            let (rate, latency) = (rate(&mut self.dice), self.dice.number(0..2000));
            let duplex = *self.dice.pick(&["full", "half"]);
            let link = format!("[[links]]\nname = \"l{index}\"{ends}{rate}\nlatency = \"{latency} us\"");
            let variation = self.variation(false);
            self.say(format!("{link}\nduplex = \"{duplex}\"{variation}"));
            links.push(format!("l{index}"));
        }
        if self.dice.is(30) {
            let device = self.names[links.len().min(1) * self.dice.number(0..2) as usize].clone();
            let (rate, sharing) = (rate(&mut self.dice), self.dice.word("NicSharing"));
            let duplex = self.dice.word("NicDuplex");
            self.say(format!("[[nics]]\ndevice = \"{device}\"{rate}\nsharing = {sharing}\nduplex = {duplex}"));
        }
        links
    }

    /// What a memory that all devices share holds, if there is one.
    fn capacity(&mut self, networks: &[Network]) -> Option<f64> {
        let is_shared = self.names.len() > 1 && self.dice.is(25);
        is_shared.then(|| ((weights_of(networks) + self.dice.real(1e4..1e8)) * self.dice.real(0.7..8.0)).round())
    }

    /// A memory that all devices share, which holds so much, slows them, or both.
    fn memories(&mut self, capacity: Option<f64>, contention: bool) {
        let dice = &mut self.dice;
        let mut memory = capacity.map(|capacity| format!("\ncapacity = \"{capacity:.0} B\"")).unwrap_or_default();
        if capacity.is_some() && dice.is(20) {
            memory += &format!("\npaging = {}", paging(dice));
        }
        if contention && self.names.len() > 1 && dice.is(50) {
            let [peak, floor, width] = [(); 3].map(|()| dice.real(0.01..200.0));
            let rule = match dice.number(0..4) {
                0 => format!("proportional = {{ peak = \"{peak:.3} GB/s\" }}"),
                1 => format!(
                    "residual_or_floor = {{ peak = \"{peak:.3} GB/s\", floor = \"{:.3} GB/s\" }}",
                    floor.min(peak)
                ),
                2 => {
                    let mut rows = format!("# coinfer bandwidth 1\n{ORIGIN}alone_gb_s,external_gb_s,achieved_gb_s\n");
                    let [own, others] = [(); 2].map(|()| (1..4).map(|_| dice.real(0.01..200.0)).collect::<Vec<_>>());
                    for (own, other) in own.iter().flat_map(|own| others.iter().map(move |other| (own, other))) {
                        rows += &format!("{own},{other},{}\n", own * dice.real(0.1..1.04));
                    }
                    self.files.insert("memory.csv".to_owned(), rows.into_bytes());
                    "table = { file = \"memory.csv\" }".to_owned()
                }
                _ => format!(
                    "smooth = {{ threshold = \"{peak:.3} GB/s\", cap = \"{floor:.3} GB/s\", width = \"{width:.3} \
                     GB/s\", exponent = {:.3} }}",
                    dice.real(0.1..9.0)
                ),
            };
            memory += &format!("\n{rule}");
        }
        if !memory.is_empty() {
            self.say(format!("[[memories]]\ndevices = {:?}{memory}", self.names));
        }
    }

    /// What devices contend for beside it.
    fn interference(&mut self) {
        let names = self.names.clone();
        let pairs = names.iter().flat_map(|a| names.iter().map(move |b| (a, b)));
        for (device, busy) in pairs.filter(|_| self.dice.is(30)).collect::<Vec<_>>() {
            let factor = self.dice.real(1.0..8.0);
            self.say(format!("[[slowdowns]]\ndevice = \"{device}\"\nwhile_busy = \"{busy}\"\nfactor = {factor:.4}"));
        }
        if self.dice.is(30) {
            // All of them idle draw less than 20 W, and alone none more than the budget.
            let (budget, exponent) = (self.dice.real(65.0..200.0), self.dice.real(1.0..3.0));
            self.say(format!(
                "[[packages]]\ndevices = {names:?}\nbudget = \"{budget:.2} W\"\nexponent = {exponent:.2}"
            ));
        }
        if names.len() > 1 && self.dice.is(30) {
            let (threads, held) = (self.dice.number(1..9), self.dice.number(1..9));
            self.say(format!(
                "[[hosts]]\ndevice = \"d0\"\nthreads = {threads}\nholds = {{ d1 = {} }}",
                held.min(threads)
            ));
        }
    }

    /// At most one fault of each device and link.
    fn faults(&mut self, links: &[String]) {
        let mut parts: Vec<String> = self.names.iter().map(|name| format!("device = \"{name}\"")).collect();
        parts.extend(links.iter().map(|link| format!("link = \"{link}\"")));
        for part in self.dice.some(&parts) {
            let from = self.dice.number(0..20_000);
            let until = from + self.dice.number(1..20_000);
            let effect = match part.starts_with("device") && self.dice.is(50) {
                true => "out = true".to_owned(),
                false => format!("slowdown = {:.3}", self.dice.real(1.01..100.0)),
            };
            let end = if self.dice.is(80) { format!("\nuntil = \"{until} us\"") } else { String::new() };
            self.say(format!("[[faults]]\n{part}\nfrom = \"{from} us\"{end}\n{effect}"));
        }
    }
}

/// Compute units of a device, on some of which whole networks are slower than rows from `before` on say.
fn shares(dice: &mut Dice, trace: &mut String, before: usize) -> String {
    if !dice.is(40) {
        return String::new();
    }
    let units = *dice.pick(&[2u32, 3, 7, 10, 80, 132]);
    let whole: Vec<String> = trace[before..].lines().filter(|row| row.contains(",whole,")).map(str::to_owned).collect();
    let counts: Vec<u32> = (1..units.min(8)).collect();
    for count in dice.some(&counts) {
        let share = f64::from(count * 10_000 / units) / 1e4;
        for row in &whole {
            let (row, time) = row.trim_end_matches(',').rsplit_once(',').unwrap();
            let time = time.parse::<f64>().unwrap() * share.powf(-dice.real(0.3..1.2));
            *trace += &format!("{row},{time:.6},{share}\n");
        }
    }
    format!("\nunits = {units}")
}

/// How a memory pages.
fn paging(dice: &mut Dice) -> String {
    let (prefetch, block) = (dice.is(50), dice.number(1..1 << 20));
    let start = dice.number(0..900);
    format!("{{ prefetch = {prefetch}, block = \"{block} B\", start = \"{start} us\" }}")
}

/// Bytes of the weights of all networks.
fn weights_of(networks: &[Network]) -> f64 {
    let weights = |network: &Network| network.graph.parameters(&network.graph.whole().unwrap()).0;
    networks.iter().map(|network| weights(network) as f64).sum()
}
