//! The agent: this machine's cores as one device of a program elsewhere, over gRPC.
//!
//! It runs segments of networks over tensors that were put into it, and does nothing else: no file is read or written
//! for a caller, and no program is started. What a caller has lives in a session, which ends with the caller.

mod access;
mod budget;
mod device;
mod forward;
mod service;
mod session;

pub use access::Access;
pub(super) use forward::put;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime as Tokio};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::cores;
use super::cpu::{Library, memory};
use super::wire::{AgentServer, CONNECTION_WINDOW, STREAM_WINDOW};
use crate::platform::Cores;
use crate::units::{Bytes, Duration};
use access::{Counted, Gate, log, peer};
use budget::Budget;
use device::Device;
use service::Service;

/// What an agent is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens; the system chooses the port if that is 0.
    pub listen: SocketAddr,
    /// What it computes with.
    pub unit: Cores,
    /// The cores that receive and send.
    pub network_cores: Vec<usize>,
    /// What executes networks.
    pub library: Library,
    /// How long each message is held, for the length of a way that is not there.
    pub delay: Duration,
    /// What callers may take.
    pub limits: Limits,
    /// Who may call.
    pub access: Access,
}

/// What callers may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of a message.
    pub message: Bytes,
    /// Size of a model.
    pub model: Bytes,
    /// Memory of a session: twice its models, and its tensors.
    pub session_memory: Bytes,
    /// Memory of all sessions.
    pub memory: Bytes,
    /// Sessions at the same time.
    pub sessions: u32,
    /// Seconds that a call may take; the one that holds a session may take longer.
    pub call_seconds: u64,
}

impl Default for Limits {
    /// Of this machine: half of its memory for a session, three quarters for all.
    fn default() -> Limits {
        let memory = match memory() {
            Bytes(0) => Bytes(1 << 30),
            memory => memory,
        };
        Limits {
            message: Bytes(1 << 20),
            model: Bytes(1 << 30),
            session_memory: Bytes(memory.0 / 2),
            memory: Bytes(memory.0 / 4 * 3),
            sessions: 64,
            call_seconds: 120,
        }
    }
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Anybody could use it.
    #[error(
        "{address} can be reached from other machines, and anybody could use the agent; give it --tls-cert and \
         --tls-key, and --client-ca or --token-file, or listen on 127.0.0.1"
    )]
    Open {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// What it should know its callers by, or they it, cannot be used.
    #[error("{0}")]
    Access(String),
    /// The cores, or their threads.
    #[error("{0}")]
    Device(String),
    /// It cannot listen there.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
}

/// An agent at work, until it is dropped.
pub struct Agent {
    address: SocketAddr,
    service: Service,
    /// Always there, but for the time that it is dropped in.
    tokio: Option<Tokio>,
}

/// Who does not finish the handshake in this time is no caller.
const HANDSHAKE: StdDuration = StdDuration::from_secs(10);
/// As for callers: who does not answer is gone, and so is the session.
const KEEP_ALIVE: StdDuration = StdDuration::from_secs(2);
const KEEP_ALIVE_ANSWER: StdDuration = StdDuration::from_secs(5);
/// Threads that receive and send.
const IO_THREADS: usize = 2;
/// Calls of one connection at the same time.
const CALLS_MAX: u32 = 256;

impl Settings {
    /// Looks whether an agent may be so.
    ///
    /// # Errors
    /// Anybody could use it, or what it should know callers by cannot be used.
    pub fn check(&self) -> Result<(), AgentError> {
        self.access.check(self.listen)?;
        self.access.acceptor().map(drop)
    }
}

