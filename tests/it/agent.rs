//! Agents: plans on several machines at once, who may ask them, what they refuse, and boards that are lost.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use assert_cmd::cargo::CommandCargoExt;
use coinfer::model::{Conv, Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Weights, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::replay::agent::{Access, Agent, Limits as AgentLimits, Settings};
use coinfer::replay::cpu::{Host, Network, Runtime, Unit};
use coinfer::replay::remote::{AgentAddress, Fleet, Remote};
use coinfer::replay::wire::messages::{
    GetReply, GetRequest, HelloReply, HelloRequest, HoldReply, HoldRequest, OpenReply, OpenRequest, Port, PutReply,
    PutRequest, RunReply, RunRequest, StatusReply, StatusRequest, Tensor,
};
use coinfer::replay::wire::{Credentials, Frame, FrameKind, VERSION};
use coinfer::replay::{BackendError, Limits, assemble, available};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};
use proptest::prelude::*;
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes as Chunk};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::fixture::PerRow;

const HOME: DeviceId = DeviceId(0);
const LEFT: DeviceId = DeviceId(1);
const RIGHT: DeviceId = DeviceId(2);
const MODEL: ModelId = ModelId(0);
const ROWS: u32 = 12;
const SAMPLES: u32 = 3;
const TOKEN: &str = "a token of these tests";

static GO_ON: AtomicBool = AtomicBool::new(false);
const LIMITS: Limits<'_> = Limits { deadline: Duration::from_nanos(60_000_000_000), interrupted: &GO_ON };

/// Two convolutions, so that halves of rows need a halo of each other, and a sum.
fn graph() -> Graph {
    let conv = || Op::Conv(Conv { bias: true, ..Conv::square(4, 3).pad(1) });
    let layers = [
        ("input", Op::Input(Shape::fp32(3, ROWS, 8)), &[][..]),
        ("first", conv(), &[0]),
        ("second", conv(), &[1]),
        ("sum", Op::Add, &[1, 2]),
    ];
    let layer = |(name, op, inputs): (&str, Op, &[u32])| Layer {
        name: name.into(),
        op,
        inputs: inputs.iter().copied().map(LayerId).collect(),
    };
    Graph::new("net", layers.into_iter().map(layer).collect()).unwrap()
}

/// A home and two boards, each joined to each.
fn problem(home: Option<DeviceId>) -> Problem {
    let device = |name: &str| Device::new(name, DeviceKind::Board, Bytes(1 << 20));
    let link = |(name, from, to): (&str, _, _)| {
        Link::new(name, (from, to), Direction::EitherWay, BytesPerSec::new(1e9).unwrap())
    };
    let platform = Platform {
        devices: ["home", "left", "right"].map(device).into(),
        links: [("to left", HOME, LEFT), ("to right", HOME, RIGHT), ("across", LEFT, RIGHT)].map(link).into(),
        ..Platform::default()
    };
    let models = vec![Model { graph: graph(), home }];
    Problem::new(models, platform, Load::Offline { samples: SAMPLES }, PerRow([1, 1, 1]))
}

fn unit(slowed: f64) -> Unit {
    Unit { cores: available().unwrap()[..1].into(), threads: 1, slowed }
}

fn settings() -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        unit: unit(1.0),
        runtime: Runtime::Rten,
        delay: Duration::ZERO,
        limits: AgentLimits { session_memory: Bytes(64 << 20), memory: Bytes(128 << 20), ..AgentLimits::default() },
        access: Access::default(),
    }
}

fn start(access: &Access) -> Agent {
    Agent::start(&Settings { access: access.clone(), ..settings() }).unwrap()
}

fn address(agent: &Agent) -> AgentAddress {
    AgentAddress { address: agent.address().to_string(), server_name: None }
}

/// The agents of the left and the right device.
fn fleet(problem: &Problem, boards: [&Agent; 2], credentials: &Credentials) -> Result<Arc<Fleet>, BackendError> {
    let addresses = [None, Some(address(boards[0])), Some(address(boards[1]))];
    Ok(Arc::new(Fleet::connect(&problem.platform, &addresses, credentials)?))
}

