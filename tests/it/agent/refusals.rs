//! What agents refuse, and what sessions take.

use std::io::{Read, Write};
use std::net::TcpStream;

use coinfer::replay::agent::{Access, Agent, Limits as AgentLimits, Settings};
use coinfer::replay::wire::messages::{
    GetReply, GetRequest, HelloReply, HelloRequest, OpenReply, OpenRequest, Port, PutReply, PutRequest, Region,
    RunReply, RunRequest, StatusReply, StatusRequest, Tensor, UploadRequest,
};
use coinfer::replay::wire::{Credentials, Frame, FrameKind, VERSION};
use proptest::prelude::*;
use prost::Message;
use tonic::Code;

use super::asking::Asking;
use super::{Draft, LEFT, LIMITS, Process, ROWS, open, problem, settings, start, wait_until};

#[test]
fn what_is_wrong_is_refused_and_logged_and_the_agent_lives() {
    let agent = Process::start(&["--message-max", "128", "--model-max", "1", "--memory", "8", "--session-memory", "4"]);
    let asking = Asking::new(agent.address);
    let (session, _held) = asking.hold();
    let shape = Tensor { model: 0, layer: 0, channels: 2, rows: 4, cols: 4 };
    let tensor = Some(shape);
    let region = |samples_end, rows_end| Some(Region { samples_start: 0, samples_end, rows_start: 0, rows_end });
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
    let absurd = Tensor { channels: u32::MAX, ..shape };
    let absurd = PutRequest { tensor: Some(absurd), ..put(128) };
    refused("Put", vec![absurd.encode_to_vec()], Code::InvalidArgument, "numbers a sample");
    let get = GetRequest { session: session.clone(), tensor, region: region(1, 4) };
    refused("Get", vec![get.encode_to_vec()], Code::NotFound, "is not there");
    let _: PutReply = asking.say("Put", &put(128)).unwrap();
    let _: GetReply = asking.say("Get", &get).unwrap();
    let reshaped = Tensor { cols: 8, ..shape };
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
        let piece = UploadRequest { session: session.clone(), segment: 0, bytes: bytes.into() };
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
    let both = [(); 2].map(|()| {
        let mut opened = open(&problem, &plan, [&left, &right], &Credentials::default());
        opened.measured(&plan, &LIMITS).unwrap();
        opened
    });
    let status = asking.status();
    assert_eq!((status.sessions, status.engines, status.held > 0), (2, 1, true), "equal models are one engine");
    drop(both);
    wait_until("the end of the sessions", || asking.status().sessions == 0);
    wait_until("the end of what they had", || {
        let StatusReply { held, engines, .. } = asking.status();
        (held, engines) == (0, 0)
    });
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
        let region = Region { samples_start, samples_end, rows_start, rows_end };
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
