//! `coinfer report`: a results folder as one HTML page.

use std::path::PathBuf;

use clap::Args;

use super::file::write_whole;
use super::material::{read_material, read_provenance};
use super::plot::Selection;
use super::{Error, Terminal};
use crate::figures::html::report_html;
use crate::figures::{Look, Preset, figures};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  coinfer report results/kcc2020-vgg16/1a2b3c4d -o vgg16.html")]
pub(super) struct Report {
    /// Results folder of `run`, `sweep`, `sensitivity`, `replay` or `calibrate`
    #[arg(value_name = "RESULTS")]
    results: PathBuf,
    /// File for the page; RESULTS/report.html if absent
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
}

impl Report {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let material = read_material(&self.results, &self.selection.conditions)?;
        let provenance = read_provenance(&self.results)?;
        if self.selection.against.is_some() {
            let look = Look { against: self.selection.against.clone(), ..Look::default() };
            let needed = |needed| Error::Usage(format!("the report needs {needed}"));
            figures(Preset::Throughput, &material, &look).map_err(needed)?;
        }
        let look = Look { against: self.selection.against, ..Look::default() };
        let output = self.output.unwrap_or_else(|| self.results.join("report.html"));
        write_whole(&output, report_html(&material, &provenance, &look).as_bytes())?;
        Ok(terminal.print(format!("{}\n", output.display()))?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The page of a sweep, or what is wrong, without the folder's path.
    fn check(against: Option<&str>, manifest: &str) -> Result<String, String> {
        let place = tempfile::tempdir().unwrap();
        let results = "b,strategy,samples,makespan_ms,samples_per_s\n1,greedy,1,1,2\n2,greedy,2,1,2\n";
        fs::write(place.path().join("manifest.json"), manifest).unwrap();
        fs::write(place.path().join("results.csv"), results).unwrap();
        let selection = Selection { conditions: vec![], against: against.map(str::to_owned) };
        let report = Report { results: place.path().to_owned(), output: None, selection };
        match report.execute(&Terminal::new(true, false)) {
            Ok(()) => Ok(fs::read_to_string(place.path().join("report.html")).unwrap()),
            Err(Error::Usage(message)) => Err(message.replace(&*place.path().to_string_lossy(), "")),
            Err(other) => panic!("{other:?} is not the user's mistake"),
        }
    }

    const MANIFEST: &str = r#"{"scenario": "vgg16", "command": ["sweep", "a b.toml"], "settings": [["x", "1"]],
        "inputs": [{"path": "a b.toml", "blake3": "af13"}], "seed": 7, "version": "0.1.0", "commit": "c0ffee",
        "created": "WHEN"}"#;

    #[test]
    fn a_page_says_where_results_come_from_but_not_when_they_were_made() {
        let page = check(None, MANIFEST).unwrap();
        for text in ["<h1>vgg16</h1>", "coinfer sweep &#39;a b.toml&#39; --set x=1", "af13", "c0ffee", ">7<", "0.1.0"] {
            assert!(page.contains(text), "{text}");
        }
        assert_eq!(check(None, &MANIFEST.replace("WHEN", "later")).unwrap(), page);
    }

    #[test]
    fn what_cannot_be_shown_is_told() {
        let told = [check(Some("c"), MANIFEST), check(None, "{")].map(Result::unwrap_err);
        insta::assert_snapshot!(told.join("\n"), @"
        the report needs a setting for --against that was swept: b
        `` cannot be read:
          /manifest.json: EOF while parsing an object at line 1 column 1; make the results again
        ");
    }
}