fn host(problem: &Problem) -> Arc<Host> {
    let model = &problem.models[0];
    let weights = Arc::new(Weights::Seeded(7));
    let network = Network { graph: model.graph.clone(), weights, home: model.home };
    let units = [Some(unit(1.0)), None, None];
    Arc::new(Host::new(&problem.platform, Runtime::Rten, &units, vec![network], SAMPLES, 1).unwrap())
}

/// A plan and its lanes.
#[derive(Default)]
struct Draft(Plan);

impl Draft {
    fn lane(&mut self, device: DeviceId) -> LaneId {
        self.0.lane(Lane::Compute { device, share: Share::FULL, memory: Bytes(1 << 20) })
    }

    fn compute(&mut self, lane: LaneId, layers: [u32; 2], rows: [u32; 2], after: &[StepId]) -> StepId {
        let segment = Segment::range(LayerId(layers[0]), LayerId(layers[1]));
        let region = Region { samples: 0..SAMPLES, rows: rows[0]..rows[1] };
        self.0.step(lane, Action::Compute(Work { model: MODEL, segment, region }), after)
    }

    fn copy(&mut self, lane: LaneId, to: DeviceId, layer: u32, rows: [u32; 2], after: &[StepId]) -> StepId {
        let region = Region { samples: 0..SAMPLES, rows: rows[0]..rows[1] };
        self.0.step(lane, Action::Transfer { model: MODEL, layer: LayerId(layer), region, to }, after)
    }

    fn check(self, problem: &Problem) -> CheckedPlan {
        check(self.0, problem).unwrap_or_else(|found| panic!("{found:?}"))
    }
}

/// The rows of both convolutions on the boards, which send each other what the other one needs, and the sum at home.
fn halos(problem: &Problem) -> CheckedPlan {
    let mut draft = Draft::default();
    let [home, left, right] = [HOME, LEFT, RIGHT].map(|device| draft.lane(device));
    let [to_left, to_right, across] = [0, 1, 2].map(|link| draft.0.lane(Lane::Link(LinkId(link))));
    let sent = draft.copy(to_left, LEFT, 0, [0, 7], &[]);
    let top = draft.compute(left, [1, 1], [0, 6], &[sent]);
    let sent = draft.copy(to_right, RIGHT, 0, [5, ROWS], &[]);
    let bottom = draft.compute(right, [1, 1], [6, ROWS], &[sent]);
    let down = draft.copy(across, RIGHT, 1, [5, 6], &[top]);
    let up = draft.copy(across, LEFT, 1, [6, 7], &[bottom]);
    let top_end = draft.compute(left, [2, 2], [0, 6], &[up]);
    let bottom_end = draft.compute(right, [2, 2], [6, ROWS], &[down]);
    let back = [
        draft.copy(to_left, HOME, 1, [0, 6], &[top]),
        draft.copy(to_left, HOME, 2, [0, 6], &[top_end]),
        draft.copy(to_right, HOME, 1, [6, ROWS], &[bottom]),
        draft.copy(to_right, HOME, 2, [6, ROWS], &[bottom_end]),
    ];
    draft.compute(home, [3, 3], [0, ROWS], &back);
    draft.check(problem)
}

/// Runs `halos` twice; outputs are those of a single device, and steps on boards say when they ran there.
fn check_halos(boards: [&Agent; 2], credentials: &Credentials) {
    let problem = problem(Some(HOME));
    let plan = halos(&problem);
    let remote = Remote::new(host(&problem), fleet(&problem, boards, credentials).unwrap()).unwrap();
    let mut crew = assemble(&plan, &remote).unwrap();
    for _ in 0..2 {
        let round = crew.round(&plan, &LIMITS).unwrap();
        assert!(round.timeline.obeys(&plan));
        for step in plan.step_ids() {
            let on_board = matches!(&plan.step_at(step).lane.map(|lane| plan.lane_at(lane)),
                Some(Lane::Compute { device, .. }) if *device != HOME);
            assert_eq!(round.there[step.0 as usize].is_some(), on_board, "step {}", step.0);
            if on_board {
                assert!(round.busy[step.0 as usize] > Duration::ZERO);
                assert!(round.duration(step) <= round.timeline.span(step).duration(), "the way there takes time too");
            }
        }
    }
    let difference = remote.difference(MODEL, SAMPLES).unwrap();
    assert!(difference <= 1e-5, "{difference}");
}

