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
    let mut draft = Draft { dice, theme, names, text: format!("seed = {seed}\n"), trace: TRACE_HEADER.to_owned() };
    let contention = draft.dice.is(50);
    draft.say(format!("contention = {contention}"));
    draft.head();
    let home = (theme == Theme::Boards || draft.dice.is(60)).then(|| draft.name());
    for name in draft.names.clone() {
        draft.device(&name, &networks);
    }
    let links = draft.links(home.as_deref());
    if contention {
        draft.interference();
    }
    if draft.dice.is(30) {
        draft.faults(&links);
    }
    let mut files = BTreeMap::new();
    for network in &networks {
        let home = home.iter().map(|home| format!("\nhome = \"{home}\"")).collect::<String>();
        draft.say(format!("[[models]]\nname = \"{}\"{home}\n{}", network.graph.name(), network.text));
        files.extend(network.file.clone());
    }
    let Draft { mut dice, names, text, trace, .. } = draft;
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

const TRACE_HEADER: &str = "# coinfer trace 1\n# source: fuzzer\n# revision: 1\n# hardware: none\n# software: none\n\
    # date: none\n# kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,precision,time_ms\n";

/// A scenario and its trace, as far as they are written.
struct Draft {
    dice: Dice,
    theme: Theme,
    /// Of its devices.
    names: Vec<String>,
    text: String,
    trace: String,
}

impl Draft {
    fn say(&mut self, line: String) {
        self.text += &line;
        self.text += "\n";
    }

    fn name(&mut self) -> String {
        self.dice.pick(&self.names).clone()
    }

