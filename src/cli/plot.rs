//! `coinfer plot`: draws the figures of results again from the CSV beside them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::file::{read_whole, write_whole};
use super::{Error, Terminal};
use crate::report::plot::{self, CsvFault};
use crate::report::slugs;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  coinfer plot results/kcc2020-vgg16/1a2b3c4d")]
pub(super) struct Plot {
    /// Results folder of `run`, `sweep` or `calibrate`, or a CSV file in one: throughput.csv, finish-times.csv,
    /// timeline.csv or predicted-measured.csv
    #[arg(value_name = "RESULTS")]
    results: PathBuf,
}

/// Draws the SVG with a title from the bytes of a CSV file.
type Figure = fn(&str, &[u8]) -> Result<String, Vec<CsvFault>>;

/// The files that have a figure.
const FIGURES: [(&str, Figure); 4] = [
    ("throughput.csv", |title, bytes| Ok(plot::throughput_svg(title, &plot::read_throughput_csv(bytes)?))),
    ("finish-times.csv", |title, bytes| Ok(plot::finish_times_svg(title, &plot::read_finish_times_csv(bytes)?))),
    ("timeline.csv", |title, bytes| Ok(plot::timeline_svg(title, &plot::read_timeline_csv(bytes)?))),
    ("predicted-measured.csv", |title, bytes| Ok(plot::predicted_svg(title, &plot::read_predicted_csv(bytes)?))),
];
/// Further faults of one file are only counted.
const FAULTS_MAX: usize = 20;

impl Plot {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let mut drawn = Vec::new();
        let mut faults = Vec::new();
        for (path, figure) in find(&self.results)? {
            match draw(&path, figure) {
                Ok(svg) => drawn.push((path.with_extension("svg"), svg)),
                Err(found) => faults.extend(found),
            }
        }
        if !faults.is_empty() {
            return Err(Error::Usage(format!("no figure is drawn:\n  {}", faults.join("\n  "))));
        }
        for (path, svg) in drawn {
            write_whole(&path, svg.as_bytes())?;
            terminal.print(format!("{}\n", path.display()))?;
        }
        Ok(())
    }
}

/// The CSV file `results`, or those in this folder and in the folders in it, by name.
fn find(results: &Path) -> Result<Vec<(PathBuf, Figure)>, Error> {
    let shown = results.display();
    let failed = |error| Error::Usage(format!("cannot read `{shown}`: {error}; name a folder that `coinfer run` made"));
    let names = FIGURES.map(|(name, _)| name).join(", ");
    if !fs::metadata(results).map_err(failed)?.is_dir() {
        let figure = FIGURES.iter().find(|(name, _)| results.file_name().is_some_and(|file| file == *name));
        let Some((_, figure)) = figure else {
            return Err(Error::Usage(format!("`{shown}` has no figure; name a results folder or one of {names}")));
        };
        return Ok(vec![(results.to_owned(), *figure)]);
    }
    let mut folders = vec![results.to_owned()];
    for entry in fs::read_dir(results).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Results in the making are in folders whose names begin with a dot.
        if entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            folders.push(entry.path());
        }
    }
    folders.sort();
    let files = folders.iter().flat_map(|folder| FIGURES.map(|(name, figure)| (folder.join(name), figure)));
    let files: Vec<(PathBuf, Figure)> = files.filter(|(path, _)| path.is_file()).collect();
    if files.is_empty() {
        return Err(Error::Usage(format!(
            "there is nothing to draw in `{shown}`; name a results folder, which has one of {names}"
        )));
    }
    Ok(files)
}

/// The SVG of a CSV file, or what is wrong with it, with the file's name.
fn draw(path: &Path, figure: Figure) -> Result<String, Vec<String>> {
    let shown = path.display();
    let bytes = read_whole(path).map_err(|cause| vec![cause])?;
    figure(&title(path), &bytes).map_err(|faults| {
        let mut told: Vec<String> = faults
            .iter()
            .take(FAULTS_MAX)
            .map(|CsvFault { line, cause, remedy }| format!("{shown}:{line}: {cause}; {remedy}"))
            .collect();
        if let Some(more @ 1..) = faults.len().checked_sub(FAULTS_MAX) {
            told.push(format!("{shown}: and {more} more faults"));
        }
        told
    })
}

