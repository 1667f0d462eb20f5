//! `docs/results.md` has every field of every file of results, and no other: it is made of what the code says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

/// Where the fields of a file are told.
enum Fields {
    /// Of a struct that serde writes, in a source file.
    Struct(&'static str, &'static str),
    /// Names with paths below a struct, in the `COLUMNS` of its source file.
    Columns(&'static str, &'static str),
    /// In the words about the file.
    None,
}
use Fields::{Columns, Struct};

/// A file or what a command prints, what it is, and its fields.
type Told = (&'static str, &'static str, Fields);

const RESULTS: &str = "src/output/results.rs";
const REPLAYS: &str = "src/output/replay_files.rs";
const SWEEPS: &str = "src/output/replay_sweep.rs";
const STEPS: &str = "src/output/steps.rs";
const PLAIN: &str = "src/output/plain.rs";
const EFFECTS: &str = "src/output/sensitivity.rs";
const CALIBRATION: &str = "src/output/calibration.rs";
const MODELS: &str = "src/output/models.rs";
const LAYERS: &str = "src/output/layers.rs";

const TOLD: [Told; 25] = [
    (
        "manifest.json",
        "In every folder: enough to make the results again.",
        Struct("src/output/manifest.rs", "Manifest"),
    ),
    ("summary.json", "Of `run`, and what `run --format json` prints.", Struct(RESULTS, "SummaryView")),
    (
        "results.csv",
        "Of `run` and `sweep`, and what they print as CSV: a line a strategy, of a sweep one a point and strategy.",
        Columns(RESULTS, "OutcomeView"),
    ),
    (
        "sweep --format json",
        "An object with `scenario`, `results` and `failures` as in `summary.json`, each with the `settings` of its point.",
        Fields::None,
    ),
    ("finish-times.csv", "Of a `run` without chance, a line a strategy and device.", Struct(PLAIN, "FinishRow")),
    ("<strategy>/plan.json", "Lanes and steps, which read back as the same plan.", Fields::None),
    ("<strategy>/timeline.csv", "A line a step in the plan's order.", Struct(STEPS, "TimelineStep")),
    ("<strategy>/timeline.json", "The same in the Chrome trace format, which Perfetto opens.", Fields::None),
    (
        "<strategy>/queries.csv",
        "Where queries arrive: a line a query of the first replication.",
        Struct(PLAIN, "QueryRow"),
    ),
    ("<strategy>/latency.csv", "Where queries arrive: how often each latency occurred.", Struct(PLAIN, "LatencyRow")),
    ("replay.json", "Of `replay` and `run --replay`.", Struct(REPLAYS, "Judged")),
    ("replay.json of a sweep", "Of `sweep --replay`.", Struct(SWEEPS, "ReplaysView")),
    ("replay.csv of a sweep", "Of `sweep --replay`: a line a point and plan.", Columns(SWEEPS, "PlanView")),
    ("<strategy>/replay.csv", "A line a round and step, without joins.", Struct(STEPS, "ReplayedStep")),
    ("<strategy>/partial.csv", "The steps of a round that was given up.", Struct(STEPS, "UnfinishedStep")),
    ("sensitivity.csv", "A line a strategy and constant.", Columns(EFFECTS, "EffectView")),
    ("sensitivity --format json", "The same.", Struct(EFFECTS, "SensitivityView")),
    ("calibration.json", "What a trace can be trusted for.", Struct(CALIBRATION, "CalibrationView")),
    ("errors.csv", "A line a network or layer, device and scheme, then totals.", Struct(CALIBRATION, "ErrorsRow")),
    ("predicted-measured.csv", "A line a measurement and scheme.", Struct(PLAIN, "PredictedRow")),
    ("models --format csv", "A line a network.", Columns(MODELS, "ModelEntry")),
    ("models --format json", "The same.", Struct(MODELS, "ModelsView")),
    ("models NAME --format csv", "A line a layer.", Struct(LAYERS, "LayerEntry")),
    ("profile --links", "The readings, below lines of comments.", Struct("src/output/links.rs", "ReadingRow")),
    (
        "theory --format csv",
        "A line a case and figure; as JSON in `cases`.",
        Struct("src/theory/table.rs", "AgreementView"),
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A field of a struct.
#[derive(Clone)]
struct Field {
    name: String,
    kind: String,
    meaning: String,
    is_flat: bool,
}

/// The structs of a source file with their fields as serde writes them.
fn structs(file: &str) -> BTreeMap<String, Vec<Field>> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut structs = BTreeMap::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some((_, rest)) = line.split_once("struct ").filter(|_| line.ends_with('{') && !line.starts_with("//"))
        else {
            continue;
        };
        let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
        let (mut fields, mut meaning, mut attributes) = (Vec::new(), Vec::new(), String::new());
        for line in lines.by_ref().take_while(|line| *line != "}") {
            if let Some(words) = line.strip_prefix("///") {
                meaning.push(words.trim());
            } else if line.starts_with("#[") {
                attributes += line;
            } else if let Some((name, kind)) = line.trim_end_matches(',').split_once(": ") {
                let name = name.rsplit(' ').next().unwrap().to_owned();
                let meaning = std::mem::take(&mut meaning).join(" ");
                let attributes = std::mem::take(&mut attributes);
                if !attributes.contains("serde(skip)") {
                    let is_flat = attributes.contains("flatten");
                    fields.push(Field { name, kind: kind.to_owned(), meaning, is_flat });
                }
            }
        }
        structs.insert(name.to_owned(), fields);
    }
    structs
}

