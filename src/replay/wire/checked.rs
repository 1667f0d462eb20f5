//! Messages whose numbers make sense: what agents act on.
//!
//! Sizes are bounded before anything as large as they say is made.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use prost::Message;
use prost::bytes::Bytes;

use super::messages::{self, ForwardRequest, GetRequest, OpenRequest, Peer, PutRequest, RunRequest, UploadRequest};
use super::{CHUNK, Refusal};
use crate::model::{LayerId, ModelId, Region, Shape};
use crate::replay::Tensor;
use crate::replay::cpu::Port;

/// What a session is called by: random, so that nobody guesses it.
pub(in crate::replay) type SessionId = [u8; 16];

/// Dimensions of tensors, and of batches; no network has more.
const DIMENSION_MAX: u32 = 1 << 24;
/// Inputs and outputs of a segment.
const PORTS_MAX: usize = 4096;
const NAME_MAX: usize = 1024;
/// Bytes of the certificates that a peer is known by.
const AUTHORITY_MAX: usize = 64 * 1024;

/// A message in which all makes sense that can be known without its session.
pub(in crate::replay) trait Checked: Sized {
    /// What it is then.
    type Checked;

    /// Checks it.
    fn checked(self) -> Result<Self::Checked, Refusal>;
}

/// A region of a layer's output that is put, asked for, or sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::replay) struct Sent {
    pub(in crate::replay) model: ModelId,
    pub(in crate::replay) port: Port,
    pub(in crate::replay) samples: Range<u32>,
}

impl From<&Tensor> for Sent {
    fn from(Tensor { model, layer, region, shape }: &Tensor) -> Sent {
        let port = Port { layer: *layer, rows: region.rows.clone(), shape: *shape };
        Sent { model: *model, port, samples: region.samples.clone() }
    }
}

impl Sent {
    pub(in crate::replay) fn region(&self) -> Region {
        self.port.region(&self.samples)
    }

    pub(in crate::replay) fn tensor(&self) -> Tensor {
        let Sent { model, port, .. } = self;
        Tensor { model: *model, layer: port.layer, region: self.region(), shape: port.shape }
    }

    /// Numbers that it has; more than any memory has if there is an overflow.
    pub(in crate::replay) fn count(&self) -> u64 {
        count(&self.port, &self.samples)
    }

    /// As messages have it.
    pub(in crate::replay) fn message(&self) -> (messages::Tensor, messages::Region) {
        let Sent { model, port, samples } = self;
        let region = messages::Region {
            samples_start: samples.start,
            samples_end: samples.end,
            rows_start: port.rows.start,
            rows_end: port.rows.end,
        };
        (tensor_message(*model, port), region)
    }
}

/// Numbers of `port` over `samples`; more than any memory has if there is an overflow.
pub(in crate::replay) fn count(port: &Port, samples: &Range<u32>) -> u64 {
    let factors = [port.shape.channels, port.rows.len() as u32, port.shape.cols];
    factors.iter().fold(samples.len() as u64, |product, &factor| product.saturating_mul(factor.into()))
}

fn tensor_message(model: ModelId, port: &Port) -> messages::Tensor {
    let Shape { channels, rows, cols, .. } = port.shape;
    messages::Tensor { model: model.0, layer: port.layer.0, channels, rows, cols }
}

/// A segment as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::replay) struct Declared {
    pub(in crate::replay) model: ModelId,
    /// With what the model calls them.
    pub(in crate::replay) reads: Vec<(String, Port)>,
    pub(in crate::replay) writes: Vec<(String, Port)>,
    pub(in crate::replay) bytes: u64,
    pub(in crate::replay) hash: [u8; 32],
}

impl Declared {
    /// As a message, for `segment` of `session`.
    pub(in crate::replay) fn message(&self, session: Bytes, segment: u32) -> OpenRequest {
        let ports = |ports: &[(String, Port)]| {
            let port = |(name, port): &(String, Port)| messages::Port {
                name: name.clone(),
                tensor: Some(tensor_message(self.model, port)),
                rows_start: port.rows.start,
                rows_end: port.rows.end,
            };
            ports.iter().map(port).collect()
        };
        OpenRequest {
            session,
            segment,
            reads: ports(&self.reads),
            writes: ports(&self.writes),
            model_bytes: self.bytes,
            model_hash: Bytes::copy_from_slice(&self.hash),
        }
    }
}

