//! A session on an agent, from our side.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use prost::bytes::Bytes;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::NAME;
use super::fleet::{AgentDevice, Clients, Fleet, said};
use crate::model::{LayerId, Work};
use crate::replay::agent::put;
use crate::replay::clock::Clock;
use crate::replay::cpu::Port;
use crate::replay::networks::{Networks, Written};
use crate::replay::wire::messages::{ForwardRequest, GetRequest, HoldRequest, Peer, RunRequest, UploadRequest};
use crate::replay::wire::{CHUNK, Declared, Numbers, Sent};
use crate::replay::{BackendError, Gathered, Job, Prepared, Ran, Tensor, There, Trouble, Workspace};
use crate::units::Duration;

/// A session on a device's agent. It ends when this is dropped.
pub(super) struct Attachment {
    board: Arc<AgentDevice>,
    session: Bytes,
    ticket: String,
    /// Why the session has ended, once it has.
    lost: watch::Receiver<Option<String>>,
    holding: tokio::task::AbortHandle,
    segments: Mutex<BTreeMap<Part, u32>>,
    networks: Arc<Networks>,
    /// Has the threads that receive and send. Dropped last.
    _fleet: Arc<Fleet>,
}

/// What a segment is of: the model, its layers, and rows of the last one's output.
type Part = (u32, Vec<LayerId>, (u32, u32));

impl Attachment {
    /// Begins a session for parts of `networks` on the agent of a board of `fleet`.
    pub(super) fn begin(
        fleet: &Arc<Fleet>,
        board: &Arc<AgentDevice>,
        networks: Arc<Networks>,
    ) -> Result<Attachment, BackendError> {
        let mut client = board.clients.short.clone();
        let (tell, lost) = watch::channel(None);
        let begun = board.handle.block_on(async {
            let mut replies = client.hold(HoldRequest {}).await?.into_inner();
            let first = replies.message().await?.ok_or_else(|| Status::aborted("it gave no session"))?;
            Ok((first, replies))
        });
        let (first, mut replies) = begun.map_err(|status| trouble(board, &status).of_opening(NAME))?;
        let holding = board.handle.spawn(async move {
            let reason = match replies.message().await {
                Err(status) => said(&status),
                Ok(_) => "the agent has ended the session".into(),
            };
            tell.send_replace(Some(reason));
        });
        Ok(Attachment {
            board: board.clone(),
            session: first.session,
            ticket: first.ticket,
            lost,
            holding: holding.abort_handle(),
            segments: Mutex::default(),
            networks,
            _fleet: fleet.clone(),
        })
    }

    /// What `call` gives, unless the agent is lost meanwhile.
    fn ask<R>(&self, call: impl AsyncFnOnce(Clients) -> Result<R, Status>) -> Result<R, Trouble> {
        let mut lost = self.lost.clone();
        self.board.handle.block_on(async {
            tokio::select! {
                biased;
                answer = call(self.board.clients.clone()) => answer.map_err(|status| trouble(&self.board, &status)),
                reason = ended(&mut lost) => Err(Trouble::Lost(self.board.gone(&reason))),
            }
        })
    }

