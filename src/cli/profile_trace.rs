//! The trace of a profile: its measurements with their provenance.

use std::collections::BTreeMap;

use super::results::now;
use super::visits::Visit;
use crate::cost::{Kind, LayerKey, Row, Rows, Statistic, Trace};
use crate::platform::DeviceId;
use crate::replay::cpu::{Runtime, processor};
use crate::scenario::{Case, DEVICE_KEY};

/// What a profile was taken on.
#[derive(Clone, Debug)]
pub(super) struct Provenance {
    pub(super) hardware: String,
    pub(super) software: String,
    /// What each device was, by the name that the trace has for it.
    devices: Vec<String>,
    notes: Vec<String>,
}

impl Provenance {
    /// Of profiles of `devices` on this machine.
    pub(super) fn of(case: &Case, runtime: &Runtime, devices: &[DeviceId]) -> Provenance {
        let device = |&device: &DeviceId| {
            let unit = case.units[device.0 as usize].as_ref()?;
            Some(format!("{}: {unit}", profiled_as(case, device)))
        };
        let devices = devices.iter().filter_map(device).collect();
        let mut notes = Vec::new();
        notes.push(format!("frequency governor: {}", governor()));
        notes.push(format!("kernel: {}", kernel()));
        Provenance { hardware: processor(), software: runtime.version(), devices, notes }
    }
}

/// The trace of `devices` from what `visits` measured of the networks called `names`.
pub(super) fn trace(
    case: &Case,
    names: &[&str],
    visits: &[Visit],
    devices: &[DeviceId],
    provenance: &Provenance,
    drift: f64,
) -> Trace {
    let mut header: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let version = env!("CARGO_PKG_VERSION");
    let date = now();
    for (key, value) in [
        ("source", format!("coinfer profile, version {version}")),
        ("revision", option_env!("COINFER_COMMIT").unwrap_or("not known").to_owned()),
        ("hardware", provenance.hardware.clone()),
        ("software", provenance.software.clone()),
        ("date", date.split('T').next().unwrap_or_default().to_owned()),
        ("kind", "measured".to_owned()),
    ] {
        header.insert(key.to_owned(), vec![value]);
    }
    header.insert(DEVICE_KEY.to_owned(), provenance.devices.clone());
    let mut notes = provenance.notes.clone();
    notes.push(format!("the time of one sample of {} varied by {:.1} % meanwhile", names[0], drift * 100.0));
    header.insert("note".to_owned(), notes);
    let profile = |device| profiled_as(case, device);
    let mut repeats: BTreeMap<Point, u32> = BTreeMap::new();
    let mut rows = Vec::new();
    for visit in visits {
        for measured in visit.measured.iter().filter(|measured| devices.contains(&measured.device)) {
            let layer = measured.layer.clone();
            let point = (measured.device, visit.network, layer, measured.batch, measured.rows, measured.beside);
            let repeat = repeats.entry(point).or_insert(0);
            *repeat += 1;
            rows.push(Row {
                line: 0,
                device: profile(measured.device),
                model: names[visit.network].to_owned(),
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
    Trace { kind: Kind::Measured, header, rows }
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