impl Agent {
    /// Starts an agent.
    ///
    /// # Errors
    /// It would be open to anybody, or the system does not give what it needs.
    pub fn start(settings: &Settings) -> Result<Agent, AgentError> {
        settings.access.check(settings.listen)?;
        let acceptor = settings.access.acceptor()?;
        let available = cores::available().map_err(AgentError::Device)?;
        let mut wanted = settings.unit.cores.iter().chain(&settings.network_cores);
        if let Some(core) = wanted.find(|core| !available.contains(core)) {
            return Err(AgentError::Device(format!(
                "there is no core {core} for this program; there are {available:?}"
            )));
        }
        let budget = Budget::new(settings.limits.memory.0);
        let device = Device::start(&settings.unit, settings.library.clone(), budget).map_err(AgentError::Device)?;
        let service = Service::new(device, settings);
        let cores = settings.network_cores.clone();
        // What receives and sends is of the board too, and waits for no step that computes.
        let begin = move || {
            drop(cores::pin(&cores));
            cores::lead();
        };
        let tokio = Builder::new_multi_thread().worker_threads(IO_THREADS).on_thread_start(begin).enable_all().build();
        let tokio = tokio.map_err(|error| AgentError::Device(format!("no thread can be started: {error}")))?;
        let failed = |cause| AgentError::Listen { address: settings.listen, cause };
        let listener = tokio.block_on(TcpListener::bind(settings.listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tokio.spawn(serve(listener, acceptor, service.clone(), settings.clone()));
        Ok(Agent { address, service, tokio: Some(tokio) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the system or the user asks it to end.
    ///
    /// # Errors
    /// The system does not tell of signals.
    pub fn wait(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let Some(tokio) = &self.tokio else { return Ok(()) };
        tokio.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        })
    }
}

impl Drop for Agent {
    /// Connections are cut. A step that computes is not waited for.
    fn drop(&mut self) {
        self.service.clear();
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Takes connections for as long as the agent lives.
async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, service: Service, settings: Settings) {
    let Limits { message, sessions, .. } = settings.limits;
    let message = usize::try_from(message.0).unwrap_or(usize::MAX);
    let inner = AgentServer::new(service).max_decoding_message_size(message);
    let gate = Gate { inner, token: settings.access.token.as_deref().map(Into::into) };
    let connections = Arc::new(Semaphore::new(4 * sessions as usize + 16));
    let served = match acceptor {
        None => {
            let (accepted, incoming) = mpsc::channel(1);
            let accept = accept(listener, connections, move |stream, permit| {
                let accepted = accepted.clone();
                async move { drop(accepted.send(Ok(Counted { inner: stream, _permit: permit })).await) }
            });
            tokio::join!(accept, listen(gate, incoming)).1
        }
        Some(acceptor) => {
            let (accepted, incoming) = mpsc::channel(1);
            let accept = accept(listener, connections, move |stream, permit| {
                shake_hands(acceptor.clone(), stream, permit, accepted.clone())
            });
            tokio::join!(accept, listen(gate, incoming)).1
        }
    };
    if let Err(error) = served {
        log(&format!("cannot serve: {error}"));
    }
}

/// Gives each connection to `take`, as long as there are not too many.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    connections: Arc<Semaphore>,
    take: impl Fn(TcpStream, OwnedSemaphorePermit) -> F,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log(&format!("cannot take a connection: {error}"));
                // Of files there may be more in a while.
                tokio::time::sleep(StdDuration::from_millis(50)).await;
                continue;
            }
        };
        // Without it, small messages wait for others.
        let _ = stream.set_nodelay(true);
        match connections.clone().try_acquire_owned() {
            // Not before the next one: who is slow stands in nobody's way.
            Ok(permit) => drop(tokio::spawn(take(stream, permit))),
            Err(_) => log(&format!("refused a connection of {}: there are too many", peer(&stream))),
        }
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    accepted: mpsc::Sender<Result<Counted<TlsStream<TcpStream>>, std::io::Error>>,
) {
    let caller = peer(&stream);
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(inner)) => drop(accepted.send(Ok(Counted { inner, _permit: permit })).await),
        Ok(Err(error)) => log(&format!("refused a connection of {caller}: {error}")),
        Err(_) => log(&format!("refused a connection of {caller}: it does not finish the handshake")),
    }
}

/// Serves connections as they come.
async fn listen<IO>(
    gate: Gate<AgentServer<Service>>,
    incoming: mpsc::Receiver<Result<IO, std::io::Error>>,
) -> Result<(), tonic::transport::Error>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(CALLS_MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .serve_with_incoming(gate, ReceiverStream::new(incoming))
        .await
}
