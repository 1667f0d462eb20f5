//! One run of a program, bounded in time, and what it prints.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::replay::clock::{Clock, sleep};
use crate::units::Duration;

/// When a run is given up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The longest time that one run may take.
    pub limit: Duration,
    /// Set when the user asks to stop.
    pub interrupted: &'static AtomicBool,
}

/// Why a run came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The user has asked to stop.
    Interrupted,
    /// What went wrong.
    Failed(String),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Trouble {
        Trouble::Failed(reason)
    }
}

/// A program that runs, with all that it has started. They end with this.
pub(super) struct Running {
    child: Child,
    /// Open as long as the program may run.
    lifeline: Option<ChildStdin>,
    name: String,
    log: PathBuf,
    clock: Clock,
}

/// Runs a program and kills it, with all that it has started, when the other end of the shell's input closes: because
/// the run is given up, or because coinfer has ended, however it did.
const KEEPER: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
{ read -r _ <&3; kill -s KILL 0; } 2>/dev/null &
keeper=$!
wait "$program"
status=$?
kill -s KILL "$keeper"
exit "$status"
"#;

/// How often a run is looked at.
const GLANCE: Duration = Duration::from_nanos(10_000_000);
/// What is killed is gone by then, unless the kernel holds it.
const KILLED: Duration = Duration::from_nanos(5_000_000_000);
/// The most of an output that is read: 16 MiB.
const OUTPUT_MAX: u64 = 16 << 20;

