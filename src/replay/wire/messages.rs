//! The messages between agents and those who ask them, as Protocol Buffers.
//!
//! The service that they belong to is described in `build.rs`. Nothing here is checked: see `super::checked`.

use prost::bytes::Bytes;

/// Who asks, and in which version of the protocol.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloRequest {
    /// See `super::VERSION`.
    #[prost(uint32, tag = "1")]
    pub version: u32,
}

/// What an agent is and allows.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloReply {
    /// See `super::VERSION`.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The processor's name.
    #[prost(string, tag = "2")]
    pub processor: String,
    /// The runtime that executes networks, with its version.
    #[prost(string, tag = "3")]
    pub software: String,
    /// The cores that compute.
    #[prost(uint32, repeated, tag = "4")]
    pub cores: Vec<u32>,
    /// Threads that compute together.
    #[prost(uint32, tag = "5")]
    pub threads: u32,
    /// How many times as long as it computes each step takes; more than 1 if the device is emulated.
    #[prost(double, tag = "6")]
    pub slowed: f64,
    /// Bytes that all sessions together may hold.
    #[prost(uint64, tag = "7")]
    pub memory: u64,
    /// Bytes that a session may hold.
    #[prost(uint64, tag = "8")]
    pub session_memory: u64,
    /// Bytes of a model, at most.
    #[prost(uint64, tag = "9")]
    pub model_bytes: u64,
    /// Bytes of a message, at most.
    #[prost(uint64, tag = "10")]
    pub message_bytes: u64,
    /// Sessions at the same time, at most.
    #[prost(uint32, tag = "11")]
    pub sessions: u32,
    /// Nanoseconds that each message is held for on purpose.
    #[prost(uint64, tag = "12")]
    pub delay: u64,
    /// Whether its threads hold their cores against all other programs.
    #[prost(bool, tag = "13")]
    pub is_real_time: bool,
    /// The version of the program.
    #[prost(string, tag = "14")]
    pub program: String,
}

/// Asks how the agent is.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct StatusRequest {}

/// How an agent is: that it answers says that it lives.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct StatusReply {
    /// Nanoseconds on the agent's clock.
    #[prost(uint64, tag = "1")]
    pub clock: u64,
    /// Open sessions.
    #[prost(uint32, tag = "2")]
    pub sessions: u32,
    /// Bytes that they hold.
    #[prost(uint64, tag = "3")]
    pub held: u64,
    /// Engines that are loaded.
    #[prost(uint32, tag = "4")]
    pub engines: u32,
}

/// Asks for a session, which lives as long as this call.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct HoldRequest {}

/// A session.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HoldReply {
    /// What other calls name it by.
    #[prost(bytes = "bytes", tag = "1")]
    pub session: Bytes,
    /// What lets another agent put tensors into it, and nothing else.
    #[prost(string, tag = "2")]
    pub ticket: String,
}

/// The output of a layer.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Tensor {
    /// Index of the model.
    #[prost(uint32, tag = "1")]
    pub model: u32,
    /// Index of the layer.
    #[prost(uint32, tag = "2")]
    pub layer: u32,
    /// Channels of a sample.
    #[prost(uint32, tag = "3")]
    pub channels: u32,
    /// Rows of a channel.
    #[prost(uint32, tag = "4")]
    pub rows: u32,
    /// Columns of a channel.
    #[prost(uint32, tag = "5")]
    pub cols: u32,
}

/// A part of the output of a layer.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Region {
    /// The first sample.
    #[prost(uint32, tag = "1")]
    pub samples_start: u32,
    /// The one after the last.
    #[prost(uint32, tag = "2")]
    pub samples_end: u32,
    /// The first row.
    #[prost(uint32, tag = "3")]
    pub rows_start: u32,
    /// The one after the last.
    #[prost(uint32, tag = "4")]
    pub rows_end: u32,
}

/// What a segment reads or writes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Port {
    /// What the model calls it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Whose output it is.
    #[prost(message, optional, tag = "2")]
    pub tensor: Option<Tensor>,
    /// The first row.
    #[prost(uint32, tag = "3")]
    pub rows_start: u32,
    /// The one after the last.
    #[prost(uint32, tag = "4")]
    pub rows_end: u32,
}