    /// The load, and what else stands before all tables of lists.
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
        let (samples, queries) = (self.dice.number(1..5), self.dice.number(1..16));
        let clients = self.dice.number(1..queries + 1);
        let load = match self.dice.number(0..10) {
            0..5 => {
                let samples = self.dice.number(1..40);
                return self.say(format!("load = {{ offline = {{ samples = {samples} }} }}"));
            }
            5 => format!("single_stream = {{ queries = {queries}, clients = {clients} }}"),
            6 => format!("multi_stream = {{ samples = {samples}, queries = {queries}, clients = {clients} }}"),
            _ => format!("server = {{ samples = {samples}, queries = {queries}, {} }}", self.arrivals(queries)),
        };
        self.say(format!("load = {{ {load} }}"));
        let (batch_max, delay) = (samples + self.dice.number(0..9), self.dice.number(0..3000));
        match self.dice.number(0..3) {
            // Only queries that wait can be dropped.
            0 if !load.contains("drop_late = true") => {}
            1 => self.say(format!("dispatch.batch = {{ batch_max = {batch_max}, delay_max = \"{delay} us\" }}")),
            _ => self.say(format!("dispatch.per_query = {{ in_flight_max = {} }}", 1 + delay % 4)),
        }
    }

    fn arrivals(&mut self, queries: u32) -> String {
        let dice = &mut self.dice;
        let [rate, burst] = [(); 2].map(|()| dice.real(5.0..20_000.0));
        let arrivals = match dice.number(0..3) {
            0 => format!("poisson = {{ rate = \"{rate:.3}/s\" }}"),
            1 => format!("deterministic = {{ rate = \"{rate:.3}/s\" }}"),
            _ => format!(
                "bursty = {{ rate_calm = \"{rate:.3}/s\", rate_burst = \"{burst:.3}/s\", calm_mean = \"1 s\", \
                 burst_mean = \"{} ms\" }}",
                dice.number(500..2000)
            ),
        };
        let mut load = format!("arrivals = {{ {arrivals} }}, together = {}", dice.number(1..queries.min(4) + 1));
        if dice.is(30) {
            load += &format!(", queue_max = {}", dice.number(1..6));
        }
        if dice.is(40) {
            load += &format!(", deadline = \"{} us\", drop_late = {}", dice.number(10..20_000), dice.is(50));
        }
        load
    }

    fn device(&mut self, name: &str, networks: &[Network]) {
        let dice = &mut self.dice;
        let kind = match self.theme {
            Theme::Anything => dice.word("DeviceKind"),
            Theme::Boards => "\"board\"".to_owned(),
            Theme::Accelerators if name == "d0" => dice.pick(&["\"gpu\"", "\"igpu\""]).to_string(),
            Theme::Accelerators => "\"dla\"".to_owned(),
        };
        let precisions = if kind.contains("dla") { &["fp16", "int8"][..] } else { &["fp32", "fp32", "fp16", "int8"] };
        let precision = *dice.pick(precisions);
        let weights = |network: &Network| network.graph.parameters(&network.graph.whole().unwrap()).0;
        let sizes = networks.iter().map(|network| weights(network) as f64);
        let memory = match dice.is(50) {
            true => 64e9,
            false => (sizes.sum::<f64>() + dice.real(1e4..1e8)) * dice.real(0.5..4.0),
        };
        let mut device = format!(
            "[[devices]]\nname = \"{name}\"\nkind = {kind}\nmemory = \"{memory:.0} B\"\nprecision = \"{precision}\""
        );
        let before = self.trace.len();
        for (index, network) in networks.iter().enumerate() {
            let is_new = networks[..index].iter().all(|earlier| earlier.profile != network.profile);
            if is_new && dice.is(80) {
                profile(dice, network, (name, precision), &mut self.trace);
            }
        }
        if self.trace.len() > before {
            device += "\ntrace = \"trace.csv\"";
        }
        let speed = (dice.real(1e-2..1e3), dice.number(0..500), dice.number(1..9));
        if self.trace.len() == before || self.theme == Theme::Boards || dice.is(40) {
            let (rate, step, tile) = speed;
            device += &format!("\nspeed = {{ rate = \"{rate:.4} GMAC/s\", step = \"{step} us\", row_tile = {tile} }}");
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
        device += &self.variation();
        self.say(device);
    }

    fn variation(&mut self) -> String {
        let dice = &mut self.dice;
        if !dice.is(15) {
            return String::new();
        }
        let cv = dice.real(0.01..2.0);
        let shape = match dice.is(50) {
            true => format!("lognormal = {{ cv = {cv:.3} }}"),
            false => format!("gamma = {{ cv = {cv:.3}, shift = {:.3} }}", dice.real(0.01..0.9)),
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
            let variation = self.variation();
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

    /// What devices contend for.
    fn interference(&mut self) {
        let names = self.names.clone();
        let pairs = names.iter().flat_map(|a| names.iter().map(move |b| (a, b))).filter(|(a, b)| a != b);
        for (device, busy) in pairs.filter(|_| self.dice.is(30)).collect::<Vec<_>>() {
            let factor = self.dice.real(1.0..8.0);
            self.say(format!("[[slowdowns]]\ndevice = \"{device}\"\nwhile_busy = \"{busy}\"\nfactor = {factor:.4}"));
        }
        let dice = &mut self.dice;
        if names.len() > 1 && dice.is(50) {
            let [peak, floor, width] = [(); 3].map(|()| dice.real(0.01..200.0));
            let rule = match dice.number(0..3) {
                0 => format!("proportional = {{ peak = \"{peak:.3} GB/s\" }}"),
                1 => format!(
                    "residual_or_floor = {{ peak = \"{peak:.3} GB/s\", floor = \"{:.3} GB/s\" }}",
                    floor.min(peak)
                ),
                _ => format!(
                    "smooth = {{ threshold = \"{peak:.3} GB/s\", cap = \"{floor:.3} GB/s\", width = \"{width:.3} \
                     GB/s\", exponent = {:.3} }}",
                    dice.real(0.1..9.0)
                ),
            };
            self.say(format!("[[memories]]\ndevices = {names:?}\n{rule}"));
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