#[test]
fn a_plan_over_two_agents_and_home_computes_what_a_single_device_does() {
    let (left, right) = (start(&Access::default()), start(&Access::default()));
    check_halos([&left, &right], &Credentials::default());
}

#[test]
fn outputs_that_stay_on_agents_are_compared_too() {
    let (left, right) = (start(&Access::default()), start(&Access::default()));
    let problem = problem(None);
    let mut draft = Draft::default();
    let [top, bottom] = [LEFT, RIGHT].map(|device| draft.lane(device));
    draft.compute(top, [1, 3], [0, 5], &[]);
    draft.compute(bottom, [1, 3], [5, ROWS], &[]);
    let plan = draft.check(&problem);
    let remote =
        Remote::new(host(&problem), fleet(&problem, [&left, &right], &Credentials::default()).unwrap()).unwrap();
    assemble(&plan, &remote).unwrap().round(&plan, &LIMITS).unwrap();
    let difference = remote.difference(MODEL, SAMPLES).unwrap();
    assert!(difference <= 1e-5, "{difference}");
}

/// An authority, and what it has signed for 127.0.0.1.
struct Signed {
    authority: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

fn signed() -> Signed {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned(), "board.test".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &issuer).unwrap();
    Signed {
        authority: issuer.pem().into_bytes(),
        certificate: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
    }
}

#[test]
fn agents_and_callers_know_each_other_by_tls_and_a_token() {
    let signed = signed();
    let identity = Some((signed.certificate, signed.key));
    let access = Access { identity, token: Some(TOKEN.into()), client_authority: None };
    let (left, right) = (start(&access), start(&access));
    let known =
        Credentials { authority: Some(signed.authority.clone()), token: Some(TOKEN.into()), ..Credentials::default() };
    check_halos([&left, &right], &known);

    let problem = problem(Some(HOME));
    let refused = |credentials: &Credentials| fleet(&problem, [&left, &right], credentials).unwrap_err().to_string();
    let wrong = Credentials { token: Some("another token of these tests".into()), ..known.clone() };
    assert!(refused(&wrong).contains("the token is not the agent's"), "{}", refused(&wrong));
    let none = Credentials { token: None, ..known.clone() };
    assert!(refused(&none).contains("the agent asks for a token"), "{}", refused(&none));
    let stranger = Credentials { authority: Some(self::signed().authority), ..known.clone() };
    let message = refused(&stranger);
    assert!(message.starts_with("remote is not available: the agent of `left` at 127.0.0.1:"), "{message}");
    assert!(message.contains("certificate"), "{message}");
    let plain = Credentials { authority: None, ..known.clone() };
    assert!(!refused(&plain).is_empty());
    check_halos([&left, &right], &known);
}

#[test]
fn agents_and_callers_know_each_other_by_certificates() {
    let signed = signed();
    let identity = Some((signed.certificate, signed.key));
    let access = Access { identity: identity.clone(), token: None, client_authority: Some(signed.authority.clone()) };
    let (left, right) = (start(&access), start(&access));
    let known = Credentials { authority: Some(signed.authority), identity, token: None };
    check_halos([&left, &right], &known);

    let problem = problem(Some(HOME));
    let stranger = self::signed();
    let unknown = Some((stranger.certificate, stranger.key));
    for identity in [None, unknown] {
        let credentials = Credentials { identity, ..known.clone() };
        assert!(fleet(&problem, [&left, &right], &credentials).is_err());
    }
    check_halos([&left, &right], &known);
}

#[test]
fn a_certificate_may_have_another_name_than_the_address() {
    let signed = signed();
    let access = Access { identity: Some((signed.certificate, signed.key)), ..Access::default() };
    let agent = start(&access);
    let credentials = Credentials { authority: Some(signed.authority), ..Credentials::default() };
    let connect = |name: &str| {
        let address = AgentAddress { server_name: Some(name.into()), ..address(&agent) };
        Fleet::connect(&problem(None).platform, &[Some(address), None, None], &credentials)
    };
    assert!(connect("board.test").is_ok());
    assert!(connect("other.test").unwrap_err().to_string().contains("certificate"));
}

