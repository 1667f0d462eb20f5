//! `coinfer theory`: holds the engine against theory, case by case.

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use super::{Error, Terminal};
use crate::theory::{Agreement, TheoryCase, cases, theory_csv, theory_json, theory_markdown, theory_table};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer theory\n  coinfer theory --case M/M/1 --seeds 20\n  \
                        coinfer theory --seeds 100 --format markdown > theory.md\n\n\
                        Exit codes: 0 all cases agree, 1 a case is outside its limits")]
pub(super) struct Theory {
    /// Seeds of each case; each has an interval of its own, and together they show the bias
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    seeds: u32,
    /// Only cases whose names contain this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    case: String,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, in 80 columns
    Table,
    /// A document
    Markdown,
    /// One line a result
    Csv,
    /// One object
    Json,
}

impl Theory {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let known: Vec<TheoryCase> = cases();
        let chosen: Vec<&TheoryCase> = known.iter().filter(|case| case.name.contains(&self.case)).collect();
        if chosen.is_empty() {
            let mut names: Vec<&str> = known.iter().map(|case| case.name.as_str()).collect();
            names.dedup();
            return Err(Error::Usage(format!(
                "no case has `{}` in its name; there are {}",
                self.case,
                names.join(", ")
            )));
        }
        let agreements = self.run(&chosen, terminal)?;
        terminal.print(match self.format {
            Format::Table => theory_table(&agreements, terminal.is_bold()).into_bytes(),
            Format::Markdown => theory_markdown(&agreements).into_bytes(),
            Format::Csv => theory_csv(&agreements),
            Format::Json => theory_json(&agreements).into_bytes(),
        })?;
        match agreements.iter().filter(|agreement| !agreement.is_within()).count() {
            0 => Ok(()),
            count => Err(Error::Failed(format!("{count} of {} figures are outside their limits", agreements.len()))),
        }
    }

    fn run(&self, chosen: &[&TheoryCase], terminal: &Terminal) -> Result<Vec<Agreement>, Error> {
        let progress = terminal.progress(chosen.len() as u64 * u64::from(self.seeds), "runs");
        let runs: Result<Vec<Vec<Vec<f64>>>, String> = (0..chosen.len() * self.seeds as usize)
            .into_par_iter()
            .map(|index| {
                let (case, seed) = (chosen[index / self.seeds as usize], index % self.seeds as usize);
                let run = case.run(seed as u64);
                progress.inc(1);
                run
            })
            .collect();
        progress.finish_and_clear();
        let runs = runs.map_err(Error::Failed)?;
        let of_case = |(case, runs): (&&TheoryCase, &[Vec<Vec<f64>>])| Agreement::of(case, runs);
        Ok(chosen.iter().zip(runs.chunks(self.seeds as usize)).flat_map(of_case).collect())
    }
}
