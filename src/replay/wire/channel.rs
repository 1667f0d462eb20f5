//! Channels to agents: addresses, TLS, and who may go without it.

use std::net::IpAddr;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// The header by which an agent shows another one that it may put tensors into a session.
pub(in crate::replay) const TICKET: &str = "coinfer-ticket";

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// A peer that does not answer so long is asked whether it is there, and is lost if it does not say so in this time.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(5);
/// Bytes on their way, of a stream and of a connection: more than any link here holds.
pub(in crate::replay) const STREAM_WINDOW: u32 = 4 << 20;
pub(in crate::replay) const CONNECTION_WINDOW: u32 = 8 << 20;

/// What a caller of agents shows them and expects of them.
#[derive(Clone, Default)]
pub struct Credentials {
    /// PEM of who has signed the agents' certificates; without TLS if `None`.
    pub authority: Option<Vec<u8>>,
    /// PEM of the caller's certificate and of its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// What the agents know the caller by.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("has_authority", &self.authority.is_some()).finish_non_exhaustive()
    }
}

/// How a channel is kept from others.
#[derive(Clone, Copy, Debug)]
pub(in crate::replay) struct Security<'a> {
    /// PEM of who has signed the other side's certificate; without TLS if `None`.
    pub(in crate::replay) authority: Option<&'a [u8]>,
    /// The name in it, if it is not the host's.
    pub(in crate::replay) server_name: Option<&'a str>,
    /// PEM of our certificate and key.
    pub(in crate::replay) identity: Option<(&'a [u8], &'a [u8])>,
}

/// Whether `address`, a host and a port, is of this machine only.
fn is_loopback(address: &str) -> bool {
    let Some((host, _)) = address.rsplit_once(':') else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A channel to the agent at `address`.
pub(in crate::replay) async fn channel(address: &str, security: Security<'_>) -> Result<Channel, String> {
    let scheme = if security.authority.is_some() { "https" } else { "http" };
    if security.authority.is_none() && !is_loopback(address) {
        return Err("only agents on this machine are asked without TLS; give --tls-ca, the PEM file of who signed its certificate".into());
    }
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"));
    let mut endpoint = endpoint
        .map_err(|error| format!("`{address}` is no address: {error}"))?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    if let Some(authority) = security.authority {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        if let Some(name) = security.server_name {
            tls = tls.domain_name(name);
        }
        if let Some((certificate, key)) = security.identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint = endpoint.tls_config(tls).map_err(|error| chain(&error))?;
    }
    endpoint.connect().await.map_err(|error| chain(&error))
}

/// An error with what caused it.
pub(in crate::replay) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