impl Running {
    /// Starts `program`, which prints into the file `log`.
    pub(super) fn start(program: &Path, arguments: &[String], log: &Path) -> Result<Running, String> {
        let shown = |error: io::Error| format!("`{}` cannot be started: {error}", program.display());
        let output = File::create(log).map_err(|error| format!("cannot write `{}`: {error}", log.display()))?;
        let errors = output.try_clone().map_err(shown)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "sh"]).arg(program).args(arguments);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let mut child = command.spawn().map_err(shown)?;
        let lifeline = child.stdin.take();
        let name = format!("`{}`", program.display());
        Ok(Running { child, lifeline, name, log: log.to_owned(), clock: Clock::start() })
    }

    /// Waits until it has ended well.
    pub(super) fn end(mut self, patience: &Patience) -> Result<(), Trouble> {
        loop {
            if let Some(code) = self.code()? {
                return if code == Some(0) { Ok(()) } else { Err(self.failure(code).into()) };
            }
            self.pause(patience)?;
        }
    }

    /// Waits until it has printed `text`.
    pub(super) fn print(&mut self, text: &str, patience: &Patience) -> Result<(), Trouble> {
        while !output(&self.log).contains(text) {
            if let Some(code) = self.code()? {
                return Err(self.failure(code).into());
            }
            self.pause(patience)?;
        }
        Ok(())
    }

    /// Its exit code once it has ended; `None` within if a signal has ended it.
    pub(super) fn code(&mut self) -> Result<Option<Option<i32>>, String> {
        let ended = self.child.try_wait().map_err(|error| format!("{} cannot be waited for: {error}", self.name))?;
        Ok(ended.map(|status| status.code()))
    }

    /// Sleeps for a moment, unless it is to be given up.
    fn pause(&self, patience: &Patience) -> Result<(), Trouble> {
        if patience.interrupted.load(Ordering::Relaxed) {
            return Err(Trouble::Interrupted);
        }
        if self.clock.now().since_start() > patience.limit {
            let limit = patience.limit.as_secs_f64();
            let said = said(&output(&self.log));
            return Err(format!("{} did not end within {limit:.0} s and was stopped{said}", self.name).into());
        }
        sleep(GLANCE);
        Ok(())
    }

    fn failure(&self, code: Option<i32>) -> String {
        let code = code.map_or_else(|| "a signal".into(), |code| format!("exit code {code}"));
        format!("{} failed ({code}){}", self.name, said(&output(&self.log)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lifeline.take();
        let clock = Clock::start();
        while matches!(self.child.try_wait(), Ok(None)) && clock.now().since_start() < KILLED {
            sleep(GLANCE);
        }
    }
}

/// What is in the file at `log`, as far as it is read.
pub(super) fn output(log: &Path) -> String {
    let mut bytes = Vec::new();
    // What cannot be read says nothing.
    drop(File::open(log).and_then(|file| file.take(OUTPUT_MAX).read_to_end(&mut bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lines of an output that a message shows.
const LINES_MAX: usize = 3;
/// Letters of each of them.
const LETTERS_MAX: usize = 300;

/// What an output says of a failure, to follow other words: the first errors of TensorRT, or its last lines.
fn said(output: &str) -> String {
    let errors = output.lines().filter_map(|line| Some(line.split_once("[E] ")?.1.trim()));
    let mut lines: Vec<&str> = errors.filter(|line| !line.is_empty()).take(LINES_MAX).collect();
    if lines.is_empty() {
        let last = output.lines().rev().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("&&&&"));
        lines = last.take(LINES_MAX).collect();
        lines.reverse();
    }
    let line = |line: &&str| {
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        line.chars().map(plain).take(LETTERS_MAX).collect::<String>()
    };
    let lines: Vec<String> = lines.iter().map(line).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    static GO_ON: AtomicBool = AtomicBool::new(false);
    static STOP: AtomicBool = AtomicBool::new(true);

    fn run(script: &str, limit_ms: u64, interrupted: &'static AtomicBool) -> (Result<(), Trouble>, String) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let arguments = ["-c".to_owned(), script.to_owned()];
        let running = Running::start(Path::new("/bin/sh"), &arguments, &log).unwrap();
        let ended = running.end(&Patience { limit: Duration::from_nanos(limit_ms * 1_000_000), interrupted });
        (ended, output(&log))
    }

    /// Whether there is a process with this id that is not just waited for.
    fn is_alive(process: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
        status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    }

    #[test]
    fn what_a_program_prints_and_how_it_ends_is_told() {
        assert_eq!(run("echo good; echo more >&2", 60_000, &GO_ON), (Ok(()), "good\nmore\n".into()));
        let (ended, _) = run("echo first; echo last; exit 3", 60_000, &GO_ON);
        assert_eq!(ended, Err(Trouble::Failed("`/bin/sh` failed (exit code 3): first; last".into())));
        let (ended, _) = run("echo '[01/01] [E] Error 1: no'; echo '[E] '; echo '&&&& FAILED'; exit 1", 60_000, &GO_ON);
        assert_eq!(ended, Err(Trouble::Failed("`/bin/sh` failed (exit code 1): Error 1: no".into())));
    }

    #[test]
    fn what_takes_too_long_is_killed_with_all_that_it_has_started() {
        let (ended, printed) = run("sleep 1000 & echo $!; echo waiting; wait", 300, &GO_ON);
        let Err(Trouble::Failed(reason)) = ended else { panic!("{ended:?}") };
        assert!(reason.contains("did not end within 0 s and was stopped: "), "{reason}");
        assert!(!is_alive(printed.lines().next().unwrap()), "{printed}");
        let (ended, _) = run("sleep 1000", 60_000, &STOP);
        assert_eq!(ended, Err(Trouble::Interrupted));
    }

    #[test]
    fn a_program_is_waited_for_until_it_says_something() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let start = |script: &str| Running::start(Path::new("/bin/sh"), &["-c".into(), script.into()], &log).unwrap();
        let patience = Patience { limit: Duration::from_nanos(60_000_000_000), interrupted: &GO_ON };
        let mut running = start("echo $$; echo Starting inference; sleep 1000");
        running.print("Starting inference", &patience).unwrap();
        assert_eq!(running.code(), Ok(None));
        let process = output(&log).lines().next().unwrap().to_owned();
        assert!(is_alive(&process));
        drop(running);
        assert!(!is_alive(&process));
        let mut running = start("echo nothing");
        assert!(matches!(running.print("Starting inference", &patience), Err(Trouble::Failed(_))));
    }
}