/// An agent in a process of its own, in a folder that has what it says.
struct Process {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Process {
    fn start(options: &[&str]) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let core = available().unwrap()[0].to_string();
        let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
        command.args(["agent", "--listen", "127.0.0.1:0", "--cores", &core]).args(options);
        let command = command.env_remove("ORT_DYLIB_PATH").stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Process { child, address, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks an agent without the client of this program: whatever bytes as a message.
struct Asking {
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
    fn new(address: SocketAddr) -> Asking {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = tokio.block_on(endpoint.connect()).unwrap();
        Asking { tokio, channel }
    }

    /// The first message of the answer to `messages`.
    fn ask(&self, method: &str, messages: Vec<Vec<u8>>) -> Result<Vec<u8>, Status> {
        let path = PathAndQuery::try_from(format!("/coinfer.v1.Agent/{method}")).unwrap();
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        self.tokio.block_on(async {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let request = Request::new(tokio_stream::iter(messages));
            let mut replies = client.streaming(request, path, Raw).await?.into_inner();
            Ok(replies.message().await?.unwrap_or_default())
        })
    }

    fn say<Q: Message, A: Message + Default>(&self, method: &str, question: &Q) -> Result<A, Status> {
        let answer = self.ask(method, vec![question.encode_to_vec()])?;
        Ok(A::decode(answer.as_slice()).unwrap())
    }

    fn status(&self) -> StatusReply {
        self.say("Status", &StatusRequest {}).unwrap()
    }

    /// A session, and what keeps it.
    fn hold(&self) -> (Chunk, tonic::Streaming<HoldReply>) {
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

/// Waits until `is_so`, a minute at most.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what} did not come");
}

#[test]
fn what_is_wrong_is_refused_and_logged_and_the_agent_lives() {
    let agent = Process::start(&["--message-max", "128", "--model-max", "1", "--memory", "8", "--session-memory", "4"]);
    let asking = Asking::new(agent.address);
    let (session, _held) = asking.hold();
    let tensor = Some(Tensor { model: 0, layer: 0, channels: 2, rows: 4, cols: 4 });
    let region = |samples_end, rows_end| {
        Some(coinfer::replay::wire::messages::Region { samples_start: 0, samples_end, rows_start: 0, rows_end })
    };
    let put = |bytes: usize| PutRequest {
        session: session.clone(),
        tensor,
        region: region(1, 4),
        bytes: vec![0; bytes].into(),
    };
    let refused = |method: &str, messages: Vec<Vec<u8>>, code: Code, text: &str| {
        let status = asking.ask(method, messages).unwrap_err();
        assert_eq!((status.code(), status.message().contains(text)), (code, true), "{method}: {status:?}");
        let line = format!("refused {method} of 127.0.0.1:");
        wait_until(&format!("{line} {text}"), || {
            agent.log().lines().any(|found| found.contains(&line) && found.contains(text))
        });
    };
    let one = |message: &dyn Fn() -> Vec<u8>| vec![message()];
    refused(
        "Hello",
        one(&|| HelloRequest { version: VERSION + 1 }.encode_to_vec()),
        Code::FailedPrecondition,
        "version",
    );
    refused("Nothing", vec![vec![]], Code::Unimplemented, "");
    refused("Run", vec![vec![0xff; 40]], Code::Internal, "");
    refused("Run", vec![vec![0; 200 << 10]], Code::OutOfRange, "message length too large");
    refused("Put", vec![vec![0; 200 << 10]], Code::OutOfRange, "message length too large");
    refused("Put", vec![], Code::InvalidArgument, "nothing came");
    let stranger = PutRequest { session: vec![7; 16].into(), ..put(128) };
    refused("Put", vec![stranger.encode_to_vec()], Code::NotFound, "no such session");
    let short = PutRequest { session: vec![7; 3].into(), ..put(128) };
    refused("Put", vec![short.encode_to_vec()], Code::InvalidArgument, "16 bytes");
    refused("Put", vec![put(64).encode_to_vec()], Code::InvalidArgument, "16 numbers came of a region of 32");
    refused("Put", vec![put(132).encode_to_vec()], Code::InvalidArgument, "do not fit");
    refused("Put", vec![put(127).encode_to_vec()], Code::InvalidArgument, "do not fit");
    let beyond = PutRequest { region: region(1, 5), ..put(128) };
    refused("Put", vec![beyond.encode_to_vec()], Code::InvalidArgument, "no rows 0..5 of 4");
    let endless = PutRequest { region: region(u32::MAX, 4), ..put(128) };
    refused("Put", vec![endless.encode_to_vec()], Code::InvalidArgument, "no samples");
    let huge = PutRequest { region: region(1 << 24, 4), ..put(128) };
    refused("Put", vec![huge.encode_to_vec()], Code::ResourceExhausted, "that a session may hold");
    let absurd = Tensor { channels: u32::MAX, ..tensor.unwrap() };
    let absurd = PutRequest { tensor: Some(absurd), ..put(128) };
    refused("Put", vec![absurd.encode_to_vec()], Code::InvalidArgument, "numbers a sample");
    let get = GetRequest { session: session.clone(), tensor, region: region(1, 4) };
    refused("Get", vec![get.encode_to_vec()], Code::NotFound, "is not there");
    let _: PutReply = asking.say("Put", &put(128)).unwrap();
    let _: GetReply = asking.say("Get", &get).unwrap();
    let reshaped = Tensor { cols: 8, ..tensor.unwrap() };
    let reshaped = GetRequest { tensor: Some(reshaped), ..get };
    refused("Get", vec![reshaped.encode_to_vec()], Code::InvalidArgument, "another shape before");

    let port = |name: &str| Port { name: name.into(), tensor, rows_start: 0, rows_end: 4 };
    let open = |segment, model_bytes, model: &[u8]| OpenRequest {
        session: session.clone(),
        segment,
        reads: vec![port("x")],
        writes: vec![port("y")],
        model_bytes,
        model_hash: blake3::hash(model).as_bytes().to_vec().into(),
    };
    refused("Open", vec![open(0, 2 << 20, b"").encode_to_vec()], Code::ResourceExhausted, "over the limit");
    refused("Open", vec![open(0, 0, b"").encode_to_vec()], Code::InvalidArgument, "not empty");
    let nameless = OpenRequest { writes: vec![port("")], ..open(0, 9, b"") };
    refused("Open", vec![nameless.encode_to_vec()], Code::InvalidArgument, "names of their own");
    let run = RunRequest { session: session.clone(), segment: 0, samples_start: 0, samples_end: 1 };
    refused("Run", vec![run.encode_to_vec()], Code::NotFound, "no segment 0");
    let _: OpenReply = asking.say("Open", &open(0, 9, b"nonsense!")).unwrap();
    refused("Run", vec![run.encode_to_vec()], Code::InvalidArgument, "no model yet");
    let upload = |bytes: &'static [u8]| {
        let piece = coinfer::replay::wire::messages::UploadRequest {
            session: session.clone(),
            segment: 0,
            bytes: bytes.into(),
        };
        vec![piece.encode_to_vec()]
    };
    refused("Upload", upload(b"more than nine"), Code::InvalidArgument, "more than the 9 bytes");
    let _: OpenReply = asking.say("Open", &open(0, 9, b"nonsense!")).unwrap();
    refused("Upload", upload(b"nonsense?"), Code::InvalidArgument, "not the one that was declared");
    let _: OpenReply = asking.say("Open", &open(0, 9, b"nonsense!")).unwrap();
    refused("Upload", upload(b"nonsense!"), Code::InvalidArgument, "it is no ONNX file");
    let _: StatusReply = asking.say("Status", &StatusRequest {}).unwrap();
    assert_eq!(asking.status().sessions, 1);

    // What is no HTTP at all, or ends in the middle.
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"PRI",
    ] {
        let mut stream = TcpStream::connect(agent.address).unwrap();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    }
    let hello: HelloReply = Asking::new(agent.address).say("Hello", &HelloRequest { version: VERSION }).unwrap();
    assert_eq!((hello.version, hello.model_bytes, hello.sessions), (VERSION, 1 << 20, 64));
}

#[test]
fn sessions_are_counted() {
    let limits = AgentLimits { sessions: 1, ..settings().limits };
    let agent = Agent::start(&Settings { limits, ..settings() }).unwrap();
    let asking = Asking::new(agent.address());
    let (_, held) = asking.hold();
    let status = asking.ask("Hold", vec![vec![]]).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "there are 1 sessions, as many as may be"));
    drop(held);
    wait_until("the end of the session", || asking.status().sessions == 0);
    drop(asking.hold());
}

