//! The hardware of a platform: for each device the driver of its runtime, ready for any number of plans.

use std::sync::Arc;

use super::cpu::{CoresDriver, Engines, Library};
use super::remote::{AgentDriver, Fleet};
use super::tensorrt::{self, Board, TensorrtDriver};
use super::wire::Credentials;
use super::{BackendError, DeviceInfo, Driver, Mock, Networks, Timing};
use crate::platform::{DeviceId, Platform, Runtime};

/// With what devices are driven.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What executes networks on cores of this machine.
    pub library: Library,
    /// What agents know us by, and we them.
    pub credentials: Credentials,
    /// Where trtexec and its engines are.
    pub tensorrt: tensorrt::Settings,
}

/// What runs the devices of a platform. Plans share it.
pub struct Hardware {
    pub(super) platform: Platform,
    pub(super) engines: Arc<Engines>,
    /// By device; `None` for those that are simulated only.
    pub(super) drivers: Vec<Option<Arc<dyn Driver>>>,
    board: Option<Arc<Board>>,
}

impl Hardware {
    /// Makes the devices of `platform` ready to run parts of `networks`.
    ///
    /// # Errors
    /// A device is not there, or cannot be used.
    pub fn start(platform: &Platform, networks: Networks, settings: &Settings) -> Result<Hardware, BackendError> {
        let networks = Arc::new(networks);
        let engines = Arc::new(Engines::new(settings.library.clone(), networks.clone()));
        let fleet = Arc::new(Fleet::connect(platform, &settings.credentials)?);
        let board = Board::of(platform, &networks, &settings.tensorrt)?;
        let driver = |device: DeviceId| -> Result<Option<Arc<dyn Driver>>, BackendError> {
            fn shared<D: Driver + 'static>(driver: D) -> Arc<dyn Driver> {
                Arc::new(driver)
            }
            Ok(match &platform.device(device).runtime {
                Runtime::Simulated => None,
                Runtime::Mock => Some(shared(Mock)),
                Runtime::Cores(unit) => Some(shared(CoresDriver::start(unit, engines.clone())?)),
                Runtime::Agent(_) => AgentDriver::new(&fleet, device, networks.clone()).map(shared),
                Runtime::Tensorrt(_) => board.as_ref().and_then(|board| TensorrtDriver::new(board, device)).map(shared),
            })
        };
        let drivers = platform.device_ids().map(driver).collect::<Result<_, _>>()?;
        Ok(Hardware { platform: platform.clone(), engines, drivers, board })
    }

    /// No hardware: each step of a plan on `platform` takes the time that is predicted for it.
    pub fn mock(platform: &Platform) -> Hardware {
        let driver = || Some(Arc::new(Mock) as Arc<dyn Driver>);
        let drivers = platform.devices.iter().map(|_| driver()).collect();
        Hardware::with(platform, Networks::default(), drivers)
    }

    /// Devices of `platform` that `drivers` run, by device, with parts of `networks`.
    ///
    /// # Panics
    /// If there is not one entry for each device.
    pub fn with(platform: &Platform, networks: Networks, drivers: Vec<Option<Arc<dyn Driver>>>) -> Hardware {
        assert_eq!(platform.devices.len(), drivers.len(), "each device has an entry");
        let engines = Arc::new(Engines::new(Library::Rten, Arc::new(networks)));
        Hardware { platform: platform.clone(), engines, drivers, board: None }
    }

    /// What runs `device`; `None` if it is simulated only.
    pub fn driver(&self, device: DeviceId) -> Option<&dyn Driver> {
        self.drivers.get(device.0 as usize)?.as_deref()
    }

    /// What each device is found to be, by device; `None` for those that are simulated only.
    pub fn devices(&self) -> Vec<Option<DeviceInfo>> {
        self.drivers.iter().map(|driver| driver.as_ref().map(|driver| driver.describe())).collect()
    }

    /// Whether a device has its steps timed one by one.
    pub fn times_alone(&self) -> bool {
        self.drivers.iter().flatten().any(|driver| driver.timing() == Timing::Alone)
    }

    /// The board of which TensorRT runs devices, if there are such.
    pub fn board(&self) -> Option<&Arc<Board>> {
        self.board.as_ref()
    }

    /// Looks at the clocks of devices again, which drift.
    ///
    /// # Errors
    /// A device is gone.
    pub fn synchronise(&self) -> Result<(), BackendError> {
        self.drivers.iter().flatten().try_for_each(|driver| driver.synchronise())
    }
}

impl std::fmt::Debug for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hardware").field("devices", &self.devices()).finish_non_exhaustive()
    }
}
