//! What plans run on in a replay: the cores of this machine and agents, units that TensorRT runs, or nothing.

use std::sync::Arc;

use clap::ValueEnum;

use super::Error;
use super::hardware::{HardwareArgs, host};
use super::profile_trace::{joined, taken};
use crate::cost::Estimate;
use crate::plan::CheckedPlan;
use crate::platform::{DeviceId, Platform};
use crate::problem::Problem;
use crate::replay::cpu::{Cpu, Host};
use crate::replay::remote::{BoardInfo, Fleet, Remote};
use crate::replay::tensorrt::{Board, Tensorrt, assembled};
use crate::replay::wire::Credentials;
use crate::replay::{Backend, Crew, DeviceInfo, Hold, Limits, Mock, PROBE_SAMPLES, Round, SpeedProbe, assemble};
use crate::scenario::Case;
use crate::units::Duration;

/// What plans run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendKind {
    /// The cores of this machine, and the agents, that devices say they are
    Cpu,
    /// The GPU and DLAs of this board that devices say they are, each step by itself in a process of trtexec
    Tensorrt,
    /// No hardware: each step takes the time that is predicted for it
    Mock,
}

/// What plans run on, ready for those of one case.
pub(super) enum Machine {
    Hardware { host: Arc<Host>, fleet: Arc<Fleet> },
    Board { board: Arc<Board>, fleet: Arc<Fleet> },
    Mock,
}

impl Machine {
    pub(super) fn new(case: &Case, kind: BackendKind, hardware: &HardwareArgs) -> Result<Machine, Error> {
        if kind == BackendKind::Mock {
            return Ok(Machine::Mock);
        }
        let mut models = Vec::new();
        for (model, weights) in case.problem.models.iter().zip(&case.weights) {
            let Some(weights) = weights else {
                let name = model.graph.name();
                let reason = "is known by its sizes only and cannot be run; name its layers by `zoo` or `onnx`";
                return Err(Error::Usage(format!("{name} {reason}, or use --backend mock")));
            };
            models.push((model.clone(), weights.clone()));
        }
        let platform = &case.problem.platform;
        if kind == BackendKind::Tensorrt {
            let board = hardware.board(case, &models)?.ok_or_else(|| {
                Error::Usage("no device of the scenario is of TensorRT; write for example `tensorrt = {}`".into())
            })?;
            // Nothing is asked of agents.
            let fleet = Fleet::connect(&Platform::default(), &Credentials::default())?;
            return Ok(Machine::Board { board, fleet: Arc::new(fleet) });
        }
        if let Some(device) = platform.devices.iter().find(|device| device.runtime.tensorrt().is_some()) {
            let name = &device.name;
            return Err(Error::Usage(format!("`{name}` is of TensorRT; replay its plans with `--backend tensorrt`")));
        }
        let probed = PROBE_SAMPLES * case.problem.platform.devices.len() as u32;
        let samples = case.problem.samples().max(probed);
        let host = host(case, &models, hardware.library()?, samples)?;
        Ok(Machine::Hardware { host, fleet: hardware.fleet(case)? })
    }

    /// Whether real hardware computes.
    pub(super) fn is_real(&self) -> bool {
        match self {
            Machine::Hardware { .. } => true,
            Machine::Board { board, .. } => board.standin().is_none(),
            Machine::Mock => false,
        }
    }

    /// Whether timelines are put together from steps that were timed one by one.
    pub(super) fn assembles(&self) -> bool {
        matches!(self, Machine::Board { .. })
    }

    pub(super) fn probe(&self) -> Result<DeviceInfo, Error> {
        Ok(match self {
            Machine::Hardware { host, .. } => Cpu::new(host.clone()).probe()?,
            Machine::Board { board, .. } => Tensorrt::new(board.clone()).probe()?,
            Machine::Mock => Mock::new(Vec::new()).probe()?,
        })
    }

    /// How fast devices are just now; `None` where nothing computes.
    pub(super) fn speed(&self, problem: &Problem) -> Result<Option<SpeedProbe>, Error> {
        match self {
            Machine::Hardware { host, fleet } => {
                let remote = Remote::with_inputs_everywhere(host.clone(), fleet.clone())?;
                Ok(Some(SpeedProbe::new(problem, &remote)?))
            }
            Machine::Board { .. } | Machine::Mock => Ok(None),
        }
    }

    /// The open lanes of `plan`, whose steps take the times of `estimates` where nothing computes, and the backend
    /// that has its data.
    pub(super) fn open(&self, plan: &CheckedPlan, estimates: &[Estimate]) -> Result<(Crew, Option<Remote>), Error> {
        match self {
            Machine::Hardware { host, fleet } => {
                let remote = Remote::new(host.clone(), fleet.clone())?;
                Ok((assemble(plan, &remote)?, Some(remote)))
            }
            Machine::Board { board, .. } => Ok((assemble(plan, &Tensorrt::new(board.clone()))?, None)),
            Machine::Mock => {
                let times = estimates.iter().map(|estimate| estimate.time).collect();
                Ok((assemble(plan, &Mock::new(times))?, None))
            }
        }
    }