#[test]
fn a_caller_that_goes_frees_all_that_it_had() {
    let (left, right) = (start(&Access::default()), start(&Access::default()));
    let problem = problem(Some(LEFT));
    let mut draft = Draft::default();
    let lane = draft.lane(LEFT);
    draft.compute(lane, [1, 3], [0, ROWS], &[]);
    let plan = draft.check(&problem);
    let asking = Asking::new(left.address());
    let fleet = fleet(&problem, [&left, &right], &Credentials::default()).unwrap();
    let remote = Remote::new(host(&problem), fleet).unwrap();
    let again = Remote::new(host(&problem), self::fleet(&problem, [&left, &right], &Credentials::default()).unwrap());
    let crews = [&remote, again.as_ref().unwrap()].map(|remote| {
        let mut crew = assemble(&plan, remote).unwrap();
        crew.round(&plan, &LIMITS).unwrap();
        crew
    });
    let status = asking.status();
    assert_eq!((status.sessions, status.engines, status.held > 0), (2, 1, true), "equal models are one engine");
    drop((crews, remote, again));
    wait_until("the end of the sessions", || asking.status().sessions == 0);
    wait_until("the end of what they had", || {
        let StatusReply { held, engines, .. } = asking.status();
        (held, engines) == (0, 0)
    });
}

