//! Hardware that is not there: every step takes the time that was predicted for it.
//!
//! It runs everywhere and proves the loop, the clock and the reports; what it measures says nothing of any device.

use std::sync::Arc;

use super::clock::sleep;
use super::{BackendError, DeviceInfo, Driver, Gathered, Job, Prepared, Ran, Tensor, Timing, Trouble, Workspace};

/// Runs a device by sleeping.
#[derive(Clone, Copy, Debug)]
pub struct Mock;

impl Driver for Mock {
    fn describe(&self) -> DeviceInfo {
        DeviceInfo { is_real: false, ..DeviceInfo::new("no hardware", "mock") }
    }

    fn timing(&self) -> Timing {
        Timing::Predicted
    }

    fn open(&self, _: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError> {
        Ok(Arc::new(Mock))
    }
}

impl Workspace for Mock {
    fn prepare(self: Arc<Self>, &Job { predicted, .. }: &Job<'_>) -> Result<Prepared, BackendError> {
        Ok(Box::new(move || {
            sleep(predicted);
            Ok(Ran::from(predicted))
        }))
    }

    fn put(&self, _: &Tensor, _: &Gathered) -> Result<(), Trouble> {
        Ok(())
    }

    fn get(&self, _: &Tensor) -> Result<Gathered, Trouble> {
        Err(Trouble::Step("a mock computes nothing".into()))
    }
}