/// Source files whose structs are fields of others.
const SHARED: [&str; 14] = [
    "src/metrics/outcome.rs",
    "src/metrics/service.rs",
    "src/metrics/replay.rs",
    "src/metrics/boards.rs",
    "src/metrics/floor.rs",
    "src/statistics/interval.rs",
    "src/statistics/percentile.rs",
    "src/statistics/errors.rs",
    "src/cost/lookup.rs",
    "src/cost/noise.rs",
    "src/cost/summary.rs",
    "src/cost/ranking.rs",
    "src/cost/validation.rs",
    "src/theory/mod.rs",
];

/// The paths of all fields of a struct below `prefix`, and what they mean.
fn expanded(file: &str, name: &str, prefix: &str) -> Vec<(String, String)> {
    let own = structs(file);
    let fields = own.get(name).unwrap_or_else(|| panic!("{file} has no struct {name}"));
    let mut all = Vec::new();
    for Field { name, kind, meaning, is_flat } in fields.clone() {
        let named = if kind.contains("Pairs<") { ".<name>" } else { "" };
        let listed = if kind.contains("Vec<") || kind.contains('[') { "[]" } else { "" };
        let path = format!("{prefix}{name}{named}{listed}");
        let words = kind.split(|c: char| !c.is_alphanumeric()).filter(|word| word.starts_with(char::is_uppercase));
        let place = |word: &str| {
            let places = [file].into_iter().chain(SHARED);
            places
                .into_iter()
                .find(|place| structs(place).contains_key(word))
                .map(|place| (place.to_owned(), word.to_owned()))
        };
        let inner = words.filter(|word| !["Vec", "Option", "Pairs", "String"].contains(word)).find_map(place);
        assert!(is_flat || !meaning.is_empty(), "{file}: {path} has no meaning");
        if !is_flat {
            all.push((path.clone(), meaning));
        }
        if let Some((place, word)) = inner {
            let prefix = if is_flat { prefix.to_owned() } else { format!("{path}.") };
            all.extend(expanded(&place, &word, &prefix));
        }
    }
    all
}

/// The same for readers: the fields of a struct that is there several times are told once.
fn told_once(file: &str, name: &str) -> Vec<(String, String)> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut told: Vec<(String, String)> = Vec::new();
    let mut left = expanded(file, name, "").into_iter().peekable();
    while let Some((path, meaning)) = left.next() {
        let below = format!("{path}.");
        let inner: Vec<(String, String)> =
            std::iter::from_fn(|| left.next_if(|(path, _)| path.starts_with(&below))).collect();
        let shape: String =
            inner.iter().map(|(path, meaning)| format!("{} {meaning}|", &path[below.len()..])).collect();
        match seen.get(&shape) {
            Some(first) if !inner.is_empty() => told.push((path, format!("{meaning} Fields as of `{first}`."))),
            _ => {
                seen.insert(shape, path.clone());
                told.push((path, meaning));
                // Fields of fields may be there several times too.
                let mut rest: Vec<(String, String)> = inner;
                rest.extend(left);
                left = rest.into_iter().peekable();
            }
        }
    }
    told
}

