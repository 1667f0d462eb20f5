//! What the hardware of a case was found to be, and whether its traces are of it.

use super::trace::joined;
use crate::metrics::RemoteDevice;
use crate::replay::remote::BoardInfo;
use crate::replay::{DeviceInfo, Hardware};
use crate::scenario::{Case, Profile};

/// What each device of a case was found to be, by device; `None` for those that are simulated only.
pub(super) struct Found<'a> {
    case: &'a Case,
    devices: Vec<Option<DeviceInfo>>,
}

impl<'a> Found<'a> {
    pub(super) fn of(case: &'a Case, hardware: &Hardware) -> Found<'a> {
        Found { case, devices: hardware.devices() }
    }

    fn all(&self) -> impl Iterator<Item = &DeviceInfo> {
        self.devices.iter().flatten()
    }

    /// Of all different texts of the devices of this machine, or of others if there is none.
    fn joined(&self, text: impl Fn(&DeviceInfo) -> &str) -> String {
        let here = joined(self.all().filter(|info| info.board.is_none()).map(&text));
        if here.is_empty() { joined(self.all().map(&text)) } else { here }
    }

    /// What plans run on.
    pub(super) fn hardware(&self) -> String {
        self.joined(|info| &info.hardware)
    }

    /// What executes networks.
    pub(super) fn software(&self) -> String {
        self.joined(|info| &info.software)
    }

    /// What executes networks on each device; empty for those that are simulated only.
    pub(super) fn softwares(&self) -> Vec<String> {
        let software = |info: &Option<DeviceInfo>| info.as_ref().map_or_else(String::new, |info| info.software.clone());
        self.devices.iter().map(software).collect()
    }

    /// Whether hardware takes part.
    pub(super) fn is_real(&self) -> bool {
        self.all().any(|info| info.is_real)
    }

    /// The names of devices of which no hardware takes part, if it does of others.
    pub(super) fn unreal(&self) -> Vec<String> {
        if self.is_real() { self.names(|info| !info.is_real) } else { Vec::new() }
    }

    /// The names of devices that are slowed on purpose, and of those that are reached over a way that is made longer.
    pub(super) fn emulated(&self) -> Vec<String> {
        self.names(|info| info.is_emulated)
    }

    fn names(&self, is_it: impl Fn(&DeviceInfo) -> bool) -> Vec<String> {
        let devices = self.case.problem.platform.devices.iter().zip(&self.devices);
        let chosen = devices.filter(|(_, info)| info.as_ref().is_some_and(&is_it));
        chosen.map(|(device, _)| device.name.clone()).collect()
    }

    /// The agents that take part.
    pub(super) fn boards(&self) -> Vec<RemoteDevice> {
        let board = |info: &DeviceInfo| {
            let BoardInfo { name, address, hardware, software, unit, delay, clock_error, .. } = info.board.clone()?;
            Some(RemoteDevice {
                device: name,
                address,
                hardware,
                software,
                unit: unit.to_string(),
                clock_error_ms: clock_error.as_millis_f64(),
                delay_ms: delay.as_millis_f64(),
            })
        };
        self.all().filter_map(board).collect()
    }

    /// What a reader of times should know.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = "threads have no real-time priority here (CAP_SYS_NICE), so other programs may take their cores";
        let mut notes: Vec<String> = self.all().any(|info| info.is_shared).then(|| note.into()).into_iter().collect();
        for note in self.all().flat_map(|info| &info.notes) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        notes
    }

    /// Why the traces of the case say nothing of the hardware that takes part.
    pub(super) fn foreign_traces(&self) -> Vec<String> {
        let mut objections: Vec<String> = Vec::new();
        let mut object = |objection: String| {
            if !objections.contains(&objection) {
                objections.push(objection);
            }
        };
        for standin in self.all().filter_map(|info| info.standin.as_ref()) {
            object(format!("{standin} took the place of TensorRT"));
        }
        let is_mock = |info: &DeviceInfo| !info.is_real && info.standin.is_none();
        let devices = self.case.problem.platform.devices.iter().zip(&self.case.profiles).zip(&self.devices);
        let profiled: Vec<(&str, &Profile, &DeviceInfo)> = devices
            .filter_map(|((device, profile), info)| Some((device.name.as_str(), profile.as_ref()?, info.as_ref()?)))
            .filter(|(.., info)| !is_mock(info))
            .collect();
        for &(name, profile, info) in &profiled {
            profile.mismatch.clone().into_iter().for_each(&mut object);
            if let Some(unit) = profile.unit.as_ref().filter(|unit| info.board.is_some() && **unit != info.unit) {
                let now = &info.unit;
                object(format!("`{name}` was profiled as {unit}, and its agent says {now}; run `coinfer profile`"));
            }
            let Some((hardware, software)) = &profile.taken_on else { continue };
            let of_trace = || profiled.iter().filter(|(_, other, _)| other.trace == profile.trace);
            let found_hardware = joined(of_trace().map(|(.., info)| info.hardware.as_str()));
            let found_software = joined(of_trace().map(|(.., info)| info.software.as_str()));
            for (what, of_trace, here) in [("on", hardware, found_hardware), ("with", software, found_software)] {
                if *of_trace != here {
                    let trace = profile.trace.display();
                    object(format!("{trace} was taken {what} {of_trace}, and this is {here}; run `coinfer profile`"));
                }
            }
        }
        objections
    }
}
