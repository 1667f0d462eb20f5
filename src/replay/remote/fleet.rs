//! Connections to the agents of a platform's devices.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime as Tokio};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::offset::Offset;
use crate::platform::{AgentAddress, Cores, Device, DeviceId, Platform};
use crate::replay::clock::now;
use crate::replay::wire::messages::{HelloReply, HelloRequest, StatusRequest};
use crate::replay::wire::{AgentClient, Credentials, Security, VERSION, channel};
use crate::replay::{BackendError, cores};
use crate::units::Duration;

/// The agents of a platform's devices, all of which answer when this is made.
pub struct Fleet {
    /// By device; `None` for those without an agent.
    boards: Vec<Option<Arc<AgentDevice>>>,
    /// There if there are agents. Dropped last.
    tokio: Option<Tokio>,
}

/// A device with an agent.
pub(super) struct AgentDevice {
    pub(super) name: String,
    pub(super) address: AgentAddress,
    pub(super) authority: Vec<u8>,
    pub(super) clients: Clients,
    pub(super) hello: HelloReply,
    pub(super) offset: Mutex<Offset>,
    pub(super) handle: Handle,
}

/// Connections of their own for what goes and what comes: one that waits for its way to be free reads nothing.
#[derive(Clone)]
pub(super) struct Clients {
    /// For short messages.
    pub(super) short: Client,
    /// For tensors that are put.
    pub(super) putting: Client,
    /// For tensors that are fetched.
    pub(super) getting: Client,
}

pub(super) type Client = AgentClient<InterceptedService<Channel, Bearer>>;

/// What an agent says of itself, and how well its clock is known.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardInfo {
    /// Which device it is.
    pub device: DeviceId,
    /// The device's name.
    pub name: String,
    /// Where the agent is.
    pub address: String,
    /// Its processor.
    pub hardware: String,
    /// The runtime that executes networks there, with its version.
    pub software: String,
    /// The cores that compute.
    pub unit: Cores,
    /// How long it holds each message on purpose.
    pub delay: Duration,
    /// Whether its threads hold their cores against all other programs.
    pub is_real_time: bool,
    /// How far times that it tells may be off on our clock.
    pub clock_error: Duration,
}

/// Threads that receive and send.
const IO_THREADS: usize = 2;
/// Readings of an agent's clock, of which the fastest counts.
const READINGS: usize = 16;

impl Fleet {
    /// Connects to the agents that devices of `platform` are.
    ///
    /// # Errors
    /// One of them does not answer, does not know us, or speaks another version.
    pub fn connect(platform: &Platform, credentials: &Credentials) -> Result<Fleet, BackendError> {
        if platform.devices.iter().all(|device| device.runtime.agent().is_none()) {
            return Ok(Fleet { boards: vec![None; platform.devices.len()], tokio: None });
        }
        let lead = || {
            cores::lead();
        };
        let tokio = Builder::new_multi_thread().worker_threads(IO_THREADS).on_thread_start(lead).enable_all().build();
        let tokio = tokio.map_err(|error| unavailable(format!("no thread can be started: {error}")))?;
        let mut boards = Vec::new();
        for Device { name, runtime, .. } in &platform.devices {
            let connected = runtime.agent().map(|address| {
                let failed = |reason| unavailable(format!("the agent of `{name}` at {}: {reason}", address.address));
                let board = tokio.block_on(AgentDevice::connect(name, address, credentials, tokio.handle()));
                board.map(Arc::new).map_err(failed)
            });
            boards.push(connected.transpose()?);
        }
        let fleet = Fleet { boards, tokio: Some(tokio) };
        fleet.synchronise()?;
        Ok(fleet)
    }

    /// The devices that have agents.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> + '_ {
        let devices = (0..).map(DeviceId).zip(&self.boards);
        devices.filter_map(|(device, board)| board.as_ref().map(|_| device))
    }

    /// What is known of the device's agent; `None` if it has none.
    pub fn info(&self, device: DeviceId) -> Option<BoardInfo> {
        Some(self.board(device)?.info(device))
    }

    /// Reads the clocks of all agents, which drift.
    ///
    /// # Errors
    /// An agent is gone.
    pub fn synchronise(&self) -> Result<(), BackendError> {
        self.boards.iter().flatten().try_for_each(|board| board.synchronise())
    }

    /// By device.
    pub(super) fn boards(&self) -> &[Option<Arc<AgentDevice>>] {
        &self.boards
    }

    pub(super) fn board(&self, device: DeviceId) -> Option<&Arc<AgentDevice>> {
        self.boards.get(device.0 as usize)?.as_ref()
    }
}

