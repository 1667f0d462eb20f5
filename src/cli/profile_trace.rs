//! The trace of a profile: its measurements with their provenance.

use std::collections::BTreeMap;

use super::results::now;
use super::visits::Visit;
use crate::cost::{Kind, LayerKey, Row, Rows, Statistic, Trace};
use crate::platform::DeviceId;
use crate::replay::DeviceInfo;
use crate::replay::remote::{BoardInfo, Fleet};
use crate::replay::tensorrt::Board;
use crate::scenario::{Case, DEVICE_KEY};

/// What a profile was taken on.
#[derive(Clone, Debug)]
pub(super) struct Provenance {
    /// By device; `None` for those that were not profiled.
    devices: Vec<Option<Taken>>,
    /// What took the place of NVIDIA's trtexec, if something did.
    standin: Option<String>,
    notes: Vec<String>,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taken {
    pub(super) hardware: String,
    pub(super) software: String,
    pub(super) unit: String,
}

/// What each device of `case` is, as far as the scenario says where it is; this machine is `info`.
pub(super) fn taken(case: &Case, info: &DeviceInfo, fleet: &Fleet, board: Option<&Board>) -> Vec<Option<Taken>> {
    let of = |DeviceInfo { name, software, .. }: &DeviceInfo, unit: String| Taken {
        hardware: name.clone(),
        software: software.clone(),
        unit,
    };
    let device = |device: DeviceId| {
        let here = case.problem.platform.device(device).runtime.cores().map(|cores| of(info, cores.to_string()));
        let there = fleet.info(device).map(|BoardInfo { hardware, software, unit, .. }| Taken {
            hardware,
            software,
            unit: unit.to_string(),
        });
        let on_board = board.and_then(|board| Some(of(board.info(), board.unit(device)?.to_string())));
        here.or(there).or(on_board)
    };
    case.problem.platform.device_ids().map(device).collect()
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
    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// Of profiles on this machine and on agents.
    pub(super) fn of(case: &Case, info: &DeviceInfo, fleet: &Fleet, board: Option<&Board>) -> Provenance {
        let notes = vec![format!("frequency governor: {}", governor()), format!("kernel: {}", kernel())];
        let standin = board.and_then(Board::standin).map(str::to_owned);
        Provenance { devices: taken(case, info, fleet, board), standin, notes }
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
    let taken = || devices.iter().filter_map(|device| Some((*device, provenance.devices[device.0 as usize].as_ref()?)));
    let date = now();
    let is_board = |device: &DeviceId| case.problem.platform.device(*device).runtime.tensorrt().is_some();
    let standin = provenance.standin.as_ref().filter(|_| devices.iter().any(is_board));
    let by = standin.map_or_else(String::new, |standin| format!(", with {standin}: nothing was measured"));
    let (kind, kind_name) = if standin.is_some() { (Kind::Derived, "derived") } else { (Kind::Measured, "measured") };
    for (key, value) in [
        ("source", format!("coinfer profile, version {version}{by}")),
        ("revision", option_env!("COINFER_COMMIT").unwrap_or("not known").to_owned()),
        ("hardware", joined(taken().map(|(_, taken)| taken.hardware.as_str()))),
        ("software", joined(taken().map(|(_, taken)| taken.software.as_str()))),
        ("date", date.split('T').next().unwrap_or_default().to_owned()),
        ("kind", kind_name.to_owned()),
    ] {
        header.insert(key.to_owned(), vec![value]);
    }
    let unit = |(device, taken): (DeviceId, &Taken)| format!("{}: {}", profiled_as(case, device), taken.unit);
    header.insert(DEVICE_KEY.to_owned(), taken().map(unit).collect());
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
    Trace { kind, header, rows }
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
