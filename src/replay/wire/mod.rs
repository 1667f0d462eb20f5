//! What agents and those who ask them say to each other: messages, what is right of them, and channels.
//!
//! Nothing is done here about what they say.

mod channel;
mod checked;
pub mod messages;
mod refusal;

pub use checked::{Frame, FrameKind};
pub use refusal::Refusal;

pub use channel::Credentials;
pub(super) use channel::{CONNECTION_WINDOW, STREAM_WINDOW, Security, TICKET, chain, channel};
pub(super) use checked::{Checked, Declared, Numbers, Sent, SessionId, chunks, count};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod service {
    include!(concat!(env!("OUT_DIR"), "/coinfer.v1.Agent.rs"));
}

pub(super) use service::agent_client::AgentClient;
pub(super) use service::agent_server::{Agent, AgentServer};

/// Versions of the protocol understand only themselves.
pub const VERSION: u32 = 1;

/// Bytes of a tensor or a model in one message: a few network packets' worth of overhead at most, and small beside
/// what flow control lets through.
pub(super) const CHUNK: usize = 64 * 1024;