#[test]
fn a_lost_board_is_named_before_the_deadline() {
    let right = start(&Access::default());
    // Each message takes so long that the step is under way when the agent is killed.
    let mut left = Process::start(&["--delay", "100 ms"]);
    let problem = problem(Some(HOME));
    let plan = halos(&problem);
    let addresses =
        [None, Some(AgentAddress { address: left.address.to_string(), server_name: None }), Some(address(&right))];
    let fleet = Arc::new(Fleet::connect(&problem.platform, &addresses, &Credentials::default()).unwrap());
    let remote = Remote::new(host(&problem), fleet).unwrap();
    let mut crew = assemble(&plan, &remote).unwrap();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        left.child.kill().unwrap();
        left
    });
    let error = crew.round(&plan, &LIMITS).unwrap_err();
    assert!(matches!(&error, BackendError::Gone { device, .. } if device == "left"), "{error}");
    assert!(error.to_string().starts_with("`left` was lost: "), "{error}");
    let ended = crew.unfinished().unwrap().spans.iter().flatten().count();
    assert!(ended < plan.steps.len());
    assert_eq!(crew.round(&plan, &LIMITS).unwrap_err(), error);
    drop(killer.join().unwrap());
}

/// A network on two agents and at home, with times as if they had been profiled.
fn scenario(folder: &Path, boards: [SocketAddr; 2]) {
    let core = available().unwrap()[0];
    let [left, right] = boards;
    let text = format!(
        r#"name = "two"
load = {{ offline = {{ samples = 4 }} }}
devices = [
    {{ name = "home", kind = "cpu", memory = "1 GiB", trace = "two.csv", cpu = {{ cores = "{core}" }} }},
    {{ name = "left", kind = "board", memory = "1 GiB", trace = "two.csv", agent = {{ address = "{left}" }} }},
    {{ name = "right", kind = "board", memory = "1 GiB", trace = "two.csv", agent = {{ address = "{right}" }} }},
]
links = [
    {{ name = "one", between = ["home", "left"], bandwidth = "1 GB/s" }},
    {{ name = "two", between = ["home", "right"], bandwidth = "1 GB/s" }},
]
models = [{{ name = "net", zoo = "gru-2x512", home = "home" }}]
strategies = [{{ even = {{}} }}]
"#
    );
    fs::write(folder.join("two.toml"), text).unwrap();
    let header = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
                  # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n";
    let rows = ["home", "left", "right"]
        .iter()
        .flat_map(|device| [1, 2, 4].map(|batch| format!("{device},gru-2x512,whole,{batch},all,raw,1,{batch}\n")));
    fs::write(folder.join("two.csv"), header.to_owned() + &rows.collect::<String>()).unwrap();
}

