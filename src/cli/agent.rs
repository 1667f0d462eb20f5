//! `coinfer agent`: the cores of this machine for programs on others.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::file::read_whole;
use super::hardware::read_token;
use super::{Error, Terminal};
use crate::platform::{CORE_MAX, Cores, parse_cores};
use crate::replay::agent::{Access, AgentError, Limits, Settings};
use crate::replay::cpu::Library;
use crate::replay::{agent, available};
use crate::units::{Bytes, Duration};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer agent --listen 127.0.0.1:7071 --cores 0\n  \
                        coinfer agent --listen 0.0.0.0:7071 --tls-cert board.pem --tls-key board.key --token-file token\n\n\
                        docs/agent.md says how certificates are made, and what callers can and cannot do.")]
pub(super) struct Agent {
    /// Address and port to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7071")]
    listen: SocketAddr,
    /// Cores that compute, such as 0, 0-3 or 0,2; all if absent
    #[arg(long, value_name = "LIST", value_parser = cores)]
    cores: Option<Named>,
    /// Cores that receive and send; those that compute if absent
    #[arg(long, value_name = "LIST", value_parser = cores)]
    network_cores: Option<Named>,
    /// Threads that compute together; as many as cores if absent
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// How many times as long as on these cores each step takes, from 1 to 100: emulates a slower device
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = slowed)]
    slowed: f64,
    /// How long each message is held, such as 2ms: emulates a longer way
    #[arg(long, value_name = "DURATION", default_value = "0 ms")]
    delay: Duration,
    /// Execute networks by this library of ONNX Runtime (libonnxruntime.so); by the built-in rten if absent
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<OsString>,
    /// PEM file of the agent's certificate
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// PEM file of who has signed the certificates of callers
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// File with the token that callers show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Print a systemd unit for an agent with these options, and do nothing else
    #[arg(long)]
    install: bool,
}

/// What callers may take.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Largest message, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(128..=1 << 20))]
    message_max: u64,
    /// Largest model, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=2048))]
    model_max: u64,
    /// Memory of a session, in MiB; half of this machine's if absent
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    session_memory: Option<u64>,
    /// Memory of all sessions, in MiB; three quarters of this machine's if absent
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    memory: Option<u64>,
    /// Sessions at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    sessions: u32,
    /// Longest time of a call, in seconds; a session itself may last longer
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    call_time: u64,
}

/// Cores that were named.
#[derive(Clone, Debug)]
struct Named(Vec<usize>);

fn cores(text: &str) -> Result<Named, String> {
    parse_cores(text).map(Named).ok_or_else(|| format!("write for example `0`, `0-3` or `0,2`, up to {CORE_MAX}"))
}

fn slowed(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.ok_or_else(|| "use how many times as long as steps take, from 1 to 100".to_owned())
}

impl Agent {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        if self.install {
            return Ok(terminal.print(self.unit_file()?)?);
        }
        let settings = self.settings()?;
        let failed = |error: AgentError| match error {
            AgentError::Listen { .. } => Error::Failed(error.to_string()),
            _ => Error::Usage(error.to_string()),
        };
        let agent = agent::Agent::start(&settings).map_err(failed)?;
        let Settings { unit, library, delay, .. } = &settings;
        let late = if *delay > Duration::ZERO { format!(", messages held {delay}") } else { String::new() };
        terminal.print(format!("listening on {}\n", agent.address()))?;
        terminal.tell(&format!("{unit}, {}{late}", library.version()));
        agent.wait().map_err(|error| Error::Failed(format!("the system does not tell of signals: {error}")))?;
        terminal.tell("the agent ends");
        Ok(())
    }

    fn settings(&self) -> Result<Settings, Error> {
        let cores = match &self.cores {
            Some(Named(cores)) => cores.clone(),
            None => available().map_err(Error::Failed)?,
        };
        let threads = self.threads.unwrap_or(cores.len());
        if !(1..=cores.len()).contains(&threads) {
            return Err(Error::Usage(format!(
                "{threads} threads do not fit on {} cores; use 1 to {}",
                cores.len(),
                cores.len()
            )));
        }
        let library = match self.onnxruntime.as_ref().filter(|path| !path.is_empty()) {
            None => Library::Rten,
            Some(path) => Library::onnx_runtime(path.as_ref()).map_err(Error::Usage)?,
        };
        let read =
            |path: &Option<PathBuf>| path.as_ref().map(|path| read_whole(path).map_err(Error::Usage)).transpose();
        let access = Access {
            identity: read(&self.tls_cert)?.zip(read(&self.tls_key)?),
            client_authority: read(&self.client_ca)?,
            token: self.token_file.as_ref().map(|path| read_token(path)).transpose()?,
        };
        let LimitArgs { message_max, model_max, session_memory, memory, sessions, call_time } = self.limits;
        let usual = Limits::default();
        let mebibytes = |size: Option<u64>, usual: Bytes| size.map_or(usual, |size| Bytes(size << 20));
        let limits = Limits {
            message: Bytes(message_max << 10),
            model: Bytes(model_max << 20),
            session_memory: mebibytes(session_memory, usual.session_memory),
            memory: mebibytes(memory, usual.memory),
            sessions,
            call_seconds: call_time,
        };
        let network_cores = self.network_cores.as_ref().map_or(&cores, |Named(cores)| cores).clone();
        let unit = Cores { cores, threads, slowed: self.slowed };
        Ok(Settings { listen: self.listen, unit, network_cores, library, delay: self.delay, limits, access })
    }
}