/// The names in the `COLUMNS` of a file, with the meanings of their paths below a struct.
fn columns(file: &str, name: &str) -> Vec<(String, String)> {
    let meanings: BTreeMap<String, String> = expanded(file, name, "").into_iter().collect();
    let text = fs::read_to_string(root().join(file)).unwrap();
    let list = text.split_once("const COLUMNS").unwrap().1.split_once("];").unwrap().0;
    let of = |line: &str| {
        let mut texts = line.split('"').skip(1).step_by(2);
        let (name, path) = (texts.next()?, texts.next()?);
        let meaning = meanings.get(path).cloned().or_else(|| {
            let (interval, end) = path.rsplit_once('.')?;
            let what = match end {
                "low" => "Lower end",
                "high" => "Upper end",
                _ => return None,
            };
            Some(format!("{what} of the 95 % interval: {}", meanings.get(interval)?))
        });
        let meaning = meaning.unwrap_or_else(|| panic!("{file}: {path} is no field of {name}"));
        // Below a field stands what it is of.
        let above = path.rsplit_once('.').and_then(|(above, _)| meanings.get(above)).filter(|_| path.contains(".p"));
        Some((name.to_owned(), above.map_or(meaning.clone(), |above| format!("{meaning} {above}"))))
    };
    list.lines().filter_map(of).collect()
}

fn fields(file: &str, fields: &Fields) -> Vec<(String, String)> {
    let mut found = match fields {
        Struct(place, name) => expanded(place, name, ""),
        Columns(place, name) => columns(place, name),
        Fields::None => Vec::new(),
    };
    let extra = |name: &str, meaning: &str| (name.to_owned(), meaning.to_owned());
    let setting = extra("<setting>", "The value of each setting that was swept, by its path in the scenario.");
    match file {
        "results.csv" => {
            found.insert(0, extra("strategy", "The strategy's name."));
            found.insert(0, setting);
            found.push(extra("split_<device>", "Samples that the device began."));
            found.push(extra("utilisation_<device>", "The part of the time that the device computed, from 0 to 1."));
            found.push(extra(
                "<column>_<network>",
                "The column, of the queries of a network that has a load of its own.",
            ));
            found.push(extra("error", "Why there is no result; all other columns but the strategy are then empty."));
        }
        "replay.csv of a sweep" => found.insert(0, setting),
        _ => {}
    }
    found
}

/// The document.
fn document() -> String {
    let mut text = String::from(
        "# Files of results\n\n\
         Made from the comments in the code by `COINFER_DOCS=write cargo test --test it results`, and held by it.\n\n\
         Numbers are exact: floats have the shortest text that reads back as the same. What is not known is `null` in JSON \
         and empty\nin CSV. In names of fields, `[]` is a list, and what stands between `<` and `>` differs. Beside these, \
         a folder has\nfigures as SVG, which `coinfer plot` draws again.\n",
    );
    for (file, about, of) in &TOLD {
        text += &format!("\n## `{file}`\n\n{about}\n");
        let found = if let Struct(place, name) = of { told_once(place, name) } else { fields(file, of) };
        if !found.is_empty() {
            text += "\n| field | meaning |\n|---|---|\n";
        }
        for (name, meaning) in found {
            let meaning = meaning.replace("`None`", "Not known").replace('|', "\\|");
            text += &format!("| `{name}` | {meaning} |\n");
        }
    }
    text
}

#[test]
fn the_document_is_what_the_code_says() {
    let path = root().join("docs/results.md");
    if std::env::var_os("COINFER_DOCS").is_some() {
        fs::write(&path, document()).unwrap();
    }
    let stored = fs::read_to_string(path).unwrap();
    assert!(stored == document(), "write it again: COINFER_DOCS=write cargo test --test it results");
}

/// Runs the program in the folder of this crate and returns what it prints.
fn coinfer(arguments: &[&str]) -> String {
    let output = Command::cargo_bin("coinfer").unwrap().current_dir(root()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Adds the paths of all fields of `value`; what they are below does not count where names are those of users.
fn json_fields(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let is_named = NAMED.iter().any(|named| prefix.ends_with(named));
                let path = format!("{prefix}{}", if is_named { "<name>" } else { name });
                let ends = if value.is_array() { "[]" } else { "" };
                if !is_named && !NAMED.iter().any(|named| format!("{path}.").ends_with(named)) {
                    found.insert(path.clone() + ends);
                }
                if is_named {
                    found.insert(path.clone());
                }
                json_fields(value, &format!("{path}."), found);
            }
        }
        Value::Array(list) => {
            let prefix = format!("{}[].", prefix.trim_end_matches('.'));
            list.iter().for_each(|value| json_fields(value, &prefix, found));
        }
        _ => {}
    }
}

