//! Hardware that is not there: every step takes the time that it is told.
//!
//! It runs everywhere and proves the loop, the clock and the reports; what it measures says nothing of any device.

use super::clock::sleep;
use super::{Backend, BackendError, DeviceInfo, Ran, Session};
use crate::plan::{CheckedPlan, LaneId, StepId};
use crate::units::{Bytes, Duration};

/// The mock backend.
#[derive(Clone, Debug)]
pub struct Mock {
    /// How long each step takes, by step id.
    times: Vec<Duration>,
}

impl Mock {
    /// Hardware on which step *i* takes `times[i]`.
    pub fn new(times: Vec<Duration>) -> Mock {
        Mock { times }
    }
}

impl Backend for Mock {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn probe(&self) -> Result<DeviceInfo, BackendError> {
        Ok(DeviceInfo { name: "no hardware".into(), software: "mock".into(), memory: Bytes(u64::MAX) })
    }

    fn open(&self, plan: &CheckedPlan, _: LaneId) -> Result<Box<dyn Session>, BackendError> {
        if self.times.len() != plan.steps.len() {
            let reason = format!("it knows {} steps, and the plan has {}", self.times.len(), plan.steps.len());
            return Err(BackendError::Unfit { backend: self.name(), reason });
        }
        Ok(Box::new(self.clone()))
    }
}

impl Session for Mock {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let time = self.times[step.0 as usize];
        sleep(time);
        Ok(time.into())
    }
}
