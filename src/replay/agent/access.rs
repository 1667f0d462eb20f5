//! Who may ask an agent: TLS, certificates and tokens, and what is refused before it is looked at.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use subtle::ConstantTimeEq;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use super::AgentError;
use crate::replay::wire::{Refusal, TICKET};

/// Who may ask an agent.
#[derive(Clone, Default)]
pub struct Access {
    /// PEM of the agent's certificate and of its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// PEM of who has signed the certificates of those who may ask.
    pub client_authority: Option<Vec<u8>>,
    /// What those who may ask know.
    pub token: Option<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("has_identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}

/// A shorter token can be guessed.
const TOKEN_MIN: usize = 16;

impl Access {
    /// Refuses to be open to anybody.
    pub(super) fn check(&self, address: SocketAddr) -> Result<(), AgentError> {
        let is_known = self.client_authority.is_some() || self.token.is_some();
        if !address.ip().is_loopback() && (self.identity.is_none() || !is_known) {
            return Err(AgentError::Open { address });
        }
        if self.client_authority.is_some() && self.identity.is_none() {
            return Err(AgentError::Access("certificates of clients need TLS; give a certificate and a key".into()));
        }
        if self.token.as_ref().is_some_and(|token| token.len() < TOKEN_MIN || !token.is_ascii()) {
            return Err(AgentError::Access(format!("a token is a text of at least {TOKEN_MIN} ASCII characters")));
        }
        Ok(())
    }

    /// What makes TLS of connections, if they are to be TLS.
    pub(super) fn acceptor(&self) -> Result<Option<TlsAcceptor>, AgentError> {
        let Some((certificate, key)) = &self.identity else { return Ok(None) };
        let failed = |what: &str, reason: String| AgentError::Access(format!("{what} cannot be used: {reason}"));
        let certificates = certificates(certificate).map_err(|reason| failed("the certificate", reason))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| failed("the key", error.to_string()))?;
        let config = match &self.client_authority {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for root in self::certificates(authority).map_err(|reason| failed("the clients' authority", reason))? {
                    roots.add(root).map_err(|error| failed("the clients' authority", error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
                let verifier = verifier.map_err(|error| failed("the clients' authority", error.to_string()))?;
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let config = config.with_single_cert(certificates, key);
        let mut config = config.map_err(|error| failed("the certificate and the key", error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() { Err("it has no PEM certificate".into()) } else { Ok(found) }
}

/// What another agent shows to put tensors into a session.
#[derive(Clone, Debug)]
pub(super) struct Ticket(pub(super) String);

/// The service behind a look at who asks. It logs what is refused.
#[derive(Clone)]
pub(super) struct Gate<S> {
    pub(super) inner: S,
    pub(super) token: Option<Arc<str>>,
}

/// The call that needs no more than a ticket.
const PUT: &str = "/coinfer.v1.Agent/Put";

impl<S> Gate<S> {
    fn admit(&self, request: &mut http::Request<Body>) -> Result<(), Refusal> {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // The ticket itself is looked at when the session is known that it is for.
        if let Some(ticket) = text(TICKET).filter(|_| request.uri().path() == PUT) {
            request.extensions_mut().insert(Ticket(ticket));
            return Ok(());
        }
        let Some(token) = &self.token else { return Ok(()) };
        let shown = text("authorization").unwrap_or_default();
        let shown = shown.strip_prefix("Bearer ").ok_or(Refusal::Unknown("the agent asks for a token"))?;
        let is_it: bool = shown.as_bytes().ct_eq(token.as_bytes()).into();
        if is_it { Ok(()) } else { Err(Refusal::Unknown("the token is not the agent's")) }
    }
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let caller = caller(&request);
        let path = request.uri().path().to_owned();
        let admitted = self.admit(&mut request);
        let answer = admitted.map(|()| self.inner.call(request));
        Box::pin(async move {
            let response = match answer {
                Ok(answer) => answer.await?,
                Err(refusal) => Status::from(refusal).into_http(),
            };
            if let Some(status) =
                Status::from_header_map(response.headers()).filter(|status| status.code() != tonic::Code::Ok)
            {
                let method: String = path.rsplit('/').next().unwrap_or_default().chars().take(32).collect();
                log(&format!("refused {method} of {caller}: {:?}: {}", status.code(), status.message()));
            }
            Ok(response)
        })
    }
}

/// Where a request comes from.
fn caller(request: &http::Request<Body>) -> String {
    let plain = request.extensions().get::<TcpConnectInfo>();
    let secure = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().map(TlsConnectInfo::get_ref);
    let address = plain.or(secure).and_then(TcpConnectInfo::remote_addr);
    address.map_or_else(|| "somebody".into(), |address| address.to_string())
}

/// A line for whoever watches the agent. Texts of others have no control characters in it.
pub(super) fn log(text: &str) {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    eprintln!("coinfer agent: {plain}");
}

/// A connection that counts while it is open.
pub(super) struct Counted<T> {
    pub(super) inner: T,
    pub(super) _permit: tokio::sync::OwnedSemaphorePermit,
}

impl<T: tonic::transport::server::Connected> tonic::transport::server::Connected for Counted<T> {
    type ConnectInfo = T::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

impl<T: tokio::io::AsyncRead + Unpin> tokio::io::AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// The address of a connection, for the log.
pub(super) fn peer(stream: &TcpStream) -> String {
    stream.peer_addr().map_or_else(|_| "somebody".into(), |address| address.to_string())
}
