//! Who may ask an agent, how one begins and ends.

use std::fs;

use assert_cmd::cargo::CommandCargoExt;
use coinfer::platform::{AgentAddress, Runtime};
use coinfer::replay::agent::Access;
use coinfer::replay::remote::Fleet;
use coinfer::replay::wire::Credentials;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::asking::Asking;
use super::{HOME, Process, TOKEN, address, check_halos, fleet, problem, start, wait_until};

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
        let mut platform = problem(None).platform;
        platform.devices[0].runtime = Runtime::Agent(address);
        Fleet::connect(&platform, &credentials)
    };
    assert!(connect("board.test").is_ok());
    assert!(connect("other.test").unwrap_err().to_string().contains("certificate"));
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