/// The title that `run` and `sweep` gave the figure: the scenario, and the strategy whose folder `path` is in. Where
/// no file says so, the names of folders.
fn title(path: &Path) -> String {
    let Some(folder) = fs::canonicalize(path).ok().and_then(|path| Some(path.parent()?.to_owned())) else {
        return String::new();
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if let Some(Manifest { scenario }) = read_json(&folder.join("manifest.json")) {
        return scenario;
    }
    let run = folder.parent().unwrap_or(&folder);
    match read_json(&run.join("manifest.json")) {
        Some(Manifest { scenario }) => {
            let strategy = strategy_in(run, &name).unwrap_or(name.into_owned());
            format!("{scenario}: {strategy}")
        }
        None => name.into_owned(),
    }
}

/// The strategy whose folder in `run` has this name.
fn strategy_in(run: &Path, name: &str) -> Option<String> {
    let Summary { mut results } = read_json(&run.join("summary.json"))?;
    let folders = slugs(results.iter().map(|entry| entry.strategy.as_str()));
    let index = folders.iter().position(|folder| folder == name)?;
    Some(results.swap_remove(index).strategy)
}

/// What is needed of `manifest.json`.
#[derive(Deserialize)]
struct Manifest {
    scenario: String,
}

/// What is needed of `summary.json`.
#[derive(Deserialize)]
struct Summary {
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    strategy: String,
}

/// `None` if the file cannot be read or says something else: a figure can be drawn without.
fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `coinfer plot` says of a folder with these files, without the folder's path, and the files after it.
    fn check(files: &[(&str, &str)], results: &str) -> (Result<(), String>, Vec<String>) {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let plot = Plot { results: place.path().join(results) };
        let outcome = plot.execute(&Terminal::new(true, false)).map_err(|error| match error {
            Error::Usage(message) => message.replace(&*place.path().to_string_lossy(), ""),
            other => panic!("{other:?} is not the user's mistake"),
        });
        let svgs = files.iter().map(|(name, _)| place.path().join(name).with_extension("svg"));
        let drawn = svgs.filter_map(|path| fs::read_to_string(path).ok()).collect();
        (outcome, drawn)
    }

    const FINISH: &str = "strategy,device,finish_ms\ngreedy,cpu,1.5\n";
    const TIMELINE: &str = "step,lane,device_or_link,device_index,action,model,layers,samples_start,samples_end,rows_start,\
                            rows_end,start_ns,end_ns,isolated_ns,basis\n0,0,cpu,0,compute,net,1,0,6,0,8,0,18,18,measured\n";

    #[test]
    fn figures_of_a_folder_and_those_in_it_are_drawn_with_the_scenario_as_title() {
        let files = [
            ("manifest.json", r#"{"scenario": "vgg16", "seed": null}"#),
            ("summary.json", r#"{"results": [{"strategy": "Greedy!"}]}"#),
            ("finish-times.csv", FINISH),
            ("greedy/timeline.csv", TIMELINE),
            (".greedy/timeline.csv", TIMELINE),
        ];
        let (outcome, drawn) = check(&files, "");
        assert_eq!((outcome, drawn.len()), (Ok(()), 2));
        assert!(drawn[0].contains("vgg16") && drawn[1].contains("vgg16: Greedy!"));
        for part in ["greedy", "greedy/timeline.csv"] {
            assert_eq!(check(&files, part), (Ok(()), drawn[1..].to_vec()));
        }
    }

    #[test]
    fn faults_of_all_files_are_told_and_nothing_is_drawn() {
        let lines = "greedy,cpu,x\n".repeat(22);
        let finish = format!("strategy,device,finish_ms\n{lines}");
        let files = [("finish-times.csv", FINISH), ("a/finish-times.csv", &*finish), ("b/timeline.csv", "step")];
        let (outcome, drawn) = check(&files, "");
        assert_eq!(drawn, Vec::<String>::new());
        let message = outcome.unwrap_err();
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines.len(), 1 + FAULTS_MAX + 1 + 1);
        insta::assert_snapshot!([lines[0], lines[1], lines[21], lines[22]].join("\n"), @"
        no figure is drawn:
          /a/finish-times.csv:2: `finish_ms` is `x`, not a number of milliseconds from 0 to 1.8e13; correct it or make the results again
          /a/finish-times.csv: and 2 more faults
          /b/timeline.csv:1: columns are missing: lane, device_or_link, device_index, action, model, layers, samples_start, samples_end, rows_start, rows_end, start_ns, end_ns, isolated_ns, basis; make the results again, or name these columns: step,lane,device_or_link,device_index,action,model,layers,samples_start,samples_end,rows_start,rows_end,start_ns,end_ns,isolated_ns,basis
        ");
    }

    #[test]
    fn what_has_no_figures_is_told() {
        let told = |results| check(&[("run/plan.json", "{}")], results).0.unwrap_err();
        insta::assert_snapshot!([told("run"), told("absent"), told("run/plan.json")].join("\n"), @"
        there is nothing to draw in `/run`; name a results folder, which has one of throughput.csv, finish-times.csv, timeline.csv, predicted-measured.csv
        cannot read `/absent`: No such file or directory (os error 2); name a folder that `coinfer run` made
        `/run/plan.json` has no figure; name a results folder or one of throughput.csv, finish-times.csv, timeline.csv, predicted-measured.csv
        ");
    }
}
