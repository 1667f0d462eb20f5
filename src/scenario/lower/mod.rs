//! From the form to the problem and the strategies, with every fault of meaning.

mod contention;
mod counted;
mod curves;
mod faults;
mod hardware;
mod load;
mod memories;
mod networks;
mod nics;
mod recorded;
mod runtimes;
mod switches;
mod variation;

use super::decode::{At, Decode, shorten};
use super::diagnostic::{Mistakes, did_you_mean};
use super::document::Node;
use super::form::{ProfilingForm, ScenarioForm, StrategyForm};
use super::names::Names;
use super::{Baseline, Case, Entry, Files};
use crate::cost::TraceCosts;
use crate::model::Graph;
use crate::platform::DeviceId;
use crate::problem::{Load, Model, Problem, Profiling};
use crate::units::Duration;
use curves::Curves;
use hardware::Hardware;

/// The case that `root` describes. `None` if `mistakes` has more than before.
pub(super) fn lower(root: &Node, files: &Files, mistakes: &mut Mistakes) -> Option<Case> {
    let known = mistakes.len();
    let mut form = ScenarioForm::decode(root, mistakes)?;
    let counted = counted::expand(&mut form, mistakes);
    for (key, example) in [("devices", "[[devices]]"), ("models", "[[models]]"), ("strategies", "[[strategies]]")] {
        if let Some(node) = root.get(key)
            && node.as_list().is_some_and(<[Node]>::is_empty)
        {
            mistakes.add(&node.at, format!("there are no {key}"), format!("add one with `{example}`"));
        }
    }
    let mut load_notes = Vec::new();
    let load = load::lower(&form, &files.arrivals, mistakes, &mut load_notes);
    let has_own = form.models.iter().flatten().any(|model| model.load.is_some());
    if root.get("load").is_none() && !has_own && !is_misspelt(root, "load") {
        let remedy = "add for example `load = { offline = { samples = 100 } }`";
        mistakes.add(&root.at, "the scenario has no `load`", remedy);
    }
    load::check_priorities(&form, load.as_ref(), mistakes);
    let dispatch = load::lower_dispatch(form.dispatch.as_ref(), load.as_ref(), mistakes);
    load::check_queues(&form, dispatch, mistakes);
    let mut hardware = hardware::lower(&form, mistakes);
    let ports = switches::lower(&form, &counted, &mut hardware, mistakes);
    let is_platform_whole = mistakes.len() == known;
    let runtimes = runtimes::lower(&form, mistakes);
    hardware.platform.memories = memories::lower(root, &form, &hardware.devices, &files.bandwidths, mistakes);
    hardware.platform.interference = contention::lower(&form, &hardware.devices, mistakes);
    hardware.platform.interference.nics = nics::lower(&form, &hardware, mistakes);
    hardware.platform.interference.nics.extend(ports);
    let broken = faults::lower(&form, &hardware, mistakes);
    let variation = variation::lower(&form, &hardware.links, &files.traces, mistakes);
    let Hardware { mut platform, devices, .. } = hardware;
    platform.devices.iter_mut().zip(runtimes).for_each(|(device, runtime)| device.runtime = runtime);
    let is_disturbed = !broken.is_empty();
    let replications = load::lower_replications(form.replications.as_ref(), load.as_ref(), is_disturbed, mistakes);
    let baseline = Baseline {
        device: form.baseline.as_ref().and_then(|name| devices.find(name, mistakes)).map(DeviceId),
        is_at_hand: form.baseline_at_hand.as_ref().is_some_and(|at_hand| at_hand.value),
    };
    let seed = form.seed.as_ref().map_or(0, |seed| seed.value);
    let profiling = form.profiling.as_ref().and_then(|profiling| lower_profiling(profiling, mistakes));
    let networks = networks::lower(&form, &devices, &files.networks, mistakes);
    if is_platform_whole {
        networks::find_unreachable(&platform, &networks, mistakes);
    }
    let curves = Curves::new(&form, &files.traces);
    if files.traces.are_read() {
        curves.check(mistakes);
    }
    let strategies = lower_strategies(&form, &devices, mistakes);
    if mistakes.len() > known {
        return None;
    }
    let imported: Vec<String> = networks.iter().flat_map(|network| network.notes.clone()).collect();
    let (models, weights): (Vec<Model>, _) =
        networks.into_iter().map(|network| (network.model, network.weights)).unzip();
    let graphs: Vec<&Graph> = models.iter().map(|model| &model.graph).collect();
    let costs =
        TraceCosts::new(&platform, &graphs, |device, model| curves.profile(device, model, graphs[model.0 as usize]));
    let notes = imported.into_iter().chain(curves.notes(&platform, &models)).collect();
    let contention = form.contention.as_ref().is_some_and(|contention| contention.value);
    if contention && !contention::is_stated(&form) {
        platform.interference.slowdowns = curves.slowdowns();
    }
    let problem = Problem {
        contention,
        dispatch: dispatch?,
        variation,
        faults: broken,
        ..Problem::new(models, platform, load?, costs)
    };
    let recorded = problem.platform.devices.iter().map(|device| device.runtime.recorded());
    let profiles = curves.profiles(&recorded.collect::<Vec<_>>());
    let mut notes: Vec<String> = notes;
    notes.extend(load_notes);
    notes.extend(contention::idle_note(&problem.platform).filter(|_| !contention));
    notes.extend(profiles.iter().flatten().filter_map(|profile| profile.mismatch.clone()));
    let has_one_load = !matches!(problem.load, Load::PerModel(_));
    if problem.models.len() > 1 && !problem.faults.is_empty() && has_one_load {
        notes.push("of several networks, what one loses by a fault is computed again of all of them".to_owned());
    }
    let profiled_models = curves.profiled_models();
    Some(Case {
        problem,
        strategies,
        baseline,
        profiling,
        seed,
        replications,
        notes,
        weights,
        profiles,
        profiled_models,
    })
}

