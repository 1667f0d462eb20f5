//! What an agent does about each call.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::access::Ticket;
use super::device::Device;
use super::forward::Peers;
use super::session::Session;
use super::{Limits, Settings};
use crate::platform::Cores;
use crate::replay::Hold;
use crate::replay::cpu::{Gathered, processor};
use crate::replay::wire::messages::{
    ForwardReply, ForwardRequest, GetReply, GetRequest, HelloReply, HelloRequest, HoldReply, HoldRequest, OpenReply,
    OpenRequest, PutReply, PutRequest, RunReply, RunRequest, StatusReply, StatusRequest, UploadReply, UploadRequest,
};
use crate::replay::wire::{Agent, Checked, Numbers, Refusal, SessionId, VERSION, chunks};

/// An agent's service. Copies are the same.
#[derive(Clone)]
pub(super) struct Service(Arc<Core>);

struct Core {
    device: Arc<Device>,
    unit: Cores,
    limits: Limits,
    delay: Duration,
    sessions: Mutex<BTreeMap<SessionId, Arc<Session>>>,
    /// Sessions by the hashes of their tickets, so that the time of a look tells nothing of a ticket.
    tickets: Mutex<BTreeMap<[u8; 32], SessionId>>,
    peers: Peers,
}

impl Service {
    pub(super) fn new(device: Device, settings: &Settings) -> Service {
        let Settings { unit, limits, delay, access, .. } = settings;
        Service(Arc::new(Core {
            device: Arc::new(device),
            unit: unit.clone(),
            limits: *limits,
            delay: Duration::from_nanos(delay.as_nanos()),
            sessions: Mutex::default(),
            tickets: Mutex::default(),
            peers: Peers::new(access.identity.clone()),
        }))
    }

    /// Ends all sessions.
    pub(super) fn clear(&self) {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Core {
    fn session(&self, id: &SessionId) -> Result<Arc<Session>, Refusal> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(id).cloned().ok_or_else(|| Refusal::Absent("there is no such session".into()))
    }

    fn session_of(&self, ticket: &str) -> Result<Arc<Session>, Refusal> {
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let id = tickets.get(blake3::hash(ticket.as_bytes()).as_bytes()).copied();
        drop(tickets);
        self.session(&id.ok_or(Refusal::Unknown("the ticket is of no session"))?)
    }

    /// What `answer` comes to within the time of a call, with the delay of its messages.
    async fn answer<R>(&self, answer: impl Future<Output = Result<R, Status>>) -> Result<Response<R>, Status> {
        let seconds = self.limits.call_seconds;
        let in_time = tokio::time::timeout(Duration::from_secs(seconds), async {
            self.hold_back().await;
            answer.await
        });
        let answered = in_time.await.map_err(|_| Refusal::Late(seconds))?;
        self.hold_back().await;
        answered.map(Response::new)
    }

    /// Lets a message arrive later, as over a longer way.
    async fn hold_back(&self) {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }
}

/// Random bytes that nobody guesses.
fn random() -> Result<[u8; 16], Refusal> {
    let mut bytes = [0; 16];
    let filled = default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Refusal::Failed("the system gives no random numbers".into()))?;
    Ok(bytes)
}

