//! The trace of a profile: its measurements with their provenance.

use std::collections::{BTreeMap, BTreeSet};

use super::Visit;
use super::sentinel::{Speeds, TOLERANCE};
use crate::cost::{Kind, LayerKey, Row, Rows, Statistic, Trace};
use crate::platform::DeviceId;
use crate::replay::{DeviceInfo, Hardware};
use crate::scenario::{Case, DEVICE_KEY};

/// What a profile was taken on, and who took it when.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// By device; `None` for those that were not profiled.
    devices: Vec<Option<Taken>>,
    /// By device, what took the place of the vendor's software, if something did.
    standins: Vec<Option<String>>,
    notes: Vec<String>,
    /// The day, as traces have it.
    date: String,
    /// The commit that this program was built from.
    revision: String,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq)]
struct Taken {
    hardware: String,
    software: String,
    unit: String,
}

/// Different texts of several devices, in one.
pub(super) fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut different: Vec<&str> = Vec::new();
    texts.for_each(|text| {
        if !different.contains(&text) {
            different.push(text);
        }
    });
    different.join(" and ")
}

impl Provenance {
    /// Adds what a reader of the trace should know.
    pub fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// What it is known by, whenever it is taken.
    pub(super) fn key(&self) -> String {
        let Provenance { devices, standins, notes, .. } = self;
        format!("{devices:?} {standins:?} {notes:?}")
    }

    /// Of profiles on `hardware`, taken on the day `date` by the program of commit `revision`.
    pub fn of(hardware: &Hardware, date: &str, revision: &str) -> Provenance {
        let taken = |info: &DeviceInfo| Taken {
            hardware: info.hardware.clone(),
            software: info.software.clone(),
            unit: info.unit.clone(),
        };
        let devices = hardware.devices();
        Provenance {
            devices: devices.iter().map(|info| info.as_ref().map(taken)).collect(),
            standins: devices.into_iter().map(|info| info?.standin).collect(),
            notes: vec![format!("frequency governor: {}", governor()), format!("kernel: {}", kernel())],
            date: date.to_owned(),
            revision: revision.to_owned(),
        }
    }
}

/// The trace of `devices` from the visits of `speeds` to the networks called `names`.
pub(super) fn trace(
    case: &Case,
    names: &[&str],
    speeds: &Speeds<'_>,
    devices: &[DeviceId],
    provenance: &Provenance,
) -> Trace {
    let mut header: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let version = env!("CARGO_PKG_VERSION");
    let taken = || devices.iter().filter_map(|device| Some((*device, provenance.devices[device.0 as usize].as_ref()?)));
    let standin = devices.iter().find_map(|device| provenance.standins[device.0 as usize].as_ref());
    let by = standin.map_or_else(String::new, |standin| format!(", with {standin}: nothing was measured"));
    let (kind, kind_name) = if standin.is_some() { (Kind::Derived, "derived") } else { (Kind::Measured, "measured") };
    for (key, value) in [
        ("source", format!("coinfer profile, version {version}{by}")),
        ("revision", provenance.revision.clone()),
        ("hardware", joined(taken().map(|(_, taken)| taken.hardware.as_str()))),
        ("software", joined(taken().map(|(_, taken)| taken.software.as_str()))),
        ("date", provenance.date.clone()),
        ("kind", kind_name.to_owned()),
    ] {
        header.insert(key.to_owned(), vec![value]);
    }
    let unit = |(device, taken): (DeviceId, &Taken)| format!("{}: {}", profiled_as(case, device), taken.unit);
    header.insert(DEVICE_KEY.to_owned(), taken().map(unit).collect());
    let mut notes = provenance.notes.clone();
    let drift = speeds.drift() * 100.0;
    notes.push(format!("the time of one sample of {} varied by {drift:.1} % meanwhile", names[0]));
    let kept = speeds.kept();
    notes.extend(unsteady(case, names, &kept, devices));
    header.insert("note".to_owned(), notes);
    let profile = |device| profiled_as(case, device);
    let mut repeats: BTreeMap<Point, u32> = BTreeMap::new();
    let mut rows = Vec::new();
    for (visit, _) in kept {
        for measured in visit.measured.iter().filter(|measured| devices.contains(&measured.device)) {
            let layer = measured.layer.clone();
            let point = (measured.device, visit.network, layer, measured.batch, measured.rows, measured.beside);
            let repeat = repeats.entry(point).or_insert(0);
            *repeat += 1;
            rows.push(Row {
                line: 0,
                device: profile(measured.device),
                model: names[visit.network].to_owned(),
                precision: case.problem.platform.device(measured.device).precision,
                layer: measured.layer.clone(),
                batch: measured.batch,
                rows: measured.rows,
                statistic: Statistic::Raw,
                repeat: *repeat,
                time_ms: measured.time.as_millis_f64(),
                per_sample: false,
                beside: measured.beside.map(profile),
            });
        }
    }
    rows.sort_by(|one, other| key(one).cmp(&key(other)));
    Trace { kind, header, rows, shares: BTreeMap::new() }
}

/// What was never measured at the usual speed: which batches of which network where, how often and how far off at most.
fn unsteady(case: &Case, names: &[&str], kept: &[(&Visit, f64)], devices: &[DeviceId]) -> Vec<String> {
    let mut found: BTreeMap<(DeviceId, usize, u32), (u32, f64)> = BTreeMap::new();
    for (visit, off) in kept.iter().filter(|(_, off)| *off > TOLERANCE) {
        let points: BTreeSet<(DeviceId, u32)> =
            visit.measured.iter().map(|measured| (measured.device, measured.batch)).collect();
        for (device, batch) in points.into_iter().filter(|(device, _)| devices.contains(device)) {
            let (count, most) = found.entry((device, visit.network, batch)).or_default();
            (*count, *most) = (*count + 1, most.max(*off));
        }
    }
    let note = |((device, network, batch), (count, off)): ((DeviceId, usize, u32), (u32, f64))| {
        let (device, network, off) = (profiled_as(case, device), names[network], off * 100.0);
        let visits = if count == 1 { "visit" } else { "visits" };
        format!(
            "the machine was off its usual speed by up to {off:.1} % in {count} {visits} to {network} at batch {batch} on {device}"
        )
    };
    found.into_iter().map(note).collect()
}

/// What the trace calls a device.
fn profiled_as(case: &Case, device: DeviceId) -> String {
    match &case.profiles[device.0 as usize] {
        Some(profile) => profile.device.clone(),
        None => case.problem.platform.device(device).name.clone(),
    }
}

/// What repeats are of: device, network, part of it, batch, rows, and the device beside.
type Point = (DeviceId, usize, LayerKey, u32, Rows, Option<DeviceId>);

fn key(row: &Row) -> (&str, &str, &LayerKey, u32, Rows, Option<&str>, u32) {
    (&row.device, &row.model, &row.layer, row.batch, row.rows, row.beside.as_deref(), row.repeat)
}

fn governor() -> String {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    text.map_or_else(|_| "not known".into(), |text| text.trim().to_owned())
}

fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    text.map_or_else(|_| "not known".into(), |text| text.trim().to_owned())
}