/// Whether a key is there that is meant to be `key`, which the diagnostic of an unknown key says.
fn is_misspelt(root: &Node, key: &str) -> bool {
    let is_meant = |text: &str| did_you_mean(text, [key], "keys") == format!("did you mean `{key}`?");
    root.as_table().is_some_and(|table| table.0.iter().any(|entry| is_meant(&entry.key)))
}

fn lower_profiling(form: &ProfilingForm, mistakes: &mut Mistakes) -> Option<Profiling> {
    let mut runs = |runs: &Option<At<u64>>, default: u32| match runs {
        None => Some(default),
        Some(runs) if runs.value <= RUNS_MAX => Some(runs.value as u32),
        Some(runs) => {
            mistakes.add(
                &runs.at,
                format!("nobody runs a profile {} times", runs.value),
                format!("use 0 to {RUNS_MAX}"),
            );
            None
        }
    };
    let (warm_up, repeats) = (runs(&form.warm_up, 10), runs(&form.repeats, 10));
    let time = |time: &Option<At<Duration>>| time.as_ref().map_or(Duration::ZERO, |time| time.value);
    Some(Profiling { build: time(&form.build), session: time(&form.session), warm_up: warm_up?, repeats: repeats? })
}

/// More runs of a profile are a mistake.
const RUNS_MAX: u64 = 1_000_000;

fn lower_strategies(form: &ScenarioForm, devices: &Names, mistakes: &mut Mistakes) -> Vec<Entry> {
    let mut names = Names::new("strategies");
    let mut entries = Vec::new();
    for entry in form.strategies.iter().flatten() {
        check_strategy(entry, devices, mistakes);
        let Some((kind, table)) = entry.kind() else { continue };
        let name = entry.name.clone().unwrap_or_else(|| At { value: kind.to_owned(), at: entry.at.clone() });
        names.insert(Some(&name), mistakes);
        entries.push(Entry { name: name.value, strategy: table.strategy() });
    }
    entries
}

/// What serde does not check of strategies.
fn check_strategy(form: &StrategyForm, devices: &Names, mistakes: &mut Mistakes) {
    if let Some(greedy) = &form.greedy
        && greedy.value.threshold <= 0.0
    {
        let cause = format!("a threshold of {} lets no sample move", greedy.value.threshold);
        mistakes.add(greedy.at_key("threshold"), cause, "use a number above 0; 1.0 is the published value");
    }
    for (named, at) in form.kind().into_iter().flat_map(|(_, table)| table.devices()) {
        let repeated = named.iter().enumerate().find(|(index, device)| named[..*index].contains(device));
        if named.is_empty() {
            mistakes.add(at, "there is no device to choose from", "name one, or leave this key out");
        } else if let Some((_, device)) = repeated {
            mistakes.add(at, format!("`{}` is named twice", shorten(device)), "name each device once");
        }
        for device in named {
            devices.find(&At { value: device.to_owned(), at: at.clone() }, mistakes);
        }
    }
}