/// Objects whose keys are names of devices, networks and settings.
const NAMED: [&str; 5] = ["split.", "finish_ms.", "utilisation.", "networks.", "settings."];

/// The fields of a text of CSV or JSON.
fn found_in(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match serde_json::from_str::<Value>(text) {
        Ok(value) => json_fields(&value, "", &mut found),
        Err(_) => found.extend(text.lines().next().unwrap().split(',').map(str::to_owned)),
    }
    found
}

/// All files below a folder, by their names in the document.
fn files(folder: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() {
            files(&entry, found);
        } else if [".csv", ".json"].iter().any(|end| name.ends_with(end))
            && !name.starts_with("plan.")
            && name != "timeline.json"
        {
            let of_strategy = ["timeline.csv", "queries.csv", "latency.csv"].contains(&name);
            let name = if of_strategy { format!("<strategy>/{name}") } else { name.to_owned() };
            found.entry(name).or_default().extend(found_in(&fs::read_to_string(&entry).unwrap()));
        }
    }
}

#[test]
fn every_field_of_results_is_in_the_document_and_the_other_way_round() {
    let out = tempfile::tempdir().unwrap();
    let into = |arguments: &[&str]| coinfer(&[arguments, &["--out", out.path().to_str().unwrap()]].concat());
    let rates =
        ["models.vgg-16.load.server.queries=20", "models.mobilenet.load.server.queries=40", "replications.max=20"];
    let rates: Vec<&str> = rates.iter().flat_map(|set| ["--set", set]).collect();
    into(&[
        "run",
        "scenarios/kcc2020-vgg16.toml",
        "--set",
        "load.offline.samples=8",
        "--set",
        "devices.gpu.paging.prefetch=true",
    ]);
    into(&["run", "scenarios/legion-vgg16.toml"]);
    into(&[&["run", "scenarios/kcc2020-two-rates.toml"], rates.as_slice()].concat());
    into(&["calibrate", "traces/kcc2020-profile.csv"]);
    let two = ["scenarios/kcc2020-vgg16.toml", "--set", "load.offline.samples=2,4"];
    into(&[&["sweep"], two.as_slice()].concat());
    let mut found = BTreeMap::new();
    let printed = [
        (
            "sensitivity --format json",
            into(&[
                "sensitivity",
                "scenarios/legion-vgg16.toml",
                "--vary",
                "switches.lan.bandwidth",
                "--format",
                "json",
            ]),
        ),
        ("models --format csv", coinfer(&["models", "--format", "csv"])),
        ("models --format json", coinfer(&["models", "--format", "json"])),
        ("models NAME --format csv", coinfer(&["models", "alexnet", "--format", "csv"])),
    ];
    found.extend(printed.iter().map(|(name, text)| ((*name).to_owned(), found_in(text))));
    files(out.path(), &mut found);
    assert!(found.len() > 14, "{:?}", found.keys());
    for (file, found) in found {
        let of = &TOLD.iter().find(|(name, ..)| *name == file).unwrap_or_else(|| panic!("{file} is not told of")).2;
        let told: BTreeSet<String> = fields(&file, of).into_iter().map(|(name, _)| name).collect();
        // A list that is not known is `null`.
        let is_told = |name: &&String| {
            told.contains(*name) || told.contains(&format!("{name}[]")) || is_of_names(&file, name, &told)
        };
        let untold: Vec<&String> = found.iter().filter(|name| !is_told(name)).collect();
        assert!(untold.is_empty(), "{file} has {untold:?}, which docs/results.md does not have");
        let is_there = |name: &&String| found.contains(*name) || name.contains(['<', '[']) && file != "summary.json";
        // What only some runs have is told below fields that all have.
        let missing: Vec<&String> =
            told.iter().filter(|name| !is_there(name) && !NEEDS_MORE.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "docs/results.md has {missing:?}, which {file} has not");
    }
}

/// Fields that only results have which these runs do not make.
const NEEDS_MORE: [&str; 3] = ["failures[].strategy", "failures[].reason", "network"];

/// Whether a column is named after a device, a network or a setting.
fn is_of_names(file: &str, name: &str, told: &BTreeSet<String>) -> bool {
    let of_network = told.iter().any(|column| name.starts_with(&format!("{column}_")));
    file == "results.csv"
        && (name.starts_with("split_") || name.starts_with("utilisation_") || of_network || name.contains('.'))
}