impl Checked for OpenRequest {
    type Checked = (SessionId, u32, Declared);

    fn checked(self) -> Result<(SessionId, u32, Declared), Refusal> {
        let session = session(&self.session)?;
        let hash = self.model_hash.as_ref().try_into().map_err(|_| malformed("the hash of a model has 32 bytes"))?;
        if self.reads.is_empty() || self.writes.is_empty() {
            return Err(malformed("a segment reads something and writes something"));
        }
        if self.reads.len() + self.writes.len() > PORTS_MAX {
            return Err(malformed("a segment has too many inputs and outputs"));
        }
        let mut names = BTreeSet::new();
        let mut models = BTreeSet::new();
        let mut ports = |ports: Vec<messages::Port>| -> Result<Vec<(String, Port)>, Refusal> {
            let mut checked = Vec::with_capacity(ports.len());
            for messages::Port { name, tensor, rows_start, rows_end } in ports {
                let (model, port) = port(tensor, rows_start..rows_end)?;
                models.insert(model);
                if name.is_empty() || name.len() > NAME_MAX || !names.insert(name.clone()) {
                    return Err(malformed("inputs and outputs have names of their own"));
                }
                checked.push((name, port));
            }
            Ok(checked)
        };
        let (reads, writes) = (ports(self.reads)?, ports(self.writes)?);
        let mut models = models.into_iter();
        let (Some(model), None) = (models.next(), models.next()) else {
            return Err(malformed("a segment is of one model"));
        };
        if self.model_bytes == 0 {
            return Err(malformed("a model is not empty"));
        }
        Ok((session, self.segment, Declared { model, reads, writes, bytes: self.model_bytes, hash }))
    }
}

impl Checked for UploadRequest {
    type Checked = (SessionId, u32);

    fn checked(self) -> Result<(SessionId, u32), Refusal> {
        Ok((session(&self.session)?, self.segment))
    }
}

impl Checked for RunRequest {
    type Checked = (SessionId, u32, Range<u32>);

    fn checked(self) -> Result<(SessionId, u32, Range<u32>), Refusal> {
        let samples = range("samples", self.samples_start, self.samples_end, DIMENSION_MAX)?;
        Ok((session(&self.session)?, self.segment, samples))
    }
}

impl Checked for PutRequest {
    /// The session, unless the caller has a ticket.
    type Checked = (Option<SessionId>, Sent);

    fn checked(self) -> Result<(Option<SessionId>, Sent), Refusal> {
        let named = if self.session.is_empty() { None } else { Some(session(&self.session)?) };
        Ok((named, sent(self.tensor, self.region)?))
    }
}

impl Checked for GetRequest {
    type Checked = (SessionId, Sent);

    fn checked(self) -> Result<(SessionId, Sent), Refusal> {
        Ok((session(&self.session)?, sent(self.tensor, self.region)?))
    }
}

impl Checked for ForwardRequest {
    type Checked = (SessionId, Sent, Peer);

    fn checked(self) -> Result<(SessionId, Sent, Peer), Refusal> {
        let peer = self.peer.ok_or_else(|| malformed("a region is forwarded to somebody"))?;
        let texts = [&peer.address, &peer.server_name, &peer.ticket];
        if texts.iter().any(|text| text.len() > NAME_MAX) || peer.authority.len() > AUTHORITY_MAX {
            return Err(malformed("what is said of the peer is too long"));
        }
        Ok((session(&self.session)?, sent(self.tensor, self.region)?, peer))
    }
}

fn malformed(reason: &str) -> Refusal {
    Refusal::Malformed(reason.to_owned())
}

fn session(bytes: &Bytes) -> Result<SessionId, Refusal> {
    bytes.as_ref().try_into().map_err(|_| malformed("a session is named by 16 bytes"))
}

fn range(what: &str, start: u32, end: u32, size: u32) -> Result<Range<u32>, Refusal> {
    if start >= end || end > size {
        return Err(Refusal::Malformed(format!("there are no {what} {start}..{end} of {size}")));
    }
    Ok(start..end)
}

fn port(tensor: Option<messages::Tensor>, rows: Range<u32>) -> Result<(ModelId, Port), Refusal> {
    let tensor = tensor.ok_or_else(|| malformed("a region is of a tensor"))?;
    let messages::Tensor { model, layer, channels, rows: height, cols } = tensor;
    if [channels, height, cols].iter().any(|size| !(1..=DIMENSION_MAX).contains(size)) {
        return Err(Refusal::Malformed(format!("no tensor has {channels} by {height} by {cols} numbers a sample")));
    }
    let rows = range("rows", rows.start, rows.end, height)?;
    let shape = Shape::fp32(channels, height, cols);
    Ok((ModelId(model), Port { layer: LayerId(layer), rows, shape }))
}