/// Declares a segment, whose model may follow by `Upload`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpenRequest {
    /// The session.
    #[prost(bytes = "bytes", tag = "1")]
    pub session: Bytes,
    /// What later calls name the segment by.
    #[prost(uint32, tag = "2")]
    pub segment: u32,
    /// What it reads, in the model's order.
    #[prost(message, repeated, tag = "3")]
    pub reads: Vec<Port>,
    /// What it writes.
    #[prost(message, repeated, tag = "4")]
    pub writes: Vec<Port>,
    /// Bytes of the model.
    #[prost(uint64, tag = "5")]
    pub model_bytes: u64,
    /// BLAKE3 hash of the model.
    #[prost(bytes = "bytes", tag = "6")]
    pub model_hash: Bytes,
}

/// Whether a segment can run already.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct OpenReply {
    /// Whether the agent has the model, so that it need not be uploaded.
    #[prost(bool, tag = "1")]
    pub is_known: bool,
}

/// A piece of a model. The first one names the segment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UploadRequest {
    /// The session.
    #[prost(bytes = "bytes", tag = "1")]
    pub session: Bytes,
    /// The segment.
    #[prost(uint32, tag = "2")]
    pub segment: u32,
    /// The next bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub bytes: Bytes,
}

/// The model is loaded.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct UploadReply {}

/// Asks to run a segment over samples.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RunRequest {
    /// The session.
    #[prost(bytes = "bytes", tag = "1")]
    pub session: Bytes,
    /// The segment.
    #[prost(uint32, tag = "2")]
    pub segment: u32,
    /// The first sample.
    #[prost(uint32, tag = "3")]
    pub samples_start: u32,
    /// The one after the last.
    #[prost(uint32, tag = "4")]
    pub samples_end: u32,
}

/// When a segment ran.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct RunReply {
    /// Nanoseconds on the agent's clock when it began.
    #[prost(uint64, tag = "1")]
    pub start: u64,
    /// When it ended.
    #[prost(uint64, tag = "2")]
    pub end: u64,
    /// Nanoseconds that the device was busy.
    #[prost(uint64, tag = "3")]
    pub busy: u64,
}

/// A piece of a region that the agent is to hold. The first one says which; peers say the session by their ticket.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PutRequest {
    /// The session.
    #[prost(bytes = "bytes", tag = "1")]
    pub session: Bytes,
    /// Whose output it is.
    #[prost(message, optional, tag = "2")]
    pub tensor: Option<Tensor>,
    /// Which part.
    #[prost(message, optional, tag = "3")]
    pub region: Option<Region>,
    /// The next numbers, 32-bit floats, little end first; samples by channels by rows by columns.
    #[prost(bytes = "bytes", tag = "4")]
    pub bytes: Bytes,
}

/// The region is there.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct PutReply {}

/// Asks for a region that the agent holds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetRequest {
    /// The session.
    #[prost(bytes = "bytes", tag = "1")]
    pub session: Bytes,
    /// Whose output it is.
    #[prost(message, optional, tag = "2")]
    pub tensor: Option<Tensor>,
    /// Which part.
    #[prost(message, optional, tag = "3")]
    pub region: Option<Region>,
}

/// A piece of a region.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetReply {
    /// The next numbers.
    #[prost(bytes = "bytes", tag = "1")]
    pub bytes: Bytes,
}

/// Asks to send a region that the agent holds to another agent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ForwardRequest {
    /// The session.
    #[prost(bytes = "bytes", tag = "1")]
    pub session: Bytes,
    /// Whose output it is.
    #[prost(message, optional, tag = "2")]
    pub tensor: Option<Tensor>,
    /// Which part.
    #[prost(message, optional, tag = "3")]
    pub region: Option<Region>,
    /// Where to.
    #[prost(message, optional, tag = "4")]
    pub peer: Option<Peer>,
}

/// Another agent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Peer {
    /// Host and port.
    #[prost(string, tag = "1")]
    pub address: String,
    /// The name in its certificate; that of its host if empty.
    #[prost(string, tag = "2")]
    pub server_name: String,
    /// Who has signed its certificate, as PEM; without TLS if empty.
    #[prost(bytes = "bytes", tag = "3")]
    pub authority: Bytes,
    /// What it gave out for the session there.
    #[prost(string, tag = "4")]
    pub ticket: String,
}

/// The region is there.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ForwardReply {}