impl Agent {
    /// A systemd unit for this agent. Its files reach it as credentials, since it runs as a user of its own that can
    /// read no others.
    fn unit_file(&self) -> Result<String, Error> {
        self.settings()?.check().map_err(|error| Error::Usage(error.to_string()))?;
        let program = std::env::current_exe();
        let program = program.map_err(|error| Error::Failed(format!("cannot find this program: {error}")))?;
        let mut words = vec![program.to_string_lossy().into_owned(), "agent".into()];
        let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        option("listen", self.listen.to_string());
        for (name, cores) in [("cores", &self.cores), ("network-cores", &self.network_cores)] {
            if let Some(Named(cores)) = cores {
                option(name, cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
            }
        }
        let threads = self.threads.map(|threads| threads.to_string());
        let library = self.onnxruntime.as_ref().filter(|path| !path.is_empty());
        let LimitArgs { message_max, model_max, session_memory, memory, sessions, call_time } = self.limits;
        for (name, value) in [
            ("threads", threads),
            ("slowed", (self.slowed > 1.0).then(|| self.slowed.to_string())),
            ("delay", (self.delay > Duration::ZERO).then(|| format!("{} ns", self.delay.as_nanos()))),
            ("onnxruntime", library.map(|path| absolute(path.as_ref()))),
            ("message-max", Some(message_max.to_string())),
            ("model-max", Some(model_max.to_string())),
            ("session-memory", session_memory.map(|size| size.to_string())),
            ("memory", memory.map(|size| size.to_string())),
            ("sessions", Some(sessions.to_string())),
            ("call-time", Some(call_time.to_string())),
        ] {
            value.into_iter().for_each(|value| option(name, value));
        }
        let mut words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let mut credentials = String::new();
        for (name, path) in [
            ("tls-cert", &self.tls_cert),
            ("tls-key", &self.tls_key),
            ("client-ca", &self.client_ca),
            ("token-file", &self.token_file),
        ] {
            let Some(path) = path else { continue };
            credentials.push_str(&format!("LoadCredential={name}:{}\n", absolute(path)));
            words.push(format!("--{name} %d/{name}"));
        }
        Ok(UNIT.replace("{command}", &words.join(" ")).replace("{credentials}", &credentials))
    }
}

/// A path that means the same wherever a program starts.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// A word as systemd reads command lines.
fn quoted(word: &str) -> String {
    let plain = word.replace('%', "%%").replace('$', "$$");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%$+,-./:=@_[]".contains(c);
    if plain.chars().all(is_plain) {
        return plain;
    }
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The unit; systemd 250 or later. Real-time priority is what the agent's threads ask for.
const UNIT: &str = "\
# coinfer agent: save as /etc/systemd/system/coinfer-agent.service, then
# `systemctl daemon-reload && systemctl enable --now coinfer-agent`.
[Unit]
Description=coinfer agent
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command}
{credentials}Restart=on-failure
RestartSec=1
DynamicUser=yes
AmbientCapabilities=CAP_SYS_NICE
CapabilityBoundingSet=CAP_SYS_NICE
LimitRTPRIO=2
OOMPolicy=stop
MemoryMax=90%
TasksMax=512
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        assert_eq!(quoted("0-3"), "0-3");
        assert_eq!(quoted("100%"), "100%%");
        assert_eq!(quoted("a b"), "\"a b\"");
        assert_eq!(quoted("say \"$x\""), "\"say \\\"$$x\\\"\"");
    }
}