    /// The agent's segment for `work`, which is uploaded unless the agent has it.
    fn open(&self, work: &Work) -> Result<u32, BackendError> {
        let rows = (work.region.rows.start, work.region.rows.end);
        let part: Part = (work.model.0, work.segment.layers().collect(), rows);
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&segment) = segments.get(&part) {
            return Ok(segment);
        }
        let segment = segments.len() as u32;
        let unfit = |reason| BackendError::Unfit { backend: NAME, reason };
        let Written { bytes, reads, writes } = self.networks.write(work).map_err(unfit)?;
        let graph = self.networks.graph(work.model);
        let ports = |ports: Vec<Port>| ports.into_iter().map(|port| (graph.layer(port.layer).name.clone(), port));
        let declared = Declared {
            model: work.model,
            reads: ports(reads).collect(),
            writes: ports(writes).collect(),
            bytes: bytes.len() as u64,
            hash: *blake3::hash(&bytes).as_bytes(),
        };
        let (session, bytes) = (self.session.clone(), Bytes::from(bytes));
        let opened = self.ask(async |mut clients| {
            let reply = clients.short.open(declared.message(session.clone(), segment)).await?;
            if !reply.into_inner().is_known {
                let pieces = (0..bytes.len()).step_by(CHUNK).map(move |start| UploadRequest {
                    session: if start == 0 { session.clone() } else { Bytes::new() },
                    segment,
                    bytes: bytes.slice(start..bytes.len().min(start + CHUNK)),
                });
                clients.putting.upload(tokio_stream::iter(pieces.collect::<Vec<_>>())).await?;
            }
            Ok(())
        });
        opened.map_err(|trouble| trouble.of_opening(NAME))?;
        segments.insert(part, segment);
        Ok(segment)
    }

    /// Runs a segment over `samples`.
    fn run(&self, segment: u32, samples: &Range<u32>) -> Result<Ran, Trouble> {
        let (samples_start, samples_end) = (samples.start, samples.end);
        let request = RunRequest { session: self.session.clone(), segment, samples_start, samples_end };
        let reply = self.ask(async |mut clients| Ok(clients.short.run(request).await?.into_inner()))?;
        let offset = *self.board.offset.lock().unwrap_or_else(PoisonError::into_inner);
        let there = offset.instant(reply.start).zip(offset.instant(reply.end.max(reply.start)));
        let there = there.map(|(start, end)| There { start, end });
        Ok(Ran { busy: Duration::from_nanos(reply.busy), there })
    }

    /// Sends the numbers of a region.
    pub(super) fn upload(&self, sent: &Sent, numbers: &[f32]) -> Result<(), Trouble> {
        let pieces = put(self.session.clone(), sent, numbers);
        self.ask(async |mut clients| clients.putting.put(tokio_stream::iter(pieces)).await.map(drop))
    }

    /// Fetches the numbers of a region.
    pub(super) fn fetch(&self, sent: &Sent) -> Result<Arc<Vec<f32>>, Trouble> {
        let (tensor, region) = sent.message();
        let request = GetRequest { session: self.session.clone(), tensor: Some(tensor), region: Some(region) };
        self.ask(async |mut clients| {
            let mut pieces = clients.getting.get(request).await?.into_inner();
            let mut numbers = Numbers::new(sent.count())?;
            while let Some(piece) = pieces.message().await? {
                numbers.push(&piece.bytes)?;
            }
            Ok(numbers.finish()?)
        })
    }

    /// Lets the agent send a region straight to the one of `to`.
    pub(super) fn forward(&self, sent: &Sent, to: &Attachment) -> Result<(), Trouble> {
        let (tensor, region) = sent.message();
        let peer = Peer {
            address: to.board.address.address.clone(),
            server_name: to.board.address.server_name.clone().unwrap_or_default(),
            authority: to.board.authority.clone().into(),
            ticket: to.ticket.clone(),
        };
        let request = ForwardRequest {
            session: self.session.clone(),
            tensor: Some(tensor),
            region: Some(region),
            peer: Some(peer),
        };
        // The other one may be lost as well as this one.
        let mut lost = to.lost.clone();
        let forwarded = self.ask(async |mut clients| {
            tokio::select! {
                biased;
                answer = clients.short.forward(request) => answer.map(|_| Ok(())),
                reason = ended(&mut lost) => Ok(Err(to.board.gone(&reason))),
            }
        });
        match forwarded {
            Ok(sent) => sent.map_err(Trouble::Lost),
            Err(Trouble::Step(reason)) if to.lost.borrow().is_some() => Err(Trouble::Lost(to.board.gone(&reason))),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Workspace for Attachment {
    fn prepare(self: Arc<Self>, job: &Job<'_>) -> Result<Prepared, BackendError> {
        let (segment, samples) = (self.open(job.work)?, job.work.region.samples.clone());
        Ok(Box::new(move || self.run(segment, &samples)))
    }

    fn put(&self, tensor: &Tensor, numbers: &Gathered) -> Result<(), Trouble> {
        self.upload(&tensor.into(), numbers.numbers())
    }

    fn get(&self, tensor: &Tensor) -> Result<Gathered, Trouble> {
        self.fetch(&tensor.into()).map(Gathered::whole)
    }

    /// From agent to agent directly.
    fn send(&self, tensor: &Tensor, to: &dyn Workspace) -> Result<Ran, Trouble> {
        let clock = Clock::start();
        match (to as &dyn Any).downcast_ref::<Attachment>() {
            Some(to) => self.forward(&tensor.into(), to)?,
            None => to.put(tensor, &self.get(tensor)?)?,
        }
        Ok(clock.now().since_start().into())
    }
}

/// Waits until the session has ended, and says why.
async fn ended(lost: &mut watch::Receiver<Option<String>>) -> String {
    match lost.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => "the session has ended".into(),
    }
}

/// What came instead of an answer.
fn trouble(board: &AgentDevice, status: &Status) -> Trouble {
    use std::error::Error;
    // What the agent itself says has no cause here.
    let is_lost = status.source().is_some()
        || matches!(status.code(), Code::Unavailable | Code::Cancelled)
        || (status.code() == Code::NotFound && status.message().contains("no such session"));
    match is_lost {
        true => Trouble::Lost(board.gone(&said(status))),
        false => Trouble::Step(format!("`{}` refuses: {}", board.name, said(status))),
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.holding.abort();
    }
}