/// Runs `coinfer`, and kills `victim` when its agent has a session. What was printed, said, and the exit code.
fn replay_and_kill(folder: &Path, options: &[&str], victim: &mut Process) -> (String, String, Option<i32>) {
    let asking = Asking::new(victim.address);
    let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
    command
        .current_dir(folder)
        .args(options)
        .env_remove("ORT_DYLIB_PATH")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("a loaded engine", || asking.status().engines > 0);
    victim.child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn replay_json(folder: &Path) -> Value {
    let results = fs::read_dir(folder.join("results/two")).unwrap().next().unwrap().unwrap().path();
    serde_json::from_slice(&fs::read(results.join("replay.json")).unwrap()).unwrap()
}

#[test]
fn a_run_goes_on_without_a_lost_board_if_it_may_plan_again() {
    let (mut left, right) = (Process::start(&["--delay", "20 ms"]), Process::start(&[]));
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), [left.address, right.address]);
    let options = ["run", "two.toml", "--replay", "--rounds", "2", "--replan"];
    let (printed, said, code) = replay_and_kill(folder.path(), &options, &mut left);
    assert_eq!(code, Some(0), "{said}");
    assert!(printed.contains("planned again"), "{printed}");
    let replay = replay_json(folder.path());
    assert_eq!((&replay["lost"][0]["device"], &replay["lost"][0]["is_replanned"]), (&"left".into(), &true.into()));
    let comparisons = replay["comparisons"].as_array().unwrap();
    let last = comparisons.last().unwrap();
    assert_eq!((&last["strategy"], &last["rounds"]), (&"even without left".into(), &2.into()));
    assert!(last["difference"].as_f64().unwrap() <= 1e-4);
    assert_eq!(replay["boards"][0]["device"], "right");
    assert!(replay["boards"][0]["clock_error_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_lost_board_leaves_partial_results_and_an_error() {
    let (mut left, right) = (Process::start(&["--delay", "20 ms"]), Process::start(&[]));
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), [left.address, right.address]);
    let options = ["run", "two.toml", "--replay", "--rounds", "2"];
    let (_, said, code) = replay_and_kill(folder.path(), &options, &mut left);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: `left` was lost: ") && said.contains("what was measured before is in "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let replay = replay_json(folder.path());
    assert_eq!((&replay["verdict"], &replay["lost"][0]["is_replanned"]), (&"INVALID".into(), &false.into()));
}

