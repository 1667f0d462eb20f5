//! `coinfer completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Error, Terminal};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  coinfer completions bash > ~/.local/share/bash-completion/completions/coinfer")]
pub(super) struct Completions {
    /// Shell to write for
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "coinfer", &mut script);
        Ok(terminal.print(script)?)
    }
}
