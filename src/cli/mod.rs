//! The command line: one file for each command, and what they share.

mod agent;
mod calibrate;
mod caught;
mod check;
mod completions;
mod export;
mod file;
mod hardware;
mod journal;
mod links;
mod material;
mod merge;
mod models;
mod network;
mod plan;
mod plot;
mod profile;
mod replay;
mod report;
mod results;
mod run;
mod schema;
mod sensitivity;
mod stopwatch;
mod sweep;
mod terminal;
mod theory;
mod visits;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::output::FolderError;
use crate::scenario::Diagnostics;
use terminal::Terminal;

/// Simulates cooperative DNN inference on heterogeneous devices.
///
/// A scenario file says what to run, where and how; strategies decide who computes what, and the simulation says how
/// long it takes and how far that is from the best.
#[derive(Debug, Parser)]
#[command(
    name = "coinfer",
    version,
    after_help = "Example:\n  coinfer run scenarios/kcc2020-vgg16.toml\n\n\
    Exit codes:\n  0 done, 1 failed, 2 wrong input, 3 some results of a sweep failed, 4 a replay is\n  inconclusive, 130 interrupted"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Clone, Copy, Debug, Args)]
struct Verbosity {
    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print what is done and how long planning takes
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate each strategy of a scenario and compare them
    Run(run::Run),
    /// Simulate a scenario at every point of its sweep
    Sweep(sweep::Sweep),
    /// Say how far results change with constants of a scenario
    Sensitivity(sensitivity::Sensitivities),
    /// Join the parts of a sweep that several machines have done
    Merge(merge::Merge),
    /// Print the plan of one strategy as JSON
    Plan(plan::Plan),
    /// Check a scenario, the traces it names, and a plan for it
    Check(check::Check),
    /// Measure the networks of a scenario on the cores of this machine
    Profile(profile::Profile),
    /// Run a plan on the cores of this machine, and compare the times with the prediction
    Replay(replay::Replay),
    /// Let programs on other machines run parts of networks on the cores of this one
    Agent(agent::Agent),
    /// Say how far profiles can be trusted, and which form costs have
    Calibrate(calibrate::Calibrate),
    /// Draw figures of a results folder
    Plot(plot::Plot),
    /// Write a results folder as one HTML page
    Report(report::Report),
    /// List the networks that are known by name, or the layers of one
    Models(models::Models),
    /// Hold the simulation against queueing theory
    Theory(theory::Theory),
    /// Write a network, or a part of it, as an ONNX file
    Export(export::Export),
    /// Print the JSON schema of scenario files, for completion in editors
    Schema(schema::Schema),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

/// The scenario that a command works on.
#[derive(Clone, Debug, Args)]
struct ScenarioArgs {
    /// Scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: std::path::PathBuf,
    /// Set a value of the scenario, such as load.offline.samples=100; entries of lists go by their name
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
enum Error {
    /// The input is wrong: exit code 2.
    Input(Diagnostics),
    /// The input is wrong in a way that has no place in a scenario: exit code 2.
    Usage(String),
    /// Something failed that the user may not be to blame for: exit code 1.
    Failed(String),
    /// A device on another machine is gone: exit code 1.
    Gone {
        /// Its name.
        device: String,
        /// What was seen of it last.
        reason: String,
    },
    /// Some results are there and others are not: exit code 3.
    Partial(String),
    /// All was done, and the machine was not steady enough to judge predictions: exit code 4.
    Inconclusive(String),
    /// The user has asked to stop: exit code 130.
    Interrupted,
    /// As `Interrupted`, and what can be done about it.
    Stopped(String),
    /// Whoever read our output has gone: nothing is left to say.
    OutputClosed,
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Error {
        Error::Input(diagnostics)
    }
}

impl From<FolderError> for Error {
    fn from(error: FolderError) -> Error {
        Error::Failed(error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Error::OutputClosed,
            _ => Error::Failed(format!("cannot write the output: {error}")),
        }
    }
}

/// The exit code after Ctrl-C, as shells have it: 128 and the number of the signal.
const INTERRUPTED_CODE: u8 = 130;

/// Runs the command that the process was started with.
///
/// Exit codes: 0 done, 1 the run failed, 2 the input is wrong, 3 some results of a sweep failed and the others are
/// there, 4 a replay is inconclusive, 130 interrupted.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.verbosity.quiet, cli.verbosity.verbose);
    let outcome = match cli.command {
        Command::Run(command) => command.execute(&terminal),
        Command::Sweep(command) => command.execute(&terminal),
        Command::Sensitivity(command) => command.execute(&terminal),
        Command::Merge(command) => command.execute(&terminal),
        Command::Plan(command) => command.execute(&terminal),
        Command::Check(command) => command.execute(&terminal),
        Command::Profile(command) => command.execute(&terminal),
        Command::Replay(command) => command.execute(&terminal),
        Command::Agent(command) => command.execute(&terminal),
        Command::Calibrate(command) => command.execute(&terminal),
        Command::Plot(command) => command.execute(&terminal),
        Command::Report(command) => command.execute(&terminal),
        Command::Models(command) => command.execute(&terminal),
        Command::Theory(command) => command.execute(&terminal),
        Command::Export(command) => command.execute(&terminal),
        Command::Schema(command) => command.execute(&terminal),
        Command::Completions(command) => command.execute(&terminal),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Input(diagnostics)) => {
            terminal.error(diagnostics.render(terminal.is_colored()).trim_end());
            ExitCode::from(2)
        }
        Err(Error::Usage(message)) => terminal.fail(&message, 2),
        Err(Error::Failed(message)) => terminal.fail(&message, 1),
        Err(Error::Gone { device, reason }) => terminal.fail(&format!("`{device}` was lost: {reason}"), 1),
        Err(Error::Partial(message)) => terminal.fail(&message, 3),
        Err(Error::Inconclusive(message)) => terminal.fail(&message, 4),
        Err(Error::Interrupted) => terminal.fail("interrupted", INTERRUPTED_CODE),
        Err(Error::Stopped(message)) => terminal.fail(&format!("interrupted; {message}"), INTERRUPTED_CODE),
        Err(Error::OutputClosed) => ExitCode::SUCCESS,
    }
}
