//! Why an agent does not do what it is asked to.

use tonic::{Code, Status};

/// Why an agent does not do what it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// What it is about is not there.
    #[error("{0}")]
    Absent(String),
    /// It would need more than the agent gives.
    #[error("{0}")]
    TooMuch(String),
    /// The caller is not known.
    #[error("{0}")]
    Unknown(&'static str),
    /// It took too long.
    #[error("it took longer than {0} s")]
    Late(u64),
    /// The versions of the protocol differ.
    #[error("the agent speaks version {here} of the protocol, and the caller version {there}")]
    Version {
        /// Of the agent.
        here: u32,
        /// Of the caller.
        there: u32,
    },
    /// Running it failed.
    #[error("{0}")]
    Failed(String),
    /// The agent that a region was to be sent to does not take it.
    #[error("{0}")]
    Peer(String),
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let code = match refusal {
            Refusal::Malformed(_) => Code::InvalidArgument,
            Refusal::Absent(_) => Code::NotFound,
            Refusal::TooMuch(_) => Code::ResourceExhausted,
            Refusal::Unknown(_) => Code::Unauthenticated,
            Refusal::Late(_) => Code::DeadlineExceeded,
            Refusal::Version { .. } => Code::FailedPrecondition,
            Refusal::Failed(_) => Code::Internal,
            Refusal::Peer(_) => Code::Aborted,
        };
        Status::new(code, refusal.to_string())
    }
}
