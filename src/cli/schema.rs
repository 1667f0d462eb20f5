//! `coinfer schema`: the JSON schema of scenario files.

use clap::Args;

use super::{Error, Terminal};
use crate::scenario;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  coinfer schema > docs/scenario.schema.json")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let schema = serde_json::to_string_pretty(&scenario::schema()).expect("a schema is JSON");
        Ok(terminal.print(format!("{schema}\n"))?)
    }
}
