//! Regions that an agent sends straight to another one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prost::bytes::Bytes;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use crate::replay::wire::messages::{Peer, PutRequest};
use crate::replay::wire::{AgentClient, Refusal, Security, Sent, TICKET, channel, chunks};

/// Channels to other agents, which stay open.
pub(super) struct Peers {
    /// PEM of our certificate and key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
    channels: Mutex<BTreeMap<Whom, Channel>>,
}

/// Address, name and authority.
type Whom = (String, String, Bytes);

/// More are not kept.
const PEERS_MAX: usize = 64;

impl Peers {
    pub(super) fn new(identity: Option<(Vec<u8>, Vec<u8>)>) -> Peers {
        Peers { identity, channels: Mutex::default() }
    }

    /// Puts `numbers`, which are those of `sent`, into the session that `peer` has given a ticket for.
    pub(super) async fn send(&self, peer: &Peer, sent: &Sent, numbers: &[f32]) -> Result<(), Refusal> {
        let failed =
            |reason: String| Refusal::Peer(format!("the agent at {} does not take it: {reason}", peer.address));
        let ticket: MetadataValue<_> = peer.ticket.parse().map_err(|_| failed("the ticket is none".into()))?;
        let channel = self.channel(peer).await.map_err(failed)?;
        let mut request = Request::new(tokio_stream::iter(put(Bytes::new(), sent, numbers)));
        request.metadata_mut().insert(TICKET, ticket);
        match AgentClient::new(channel).put(request).await {
            Ok(_) => Ok(()),
            Err(status) => {
                self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&whom(peer));
                Err(failed(status.message().to_owned()))
            }
        }
    }

    async fn channel(&self, peer: &Peer) -> Result<Channel, String> {
        let known = self.channels.lock().unwrap_or_else(PoisonError::into_inner).get(&whom(peer)).cloned();
        if let Some(channel) = known {
            return Ok(channel);
        }
        let security = Security {
            authority: Some(&*peer.authority).filter(|authority| !authority.is_empty()),
            server_name: Some(peer.server_name.as_str()).filter(|name| !name.is_empty()),
            identity: self.identity.as_ref().map(|(certificate, key)| (certificate.as_slice(), key.as_slice())),
        };
        let channel = channel(&peer.address, security).await?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.len() >= PEERS_MAX {
            channels.clear();
        }
        channels.insert(whom(peer), channel.clone());
        Ok(channel)
    }
}

fn whom(peer: &Peer) -> Whom {
    (peer.address.clone(), peer.server_name.clone(), peer.authority.clone())
}

/// The messages that put `numbers`, which are those of `sent`.
pub(in crate::replay) fn put(session: Bytes, sent: &Sent, numbers: &[f32]) -> Vec<PutRequest> {
    let (tensor, region) = sent.message();
    let mut pieces: Vec<PutRequest> =
        chunks(numbers).map(|bytes| PutRequest { bytes, ..PutRequest::default() }).collect();
    if let Some(first) = pieces.first_mut() {
        *first = PutRequest { session, tensor: Some(tensor), region: Some(region), bytes: first.bytes.clone() };
    }
    pieces
}
