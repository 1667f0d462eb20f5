//! `coinfer sweep --hyperqueue`: an array of tasks for HyperQueue, watched until all have ended, and joined.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;

use super::cluster::{SweepParts, run};
use crate::cli::hardware::interruption;
use crate::cli::{Error, Terminal};

/// Between two looks at the states of tasks.
const PAUSE: Duration = Duration::from_millis(100);
/// The most that a pause grows to.
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Further errors of tasks are only counted.
const ERRORS_MAX: usize = 3;

/// Submits the parts and waits until all are done.
pub(super) fn hyperqueue(parts: &SweepParts, terminal: &Terminal) -> Result<(), Error> {
    let jobs = parts.jobs.unwrap_or(1).to_string();
    let script = parts.write("hq.sh", &format!("#!/bin/sh\n{}", parts.part_lines("$HQ_TASK_ID", &jobs)))?;
    let id = submit(parts, &script, &jobs)?;
    terminal.tell(&format!("HyperQueue's job {id} does {} parts", parts.count));
    let states = wait(parts, id, terminal)?;
    let failed: Vec<&State> = states.iter().filter(|state| state.state != "finished").collect();
    if failed.is_empty() && states.len() == parts.count {
        return Ok(());
    }
    let errors: Vec<String> = failed
        .iter()
        .take(ERRORS_MAX)
        .map(|State { id, state, error }| format!("part {id} {state}: {}", error.as_deref().unwrap_or("-").trim()))
        .collect();
    Err(Error::Failed(format!(
        "{} of {} parts were not done: {}; logs are `{}`. The same command goes on with what is done",
        parts.count - (states.len() - failed.len()),
        parts.count,
        errors.join("; "),
        parts.path("*.log").display()
    )))
}

fn submit(parts: &SweepParts, script: &Path, jobs: &str) -> Result<u64, Error> {
    #[derive(Deserialize)]
    struct Submitted {
        id: u64,
    }
    let array = format!("1-{}", parts.count);
    // Placeholders are HyperQueue's.
    let log = parts.path("%{TASK_ID}.log");
    let (log, script) = (log.to_string_lossy(), script.to_string_lossy());
    let current = parts.current.to_string_lossy();
    let arguments = [
        "--output-mode",
        "json",
        "submit",
        "--array",
        &array,
        "--name",
        &parts.name,
        "--cpus",
        jobs,
        "--cwd",
        &current,
        "--stdout",
        "none",
        "--stderr",
        &log,
        "--",
        "sh",
        &script,
    ];
    let printed = run("hq", &arguments, "HyperQueue")?;
    let submitted: Submitted = read(&printed)?;
    Ok(submitted.id)
}

/// The state of a task.
#[derive(Debug, Deserialize)]
struct State {
    id: u64,
    state: String,
    #[serde(default)]
    error: Option<String>,
}

impl State {
    fn has_ended(&self) -> bool {
        !["waiting", "running"].contains(&self.state.as_str())
    }
}

/// The states of all tasks once they have ended. `hq` would say of failed ones that all is well, so they are read.
fn wait(parts: &SweepParts, id: u64, terminal: &Terminal) -> Result<Vec<State>, Error> {
    #[derive(Deserialize)]
    struct Job {
        tasks: Vec<State>,
    }
    let stop = interruption();
    let id_text = id.to_string();
    let progress = terminal.progress(parts.count as u64, "parts");
    let mut pause = PAUSE;
    loop {
        let printed = run("hq", &["--output-mode", "json", "job", "info", &id_text], "HyperQueue")?;
        let jobs: Vec<Job> = read(&printed)?;
        let states: Vec<State> = jobs.into_iter().flat_map(|job| job.tasks).collect();
        let ended = states.iter().filter(|state| state.has_ended()).count();
        progress.set_position(ended as u64);
        if ended == states.len() && ended > 0 {
            progress.finish_and_clear();
            return Ok(states);
        }
        if stop.load(Ordering::Relaxed) {
            progress.finish_and_clear();
            return Err(Error::Stopped(format!(
                "HyperQueue's job {id} goes on, unless you enter `hq job cancel {id}`; join its parts with:\n  {}",
                parts.merge_command()
            )));
        }
        sleep(pause);
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}

fn read<'a, T: Deserialize<'a>>(printed: &'a str) -> Result<T, Error> {
    serde_json::from_str(printed)
        .map_err(|error| Error::Failed(format!("`hq` printed what this version of coinfer cannot read: {error}")))
}
