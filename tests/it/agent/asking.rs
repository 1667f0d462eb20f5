//! Asks agents without the client of this program.

use std::net::SocketAddr;

use coinfer::replay::wire::messages::{HoldReply, HoldRequest, StatusReply, StatusRequest};
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes as Chunk};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Asks an agent without the client of this program: whatever bytes as a message.
pub(super) struct Asking {
    tokio: tokio::runtime::Runtime,
    channel: Channel,
}

/// Messages as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }
    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

impl Asking {
    pub(super) fn new(address: SocketAddr) -> Asking {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = tokio.block_on(endpoint.connect()).unwrap();
        Asking { tokio, channel }
    }

    /// The first message of the answer to `messages`.
    pub(super) fn ask(&self, method: &str, messages: Vec<Vec<u8>>) -> Result<Vec<u8>, Status> {
        let path = PathAndQuery::try_from(format!("/coinfer.v1.Agent/{method}")).unwrap();
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        self.tokio.block_on(async {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let request = Request::new(tokio_stream::iter(messages));
            let mut replies = client.streaming(request, path, Raw).await?.into_inner();
            Ok(replies.message().await?.unwrap_or_default())
        })
    }

    pub(super) fn say<Q: Message, A: Message + Default>(&self, method: &str, question: &Q) -> Result<A, Status> {
        let answer = self.ask(method, vec![question.encode_to_vec()])?;
        Ok(A::decode(answer.as_slice()).unwrap())
    }

    pub(super) fn status(&self) -> StatusReply {
        self.say("Status", &StatusRequest {}).unwrap()
    }

    /// A session, and what keeps it.
    pub(super) fn hold(&self) -> (Chunk, tonic::Streaming<HoldReply>) {
        let path = PathAndQuery::from_static("/coinfer.v1.Agent/Hold");
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        self.tokio.block_on(async {
            client.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::default();
            let replies = client.server_streaming(Request::new(HoldRequest {}), path, codec).await.unwrap();
            let mut replies: tonic::Streaming<HoldReply> = replies.into_inner();
            (replies.message().await.unwrap().unwrap().session, replies)
        })
    }
}