fn hexadecimal(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// The one message of a `Hold`, and the session, which ends with it.
pub(super) struct Holding {
    first: Option<HoldReply>,
    core: Arc<Core>,
    id: SessionId,
    ticket: [u8; 32],
}

impl Stream for Holding {
    type Item = Result<HoldReply, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Nothing follows. Whoever drives the call sees that the caller has gone, and drops this.
        self.first.take().map_or(Poll::Pending, |reply| Poll::Ready(Some(Ok(reply))))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.core.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.ticket);
        let ended = self.core.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        drop(ended);
    }
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Service {
    type HoldStream = Holding;
    type GetStream = Replies<GetReply>;

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let HelloRequest { version } = request.into_inner();
        let Core { device, unit, limits, delay, .. } = &*self.0;
        if version != VERSION {
            return Err(Refusal::Version { here: VERSION, there: version }.into());
        }
        let reply = HelloReply {
            version: VERSION,
            processor: processor(),
            software: device.library.version(),
            cores: unit.cores.iter().map(|&core| core as u32).collect(),
            threads: unit.threads as u32,
            slowed: unit.slowed,
            memory: limits.memory.0,
            session_memory: limits.session_memory.0,
            model_bytes: limits.model.0,
            message_bytes: limits.message.0,
            sessions: limits.sessions,
            delay: u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX),
            is_real_time: device.threads.hold == Hold::RealTime,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.0.answer(async { Ok(reply) }).await
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let status = async {
            Ok(StatusReply {
                clock: self.0.device.clock.now().since_start().as_nanos(),
                sessions: self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner).len() as u32,
                held: self.0.device.budget.used(),
                engines: self.0.device.engine_count() as u32,
            })
        };
        self.0.answer(status).await
    }

    async fn hold(&self, _: Request<HoldRequest>) -> Result<Response<Holding>, Status> {
        let (id, secret) = (random()?, hexadecimal(random()?));
        let ticket = *blake3::hash(secret.as_bytes()).as_bytes();
        let memory = self.0.limits.session_memory.0;
        {
            let mut sessions = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let sessions_max = self.0.limits.sessions;
            if sessions.len() >= sessions_max as usize {
                return Err(Refusal::TooMuch(format!("there are {sessions_max} sessions, as many as may be")).into());
            }
            sessions.insert(id, Arc::new(Session::start(self.0.device.clone(), memory)?));
        }
        self.0.tickets.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket, id);
        let first = Some(HoldReply { session: id.to_vec().into(), ticket: secret });
        Ok(Response::new(Holding { first, core: self.0.clone(), id, ticket }))
    }

    async fn open(&self, request: Request<OpenRequest>) -> Result<Response<OpenReply>, Status> {
        let open = async {
            let (session, segment, declared) = request.into_inner().checked()?;
            let (bytes, bytes_max) = (declared.bytes, self.0.limits.model.0);
            if bytes > bytes_max {
                return Err(
                    Refusal::TooMuch(format!("a model of {bytes} bytes is over the limit of {bytes_max}")).into()
                );
            }
            Ok(OpenReply { is_known: self.0.session(&session)?.open(segment, declared)? })
        };
        self.0.answer(open).await
    }

    async fn upload(&self, request: Request<Streaming<UploadRequest>>) -> Result<Response<UploadReply>, Status> {
        let upload = async {
            let mut pieces = request.into_inner();
            let mut piece = first(&mut pieces).await?;
            let bytes = std::mem::take(&mut piece.bytes);
            let (session, segment) = piece.checked()?;
            let session = self.0.session(&session)?;
            let mut arriving = session.begin(segment)?;
            arriving.push(&bytes)?;
            while let Some(piece) = pieces.message().await? {
                arriving.push(&piece.bytes)?;
            }
            arriving.load().await?;
            Ok(UploadReply {})
        };
        self.0.answer(upload).await
    }

    async fn run(&self, request: Request<RunRequest>) -> Result<Response<RunReply>, Status> {
        let run = async {
            let (session, segment, samples) = request.into_inner().checked()?;
            Ok(self.0.session(&session)?.run(segment, samples).await?)
        };
        self.0.answer(run).await
    }

    async fn put(&self, request: Request<Streaming<PutRequest>>) -> Result<Response<PutReply>, Status> {
        let put = async {
            let ticket = request.extensions().get::<Ticket>().cloned();
            let mut pieces = request.into_inner();
            let mut piece = first(&mut pieces).await?;
            let bytes = std::mem::take(&mut piece.bytes);
            let (session, sent) = piece.checked()?;
            let session = match (ticket, session) {
                (Some(Ticket(ticket)), None) => self.0.session_of(&ticket)?,
                (None, Some(session)) => self.0.session(&session)?,
                _ => return Err(Refusal::Malformed("a session is named, or a ticket is shown".into()).into()),
            };
            let room = session.expect(&sent)?;
            let mut numbers = Numbers::new(sent.count())?;
            numbers.push(&bytes)?;
            while let Some(piece) = pieces.message().await? {
                numbers.push(&piece.bytes)?;
            }
            session.put(&sent, numbers.finish()?);
            drop(room);
            Ok(PutReply {})
        };
        self.0.answer(put).await
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Self::GetStream>, Status> {
        let get = async {
            let (session, sent) = request.into_inner().checked()?;
            let (gathered, room) = self.0.session(&session)?.get(&sent)?;
            let replies: Self::GetStream = Box::pin(Replying { gathered, next: 0, _room: room });
            Ok(replies)
        };
        self.0.answer(get).await
    }

    async fn forward(&self, request: Request<ForwardRequest>) -> Result<Response<ForwardReply>, Status> {
        let forward = async {
            let (session, sent, peer) = request.into_inner().checked()?;
            let (gathered, room) = self.0.session(&session)?.get(&sent)?;
            self.0.peers.send(&peer, &sent, gathered.numbers()).await?;
            drop(room);
            Ok(ForwardReply {})
        };
        self.0.answer(forward).await
    }
}

/// The first message of a stream, without which the others say nothing.
async fn first<M>(messages: &mut Streaming<M>) -> Result<M, Status> {
    Ok(messages.message().await?.ok_or_else(|| Refusal::Malformed("nothing came".into()))?)
}

/// A region that is sent in pieces, each made when it is its turn.
struct Replying {
    gathered: Gathered,
    /// The first number that was not sent.
    next: usize,
    _room: super::budget::Reservation,
}

impl Stream for Replying {
    type Item = Result<GetReply, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let numbers = &self.gathered.numbers()[self.next..];
        let Some(bytes) = chunks(numbers).next() else { return Poll::Ready(None) };
        self.next += bytes.len() / size_of::<f32>();
        Poll::Ready(Some(Ok(GetReply { bytes })))
    }
}