impl Drop for Fleet {
    /// Connections are cut, and agents end our sessions by that.
    fn drop(&mut self) {
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

impl AgentDevice {
    async fn connect(
        name: &str,
        address: &AgentAddress,
        credentials: &Credentials,
        handle: &Handle,
    ) -> Result<AgentDevice, String> {
        let Credentials { authority, identity, token } = credentials;
        let security = Security {
            authority: authority.as_deref(),
            server_name: address.server_name.as_deref(),
            identity: identity.as_ref().map(|(certificate, key)| (certificate.as_slice(), key.as_slice())),
        };
        let token = token.as_ref().map(|token| format!("Bearer {token}").parse::<MetadataValue<Ascii>>());
        let token = token.transpose().map_err(|_| "the token is no ASCII text".to_owned())?;
        let client = async || {
            let channel = channel(&address.address, security).await?;
            Ok::<_, String>(AgentClient::with_interceptor(channel, Bearer(token.clone())))
        };
        let (short, putting, getting) = (client().await?, client().await?, client().await?);
        let mut clients = Clients { short, putting, getting };
        let hello = clients.short.hello(HelloRequest { version: VERSION }).await;
        let hello = hello.map_err(|status| said(&status))?.into_inner();
        if hello.version != VERSION {
            return Err(format!("it speaks version {} of the protocol, and this is version {VERSION}", hello.version));
        }
        if !(1.0..=1e6).contains(&hello.slowed) {
            return Err(format!("it says that it is slowed {} times", hello.slowed));
        }
        Ok(AgentDevice {
            name: name.to_owned(),
            address: address.clone(),
            authority: authority.clone().unwrap_or_default(),
            clients,
            hello,
            offset: Mutex::default(),
            handle: handle.clone(),
        })
    }

    /// What is known of it, which is `device`.
    pub(super) fn info(&self, device: DeviceId) -> BoardInfo {
        let HelloReply { processor, software, cores, threads, slowed, delay, is_real_time, .. } = &self.hello;
        let cores = cores.iter().map(|&core| core as usize).collect();
        BoardInfo {
            device,
            name: self.name.clone(),
            address: self.address.address.clone(),
            hardware: processor.clone(),
            software: software.clone(),
            unit: Cores { cores, threads: *threads as usize, slowed: *slowed },
            delay: Duration::from_nanos(*delay),
            is_real_time: *is_real_time,
            clock_error: self.offset.lock().unwrap_or_else(PoisonError::into_inner).error(),
        }
    }

    /// Reads its clock.
    pub(super) fn synchronise(&self) -> Result<(), BackendError> {
        let mut client = self.clients.short.clone();
        let mut best = Offset::default();
        for _ in 0..READINGS {
            let (before, reply, after) = self.handle.block_on(async {
                let before = now();
                let reply = client.status(StatusRequest {}).await;
                (before, reply, now())
            });
            let reading = reply.map_err(|status| self.gone(&said(&status)))?.into_inner().clock;
            best = best.better(Offset::read(before, after, reading));
        }
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) = best;
        Ok(())
    }

    pub(super) fn gone(&self, reason: &str) -> BackendError {
        BackendError::Gone { device: self.name.clone(), reason: format!("{reason} ({})", self.address.address) }
    }
}

/// What came instead of an answer, in one line.
pub(super) fn said(status: &Status) -> String {
    use std::error::Error;
    match status.source() {
        Some(cause) => crate::replay::wire::chain(cause),
        None if status.message().is_empty() => format!("{:?}", status.code()),
        None => status.message().to_owned(),
    }
}

/// Shows a token with each call.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

fn unavailable(reason: String) -> BackendError {
    BackendError::Unavailable { backend: super::NAME, reason }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("devices", &self.devices().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
