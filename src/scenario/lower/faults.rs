//! What breaks while a scenario runs, and when.

use std::collections::BTreeMap;

use super::hardware::Hardware;
use crate::platform::{DeviceId, LinkId};
use crate::problem;
use crate::problem::{Change, Fault};
use crate::scenario::decode::At;
use crate::scenario::diagnostic::{Mistakes, Span};
use crate::scenario::form::{FaultForm, ScenarioForm};
use crate::scenario::names::Names;
use crate::units::{Duration, Time};

/// What is slower still is as good as gone.
const SLOWDOWN_MAX: f64 = 1000.0;

/// A device or a link that is not what it was for some time.
struct Spell<'a> {
    from: Time,
    until: Option<Time>,
    begin: Vec<Change>,
    end: Vec<Change>,
    at: &'a Span,
}

/// What a fault is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Broken<'a> {
    Device(DeviceId),
    /// All directions of a link.
    Link(&'a [LinkId]),
}

/// Everything that breaks. If the form has mistakes, it is not whole.
pub(super) fn lower(form: &ScenarioForm, hardware: &Hardware, mistakes: &mut Mistakes) -> problem::Faults {
    let (mut names, mut spells) = (Names::new("faults"), BTreeMap::new());
    for fault in form.faults.iter().flatten() {
        names.insert(fault.name.as_ref(), mistakes);
        if let Some((part, spell)) = lower_fault(fault, hardware, mistakes) {
            spells.entry(part).or_insert_with(Vec::new).push(spell);
        }
    }
    spells.values_mut().for_each(|spells| find_overlaps(spells, mistakes));
    let mut changes = Vec::new();
    for Spell { from, until, begin, end, .. } in spells.into_values().flatten() {
        changes.extend(begin.into_iter().map(|change| (from, 1, change)));
        changes.extend(until.into_iter().flat_map(|until| end.iter().map(move |&change| (until, 0, change))));
    }
    // What ends goes before what begins at the same time, so that the latter has the last word.
    changes.sort_by_key(|&(at, order, _)| (at, order));
    problem::Faults {
        faults: changes.into_iter().map(|(at, _, change)| Fault { at, change }).collect(),
        replanning: form.replanning.as_ref().map(|replanning| replanning.value),
    }
}

fn lower_fault<'a>(
    form: &'a FaultForm,
    hardware: &'a Hardware,
    mistakes: &mut Mistakes,
) -> Option<(Broken<'a>, Spell<'a>)> {
    if let (Some(from), Some(until)) = (&form.from, &form.until)
        && until.value <= from.value
    {
        let fault =
            mistakes.add(&until.at, "the fault ends before it begins", "use a later time, or leave `until` out");
        fault.beside(&from.at, "it begins");
    }
    let left = lower_left(form, mistakes);
    let part = match (&form.device, &form.link) {
        (Some(device), _) => Broken::Device(DeviceId(hardware.devices.find(device, mistakes)?)),
        (None, Some(link)) => Broken::Link(hardware.links.find(link, mistakes)?),
        (None, None) => return None,
    };
    let bandwidth = |health| move |&link: &LinkId| Change::Bandwidth { link, health };
    let (begin, end) = match (part, left?) {
        (Broken::Device(device), Left::Nothing) => (vec![Change::Out { device }], vec![Change::Back { device }]),
        (Broken::Device(device), Left::Share(health)) => {
            (vec![Change::Speed { device, health }], vec![Change::Speed { device, health: 1.0 }])
        }
        (Broken::Link(links), Left::Share(health)) => {
            (links.iter().map(bandwidth(health)).collect(), links.iter().map(bandwidth(1.0)).collect())
        }
        (Broken::Link(_), Left::Nothing) => return None,
    };
    let time = |time: &At<Duration>| Time::ZERO + time.value;
    let (from, until) = (time(form.from.as_ref()?), form.until.as_ref().map(time));
    Some((part, Spell { from, until, begin, end, at: &form.at }))
}

/// What a fault leaves of speed or bandwidth.
enum Left {
    Share(f64),
    Nothing,
}

fn lower_left(form: &FaultForm, mistakes: &mut Mistakes) -> Option<Left> {
    let out = form.out.as_ref().filter(|out| out.value);
    match (&form.slowdown, out) {
        (Some(slowdown), Some(out)) => {
            let cause = "what is gone has no speed";
            mistakes.add(&out.at, cause, "keep either `slowdown` or `out`").beside(&slowdown.at, "its speed");
        }
        (None, None) => {
            let remedy = if form.link.is_some() { "slowdown = 3.0" } else { "slowdown = 3.0` or `out = true" };
            mistakes.add(&form.at, "the fault changes nothing", format!("add for example `{remedy}`"));
        }
        (None, Some(out)) if form.link.is_some() => {
            mistakes.add(&out.at, "links do not drop out", format!("use a `slowdown` of up to {SLOWDOWN_MAX}"));
        }
        _ => {}
    }
    let Some(slowdown) = &form.slowdown else { return out.map(|_| Left::Nothing) };
    if !(slowdown.value > 1.0 && slowdown.value <= SLOWDOWN_MAX) {
        let cause = format!("the slowdown {} is out of range", slowdown.value);
        let remedy = format!("use how many times as long everything takes, above 1 and up to {SLOWDOWN_MAX}");
        mistakes.add(&slowdown.at, cause, remedy);
    }
    Some(Left::Share(1.0 / slowdown.value))
}

/// Sorts the faults of a part by time; each must end before the next begins.
fn find_overlaps(spells: &mut [Spell<'_>], mistakes: &mut Mistakes) {
    spells.sort_by_key(|spell| spell.from);
    for pair in spells.windows(2) {
        if pair[0].until.is_none_or(|until| until > pair[1].from) {
            let cause = "another fault of the same device or link has not ended when this one begins";
            let fault = mistakes.add(pair[1].at, cause, "let the first end before, or make one fault of them");
            fault.label("second").beside(pair[0].at, "first");
        }
    }
}