#[test]
fn the_plan_of_a_file_is_not_planned_again() {
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), ["127.0.0.1:7071", "127.0.0.1:7072"].map(|address| address.parse().unwrap()));
    let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
    let output = command
        .current_dir(folder.path())
        .args(["replay", "plan.json", "--scenario", "two.toml", "--replan"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the plan in a file cannot be planned again"), "{said}");
}

/// What `coinfer agent` prints and says, and its exit code, where it ends by itself.
fn agent_ends(options: &[&str]) -> (String, String, Option<i32>) {
    let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
    let output = command.arg("agent").args(options).env_remove("ORT_DYLIB_PATH").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn an_agent_is_open_to_nobody_in_particular() {
    let folder = tempfile::tempdir().unwrap();
    let signed = signed();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (file("board.pem", &signed.certificate), file("board.key", &signed.key));
    let (token, short) = (file("token", TOKEN.as_bytes()), file("short", b"short\n"));
    let check = |options: &[&str], expected: &str| {
        let (_, said, code) = agent_ends(&[&["--listen", "0.0.0.0:0"], options].concat());
        assert_eq!((code, said.contains(expected)), (Some(2), true), "{said}");
    };
    let open = "0.0.0.0:0 can be reached from other machines, and anybody could use the agent; give it --tls-cert";
    check(&[], open);
    check(&["--token-file", &token], open);
    check(&["--tls-cert", &certificate, "--tls-key", &key], open);
    check(&["--tls-cert", &certificate, "--tls-key", &key, "--token-file", &short], "at least 16 ASCII characters");
    check(&["--tls-cert", &key, "--tls-key", &key, "--token-file", &token], "the certificate cannot be used");
    check(&["--cores", "1023"], open);
    let (_, said, code) = agent_ends(&["--listen", "127.0.0.1:0", "--cores", "1023"]);
    assert_eq!((code, said.contains("there is no core 1023")), (Some(2), true), "{said}");
}

#[test]
fn a_unit_for_systemd_is_printed_and_nothing_else_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("to ken");
    fs::write(&token, TOKEN).unwrap();
    let token = token.to_str().unwrap();
    let options = ["--install", "--cores", "0", "--slowed", "2", "--token-file", token];
    let (printed, _, code) = agent_ends(&options);
    assert_eq!(code, Some(0));
    for line in [
        &format!("LoadCredential=token-file:{token}"),
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "WantedBy=multi-user.target",
    ] {
        assert!(printed.lines().any(|found| found == line), "{line} in {printed}");
    }
    let command = printed.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(command.contains(" agent --listen 127.0.0.1:7071 --cores 0 --slowed 2 "), "{command}");
    assert!(command.ends_with(" --token-file %d/token-file"), "{command}");
    assert!(!printed.contains(TOKEN));
}

#[cfg(unix)]
#[test]
fn an_agent_ends_when_it_is_asked_to() {
    let mut agent = Process::start(&[]);
    let asking = Asking::new(agent.address);
    let _held = asking.hold();
    let killed = std::process::Command::new("kill").args(["-TERM", &agent.child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let mut status = None;
    wait_until("its end", || {
        status = agent.child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{}", agent.log());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn frames_of_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in FrameKind::ALL {
            if let Err(refusal) = Frame::read(kind, &bytes) {
                prop_assert!(!refusal.to_string().is_empty());
            }
        }
    }
}

#[test]
fn no_message_takes_an_agent_down() {
    let agent = start(&Access::default());
    let asking = Asking::new(agent.address());
    let (session, _held) = asking.hold();
    let tensor = (0..3u32, 0..3u32, [0..4u32, 0..4, 0..4]);
    let number = prop_oneof![0..6u32, Just(1 << 24), Just(u32::MAX)];
    let region = [number.clone(), number.clone(), number.clone(), number.clone()];
    let bytes = prop::collection::vec(any::<u8>(), 0..64);
    let message = (tensor, region, bytes, 0..6usize, any::<bool>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 200, ..ProptestConfig::default() });
    let outcome = runner.run(&message, |((model, layer, [channels, rows, cols]), region, bytes, method, is_whole)| {
        let [samples_start, samples_end, rows_start, rows_end] = region;
        let tensor = Some(Tensor { model, layer, channels, rows, cols });
        let region = coinfer::replay::wire::messages::Region { samples_start, samples_end, rows_start, rows_end };
        let put = PutRequest { session: session.clone(), tensor, region: Some(region), bytes: bytes.clone().into() };
        let method = ["Hello", "Open", "Upload", "Run", "Put", "Get"][method];
        let mut encoded = if method == "Hello" { bytes } else { put.encode_to_vec() };
        encoded.truncate(if is_whole { encoded.len() } else { encoded.len() / 2 });
        drop(asking.ask(method, vec![encoded]));
        prop_assert_eq!(asking.status().sessions, 1);
        Ok(())
    });
    outcome.unwrap();
    let run = RunRequest { session, segment: 9, samples_start: 0, samples_end: 1 };
    assert_eq!(asking.say::<_, RunReply>("Run", &run).unwrap_err().code(), Code::NotFound);
}