    /// Runs `plan` once, which `crew` has open.
    pub(super) fn round(
        &self,
        crew: &mut Crew,
        problem: &Problem,
        plan: &CheckedPlan,
        estimates: &[Estimate],
        limits: &Limits<'_>,
    ) -> Result<Round, Error> {
        match self {
            // Steps wait for each other's processes, each of which has a limit of its own.
            Machine::Board { .. } => {
                let round = crew.round(plan, &Limits { deadline: Duration::MAX, ..*limits })?;
                Ok(assembled(problem, plan, estimates, &round))
            }
            Machine::Hardware { .. } | Machine::Mock => Ok(crew.round(plan, limits)?),
        }
    }

    /// What a reader of the results should know.
    pub(super) fn notes(&self) -> Vec<String> {
        let is_shared = match self {
            Machine::Hardware { host, .. } => {
                host.hold() == Some(Hold::Shared) || self.boards().any(|board| !board.is_real_time)
            }
            Machine::Board { board, .. } => return board.notes(),
            Machine::Mock => false,
        };
        let note = "threads have no real-time priority here (CAP_SYS_NICE), so other programs may take their cores";
        if is_shared { vec![note.into()] } else { vec![] }
    }

    /// The agents that take part.
    pub(super) fn boards(&self) -> impl Iterator<Item = BoardInfo> + '_ {
        let fleet = match self {
            Machine::Hardware { fleet, .. } | Machine::Board { fleet, .. } => Some(fleet),
            Machine::Mock => None,
        };
        fleet.into_iter().flat_map(|fleet| fleet.devices().filter_map(|device| fleet.info(device)))
    }

    /// Looks at the clocks of agents again, which drift.
    pub(super) fn synchronise(&self) -> Result<(), Error> {
        match self {
            Machine::Hardware { fleet, .. } => Ok(fleet.synchronise()?),
            Machine::Board { .. } | Machine::Mock => Ok(()),
        }
    }

    /// The names of devices that are slowed on purpose, and of those that are reached over a way that is made longer.
    pub(super) fn emulated(&self, case: &Case) -> Vec<String> {
        let boards: Vec<BoardInfo> = self.boards().collect();
        let is_emulated = |device: &DeviceId| {
            let here = case.problem.platform.device(*device).runtime.cores();
            let there = boards.iter().find(|board| board.device == *device);
            here.or(there.map(|board| &board.unit)).is_some_and(|unit| unit.slowed > 1.0)
                || there.is_some_and(|board| board.delay > Duration::ZERO)
        };
        let platform = &case.problem.platform;
        platform.device_ids().filter(is_emulated).map(|device| platform.device(device).name.clone()).collect()
    }

    /// Why the traces of `case` say nothing of the machines that take part, this one of which was found to be `info`.
    pub(super) fn foreign_traces(&self, case: &Case, info: &DeviceInfo) -> Vec<String> {
        let (fleet, board) = match self {
            Machine::Hardware { fleet, .. } => (fleet, None),
            Machine::Board { board, fleet } => (fleet, Some(&**board)),
            Machine::Mock => return Vec::new(),
        };
        let taken = taken(case, info, fleet, board);
        let profiled =
            || case.profiles.iter().zip(&taken).filter_map(|(profile, taken)| Some((profile.as_ref()?, taken)));
        let mut objections = Vec::new();
        let standin = board.and_then(Board::standin);
        objections.extend(standin.map(|standin| format!("{standin} took the place of TensorRT")));
        for (index, (profile, found)) in profiled().enumerate() {
            objections.extend(profile.mismatch.clone());
            let is_agent = case.problem.platform.devices[index].runtime.agent().is_some();
            if let (true, Some(unit), Some(found)) = (is_agent, &profile.unit, found)
                && *unit != found.unit
            {
                let name = &case.problem.platform.devices[index].name;
                let now = &found.unit;
                objections
                    .push(format!("`{name}` was profiled as {unit}, and its agent says {now}; run `coinfer profile`"));
            }
            let Some((hardware, software)) = &profile.taken_on else { continue };
            let of_trace =
                || profiled().filter(|(other, _)| other.trace == profile.trace).filter_map(|(_, taken)| taken.as_ref());
            let here = |text: String, of_host: &String| if text.is_empty() { of_host.clone() } else { text };
            let found_hardware = here(joined(of_trace().map(|taken| taken.hardware.as_str())), &info.name);
            let found_software = here(joined(of_trace().map(|taken| taken.software.as_str())), &info.software);
            for (what, of_trace, here) in [("on", hardware, found_hardware), ("with", software, found_software)] {
                let trace = profile.trace.display();
                let objection =
                    format!("{trace} was taken {what} {of_trace}, and this is {here}; run `coinfer profile`");
                if *of_trace != here && !objections.contains(&objection) {
                    objections.push(objection);
                }
            }
        }
        objections
    }
}