fn sent(tensor: Option<messages::Tensor>, region: Option<messages::Region>) -> Result<Sent, Refusal> {
    let region = region.ok_or_else(|| malformed("a tensor is sent in regions"))?;
    let (model, port) = port(tensor, region.rows_start..region.rows_end)?;
    let samples = range("samples", region.samples_start, region.samples_end, DIMENSION_MAX)?;
    Ok(Sent { model, port, samples })
}

/// `numbers` as the bytes of messages.
pub(in crate::replay) fn chunks(numbers: &[f32]) -> impl Iterator<Item = Bytes> + '_ {
    let bytes = |numbers: &[f32]| {
        let mut bytes = vec![0; size_of_val(numbers)];
        for (bytes, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *bytes = number.to_le_bytes();
        }
        bytes
    };
    numbers.chunks(CHUNK / size_of::<f32>()).map(move |numbers| Bytes::from(bytes(numbers)))
}

/// Numbers that come in chunks, of which there are `count`.
#[derive(Debug)]
pub(in crate::replay) struct Numbers {
    numbers: Vec<f32>,
    count: usize,
}

impl Numbers {
    /// Nothing yet of `count` numbers.
    pub(in crate::replay) fn new(count: u64) -> Result<Numbers, Refusal> {
        let mut numbers = Vec::new();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let refusal = |_| Refusal::TooMuch(format!("there is no memory for {count} numbers"));
        numbers.try_reserve_exact(count).map_err(refusal)?;
        Ok(Numbers { numbers, count })
    }

    /// Takes the next ones.
    pub(in crate::replay) fn push(&mut self, bytes: &Bytes) -> Result<(), Refusal> {
        let (chunks, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || chunks.len() > self.count - self.numbers.len() {
            let (count, size) = (self.count, bytes.len());
            return Err(Refusal::Malformed(format!("{size} bytes do not fit into a region of {count} numbers")));
        }
        self.numbers.extend(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        Ok(())
    }

    /// All of them.
    pub(in crate::replay) fn finish(self) -> Result<Arc<Vec<f32>>, Refusal> {
        let (found, count) = (self.numbers.len(), self.count);
        if found != count {
            return Err(Refusal::Malformed(format!("{found} numbers came of a region of {count}")));
        }
        Ok(Arc::new(self.numbers))
    }
}

/// What a message can be, to agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Declares a segment.
    Open,
    /// A piece of a model.
    Upload,
    /// Asks to run a segment.
    Run,
    /// A piece of a region.
    Put,
    /// Asks for a region.
    Get,
    /// Asks to send a region on.
    Forward,
}

impl FrameKind {
    /// All of them.
    pub const ALL: [FrameKind; 6] =
        [FrameKind::Open, FrameKind::Upload, FrameKind::Run, FrameKind::Put, FrameKind::Get, FrameKind::Forward];
}

/// A message that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Bytes of tensors that it is about.
    pub bytes: u64,
}

impl Frame {
    /// Reads a message as agents do, up to the point where the session would have to be known.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn read(kind: FrameKind, bytes: &[u8]) -> Result<Frame, Refusal> {
        fn read<M: Message + Default + Checked>(bytes: &[u8]) -> Result<M::Checked, Refusal> {
            M::decode(bytes).map_err(|error| Refusal::Malformed(error.to_string()))?.checked()
        }
        let of_sent = |sent: &Sent| sent.count().saturating_mul(4);
        let bytes = match kind {
            FrameKind::Open => read::<OpenRequest>(bytes)?.2.bytes,
            FrameKind::Upload => read::<UploadRequest>(bytes).map(|_| 0)?,
            FrameKind::Run => read::<RunRequest>(bytes).map(|_| 0)?,
            FrameKind::Put => of_sent(&read::<PutRequest>(bytes)?.1),
            FrameKind::Get => of_sent(&read::<GetRequest>(bytes)?.1),
            FrameKind::Forward => of_sent(&read::<ForwardRequest>(bytes)?.1),
        };
        Ok(Frame { kind, bytes })
    }
}
