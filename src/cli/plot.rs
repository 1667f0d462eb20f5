//! `coinfer plot`: draws figures of a results folder.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::file::{read_up_to, write_whole};
use super::material::{csv_faults, read_material};
use super::{Error, Terminal};
use crate::figures::{
    self, Figure, Look, Material, Preset, PublishedError, PublishedPoint, figures, read_published_csv,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer plot results/kcc2020-vgg16/1a2b3c4d\n  \
                        coinfer plot results/kcc2020-vgg16/1a2b3c4d --figure timeline --where strategy=greedy \
                        --width column -o fig3.svg\n  coinfer plot results/ksc2022-mobilenet/sweep-1a2b3c4d \
                        --figure gain --where strategy=gpu --where strategy=gpu+dla --published \
                        docs/ksc2022-published.csv")]
pub(super) struct Plot {
    /// Results folder of `run`, `sweep`, `sensitivity`, `replay` or `calibrate`
    #[arg(value_name = "RESULTS")]
    results: PathBuf,
    /// Which figure; `all` draws those that the results have what it takes for
    #[arg(long, value_name = "PRESET", default_value = "all", value_parser = choice())]
    figure: Choice,
    /// Width of the figures
    #[arg(long, value_enum, default_value_t = Width::Page)]
    width: Width,
    /// File for the figure; without it, figures go into RESULTS under the names of their presets
    #[arg(short, long, value_name = "FILE.svg")]
    output: Option<PathBuf>,
    /// Published values to show beside the results, in `gain` and `throughput`: a column with the swept setting, as
    /// results.csv calls it, and one for each strategy
    #[arg(long, value_name = "FILE.csv")]
    published: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
}

/// Which results are shown, and along what.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Selection {
    /// Show only results with this value, such as strategy=greedy or link.bandwidth="1 GB/s"; of a KEY that is given
    /// several times, each of its values
    #[arg(long = "where", value_name = "KEY=VALUE", value_parser = condition)]
    pub(super) conditions: Vec<(String, String)>,
    /// Swept setting to the right; the one with the most numbers if absent
    #[arg(long, value_name = "KEY")]
    pub(super) against: Option<String>,
}

/// How wide figures are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Width {
    /// 88 mm (3.5 inches)
    Column,
    /// 180 mm (7 inches)
    #[default]
    Page,
}

/// One preset, or all that fit.
type Choice = Option<Preset>;

fn choice() -> impl TypedValueParser<Value = Choice> {
    let presets = Preset::ALL.map(|preset| PossibleValue::new(preset.name()).help(preset.meaning()));
    let values = [PossibleValue::new("all").help("All that fit")].into_iter().chain(presets);
    PossibleValuesParser::new(values).map(|name| Preset::ALL.into_iter().find(|preset| preset.name() == name))
}

fn condition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("use KEY=VALUE, such as strategy=greedy")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl Plot {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let material = read_material(&self.results, &self.selection.conditions)?;
        let width = match self.width {
            Width::Column => figures::Width::Column,
            Width::Page => figures::Width::Page,
        };
        let published = self.published(&material)?;
        let look = Look { width, against: self.selection.against.clone(), published };
        let drawn = match self.figure {
            Some(preset) => {
                figures(preset, &material, &look).map_err(|needed| needs(preset, &self.results, &needed))?
            }
            None => all(&material, &look, &self.results, terminal)?,
        };
        for (path, figure) in places(&self, drawn)? {
            write_whole(&path, figure.svg.as_bytes())?;
            terminal.print(format!("{}\n", path.display()))?;
        }
        Ok(())
    }

    fn published(&self, material: &Material) -> Result<Vec<PublishedPoint>, Error> {
        let Some(path) = &self.published else { return Ok(Vec::new()) };
        if let Some(preset) = self.figure.filter(|preset| !preset.has_published()) {
            let names = Preset::ALL.into_iter().filter(|preset| preset.has_published()).map(Preset::name);
            let names = names.collect::<Vec<_>>().join("` or `");
            return Err(Error::Usage(format!("--published: `{}` does not show it; draw `{names}`", preset.name())));
        }
        let bytes = read_up_to(path, PUBLISHED_MAX).map_err(|cause| Error::Usage(format!("--published: {cause}")))?;
        let needs = |needed: &str| {
            Error::Usage(format!("--published cannot be shown with `{}`: it needs {needed}", self.results.display()))
        };
        let table = material.results.as_ref().ok_or_else(|| needs("results.csv; `coinfer sweep SCENARIO` makes it"))?;
        read_published_csv(&bytes, table, self.selection.against.as_deref()).map_err(|error| match error {
            PublishedError::Sweep(needed) => needs(&needed),
            PublishedError::File(faults) => Error::Usage(format!(
                "`{}` cannot be read:\n  {}",
                path.display(),
                csv_faults(path, &faults).join("\n  ")
            )),
        })
    }
}

/// Published values are fewer bytes.
const PUBLISHED_MAX: u64 = 1 << 20;

fn needs(preset: Preset, results: &Path, needed: &str) -> Error {
    Error::Usage(format!("`{}` cannot be drawn of `{}`: it needs {needed}", preset.name(), results.display()))
}

/// All figures that fit; `terminal` hears what others need.
fn all(material: &Material, look: &Look, results: &Path, terminal: &Terminal) -> Result<Vec<Figure>, Error> {
    let mut drawn = Vec::new();
    let mut missing = Vec::new();
    for preset in Preset::ALL {
        match figures(preset, material, look) {
            Ok(found) => drawn.extend(found),
            Err(needed) => missing.push(format!("{} needs {needed}", preset.name())),
        }
    }
    if drawn.is_empty() {
        let missing = missing.join("\n  ");
        return Err(Error::Usage(format!("there is nothing to draw in `{}`:\n  {missing}", results.display())));
    }
    missing.iter().for_each(|needed| terminal.tell_more(|| format!("not drawn: {needed}")));
    Ok(drawn)
}

/// Where each figure goes.
fn places(plot: &Plot, drawn: Vec<Figure>) -> Result<Vec<(PathBuf, Figure)>, Error> {
    let Some(output) = &plot.output else {
        let place = |figure: Figure| (plot.results.join(format!("{}.svg", figure.path)), figure);
        return Ok(drawn.into_iter().map(place).collect());
    };
    match <[Figure; 1]>::try_from(drawn) {
        Ok([figure]) => Ok(vec![(output.clone(), figure)]),
        Err(drawn) => {
            let paths: Vec<&str> = drawn.iter().map(|figure| figure.path.as_str()).collect();
            Err(Error::Usage(format!(
                "`-o` names one file, but there are {} figures: {}; choose one by --figure, and by --where \
                 strategy=NAME if strategies have one each",
                paths.len(),
                paths.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with these files and a manifest.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [("manifest.json", r#"{"scenario": "vgg16", "seed": null}"#)].iter().chain(files) {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        place
    }

    /// What `coinfer plot` says of a folder with these files, without the folder's path, and the figures there after
    /// it, sorted.
    fn check(files: &[(&str, &str)], figure: Option<Preset>, conditions: &[(&str, &str)]) -> (String, Vec<String>) {
        let place = folder(files);
        let conditions = conditions.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let plot = Plot {
            results: place.path().to_owned(),
            figure,
            width: Width::Column,
            output: None,
            published: None,
            selection: Selection { conditions, against: None },
        };
        let told = message(plot.execute(&Terminal::new(true, false)), place.path());
        let mut found = Vec::new();
        for folder in [place.path().to_owned(), place.path().join("greedy")] {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let names = entries.map(|entry| entry.unwrap().path());
            found.extend(names.filter(|path| path.extension().is_some_and(|extension| extension == "svg")));
        }
        let names = found.iter().map(|path| path.strip_prefix(place.path()).unwrap().display().to_string());
        let mut names: Vec<String> = names.collect();
        names.sort();
        (told, names)
    }

    fn message(outcome: Result<(), Error>, folder: &Path) -> String {
        match outcome {
            Ok(()) => String::new(),
            Err(Error::Usage(message)) => message.replace(&*folder.to_string_lossy(), ""),
            Err(other) => panic!("{other:?} is not the user's mistake"),
        }
    }

    const FINISH: (&str, &str) = ("finish-times.csv", "strategy,device,finish_ms\ngreedy,cpu,1.5\n");
    const RUN: (&str, &str) = ("results.csv", "strategy,samples,makespan_ms,samples_per_s\ngreedy,6,1,2\nlegion,,,\n");
    const SWEEP: (&str, &str) =
        ("results.csv", "b,strategy,samples,makespan_ms,samples_per_s,split_cpu\n1,greedy,1,1,2,1\n2,greedy,2,1,2,1\n");
    const TIMELINE: (&str, &str) = (
        "greedy/timeline.csv",
        "step,lane,device_or_link,device_index,action,model,layers,samples_start,samples_end,rows_start,rows_end,\
         start_ns,end_ns,waited_ns,isolated_ns,basis\n0,0,cpu,0,compute,net,1,0,6,0,8,0,18,0,18,measured\n",
    );
    const LATENCY: (&str, &str) = ("greedy/latency.csv", "latency_ms,count\n1,2\n3,4\n");

    #[test]
    fn all_draws_what_fits_the_folder() {
        let drawn = |files: &[(&str, &str)]| check(files, None, &[]).1.join(" ");
        assert_eq!(drawn(&[FINISH]), "finish-times.svg");
        assert_eq!(drawn(&[RUN, TIMELINE, LATENCY]), "breakdown.svg cdf.svg greedy/timeline.svg");
        assert_eq!(drawn(&[SWEEP, TIMELINE]), "pareto.svg split-heatmap-greedy.svg throughput.svg");
    }

    #[test]
    fn every_preset_says_what_it_needs_and_which_command_makes_it() {
        let told = Preset::ALL.map(|preset| check(&[RUN], Some(preset), &[]));
        assert!(told.iter().all(|(_, drawn)| drawn.is_empty()));
        insta::assert_snapshot!(told.map(|(message, _)| message).join("\n"), @"
        `throughput` cannot be drawn of ``: it needs a sweep over a setting with numbers; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        `speedup` cannot be drawn of ``: it needs a baseline that has a result; `coinfer run SCENARIO` of a scenario with `baseline`
        `gain` cannot be drawn of ``: it needs a sweep over a setting with numbers; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        `finish-times` cannot be drawn of ``: it needs finish-times.csv; `coinfer run SCENARIO` makes it
        `breakdown` cannot be drawn of ``: it needs <strategy>/timeline.csv; `coinfer run SCENARIO` makes it
        `timeline` cannot be drawn of ``: it needs <strategy>/timeline.csv; `coinfer run SCENARIO` makes it
        `cdf` cannot be drawn of ``: it needs <strategy>/latency.csv; `coinfer run SCENARIO` makes it if the load has queries, as `single_stream`, `multi_stream` and `server` have
        `pareto` cannot be drawn of ``: it needs a sweep; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        `search` cannot be drawn of ``: it needs the column search_s in results.csv; `coinfer run SCENARIO` of a scenario with `[profiling]`
        `split-heatmap` cannot be drawn of ``: it needs a sweep over a setting with numbers; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        `accuracy` cannot be drawn of ``: it needs replay.json or predicted-measured.csv; `coinfer run SCENARIO --replay` or `coinfer calibrate TRACE` makes one
        `tornado` cannot be drawn of ``: it needs sensitivity.csv; `coinfer sensitivity SCENARIO --vary KEY` makes it
        ");
        insta::assert_snapshot!(check(&[], None, &[]).0, @"
        there is nothing to draw in ``:
          throughput needs results.csv; `coinfer sweep SCENARIO` makes it
          speedup needs results.csv; `coinfer sweep SCENARIO` makes it
          gain needs results.csv; `coinfer sweep SCENARIO` makes it
          finish-times needs finish-times.csv; `coinfer run SCENARIO` makes it
          breakdown needs <strategy>/timeline.csv; `coinfer run SCENARIO` makes it
          timeline needs <strategy>/timeline.csv; `coinfer run SCENARIO` makes it
          cdf needs <strategy>/latency.csv; `coinfer run SCENARIO` makes it if the load has queries, as `single_stream`, `multi_stream` and `server` have
          pareto needs results.csv; `coinfer sweep SCENARIO` makes it
          search needs results.csv; `coinfer sweep SCENARIO` makes it
          split-heatmap needs results.csv; `coinfer sweep SCENARIO` makes it
          accuracy needs replay.json or predicted-measured.csv; `coinfer run SCENARIO --replay` or `coinfer calibrate TRACE` makes one
          tornado needs sensitivity.csv; `coinfer sensitivity SCENARIO --vary KEY` makes it
        ");
    }

    #[test]
    fn results_are_chosen_by_the_values_of_columns() {
        let told = |conditions: &[(&str, &str)]| check(&[SWEEP], Some(Preset::Pareto), conditions).0;
        insta::assert_snapshot!([told(&[("b", "1")]), told(&[("strategy", "legion")]), told(&[("x", "1")])].join("\n"), @"
        `pareto` cannot be drawn of ``: it needs a sweep; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        --where: `strategy` is nowhere `legion`; it is greedy
        --where: no column is called `x`; name one of b, strategy
        ");
        assert_eq!(check(&[RUN, TIMELINE, FINISH], None, &[("strategy", "greedy")]).1.len(), 3);
        let none = check(&[RUN, TIMELINE, FINISH], None, &[("strategy", "legion")]);
        assert_eq!(none.1, Vec::<String>::new());
    }

    #[test]
    fn effects_are_chosen_by_strategy_and_constant() {
        let figures = "20,1 s,2 s,3 s,speedup,1,2,3,-50,50,100,";
        let header = "strategy,key,by_percent,value_low,value_base,value_high,figure,figure_low,figure_base,figure_high,\
                      change_low_percent,change_high_percent,swing_percent,error";
        let csv = format!("{header}\na,x,{figures}\na,y,{figures}\nb,x,{figures}\n");
        let files = [("sensitivity.csv", &*csv)];
        assert_eq!(check(&files, None, &[]).1, ["tornado-a.svg", "tornado-b.svg"]);
        assert_eq!(check(&files, None, &[("strategy", "a"), ("key", "y")]).1, ["tornado.svg"]);
        assert_eq!(check(&files, None, &[("strategy", "a"), ("strategy", "b")]).1, ["tornado-a.svg", "tornado-b.svg"]);
        let told = |conditions: &[(&str, &str)]| check(&files, None, conditions).0;
        insta::assert_snapshot!([told(&[("strategy", "c")]), told(&[("b", "1")])].join("\n"), @"
        --where: `strategy` is nowhere `c` in sensitivity.csv
        --where: no column to choose by is called `b`; name strategy or key
        ");
    }

    #[test]
    fn faults_of_all_files_are_told_and_nothing_is_drawn() {
        let finish = format!("strategy,device,finish_ms\n{}", "greedy,cpu,x\n".repeat(22));
        let files = [RUN, ("finish-times.csv", &*finish), ("greedy/timeline.csv", "step"), ("replay.json", "{")];
        let (message, drawn) = check(&files, None, &[]);
        assert_eq!(drawn, Vec::<String>::new());
        let lines: Vec<&str> = message.lines().collect();
        insta::assert_snapshot!([lines[0], lines[1], lines[21], lines[22], lines[23]].join("\n"), @"
        `` cannot be read:
          /greedy/timeline.csv:1: columns are missing: lane, device_or_link, device_index, action, model, layers, samples_start, samples_end, rows_start, rows_end, start_ns, end_ns, waited_ns, isolated_ns, basis; make the results again, or name these columns: step,lane,device_or_link,device_index,action,model,layers,samples_start,samples_end,rows_start,rows_end,start_ns,end_ns,waited_ns,isolated_ns,basis
          /finish-times.csv:21: `finish_ms` is `x`, not a finite number from 0 on; correct it or make the results again
          /finish-times.csv: and 2 more faults
          /replay.json: EOF while parsing an object at line 1 column 1; make the results again
        ");
    }

    /// What is said of published values in a file with this text, and the figures drawn.
    fn check_published(files: &[(&str, &str)], figure: Option<Preset>, text: &str) -> (String, usize) {
        let place = folder(files);
        let path = place.path().join("paper.csv");
        fs::write(&path, text).unwrap();
        let plot = Plot {
            results: place.path().to_owned(),
            figure,
            width: Width::Column,
            output: None,
            published: Some(path),
            selection: Selection::default(),
        };
        let told = message(plot.execute(&Terminal::new(true, false)), place.path());
        let drawn = fs::read_dir(place.path()).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()));
        (told, drawn.filter(|text| text.as_ref().is_ok_and(|text| text.contains("published\n"))).count())
    }

    #[test]
    fn published_values_are_shown_or_nothing_is_drawn() {
        let right = "b,greedy\n1,2\n";
        assert_eq!(check_published(&[SWEEP], None, right), (String::new(), 1));
        let told = [
            check_published(&[SWEEP], Some(Preset::Throughput), "b,greed\n1,-2\n3,1\n"),
            check_published(&[SWEEP], Some(Preset::Pareto), right),
            check_published(&[RUN], None, right),
            check_published(&[FINISH], None, right),
        ];
        assert!(told.iter().all(|(_, count)| *count == 0));
        insta::assert_snapshot!(told.map(|(told, _)| told).join("\n"), @"
        `/paper.csv` cannot be read:
          /paper.csv:1: nothing in the figure is called `greed`; name `greedy`
          /paper.csv:2: `-2` of `greed` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
          /paper.csv:3: `3` is no value of `b` in the sweep; correct or delete the row, or sweep over this value too
        --published: `pareto` does not show it; draw `throughput` or `gain`
        --published cannot be shown with ``: it needs a sweep over a setting with numbers; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        --published cannot be shown with ``: it needs results.csv; `coinfer sweep SCENARIO` makes it
        ");
    }

    #[test]
    fn one_figure_goes_to_the_file_that_is_named() {
        let place = folder(&[RUN, FINISH, TIMELINE]);
        let output = place.path().join("fig3.svg");
        let plot = |figure| {
            let results = place.path().to_owned();
            let output = Some(output.clone());
            let (width, published) = (Width::Page, None);
            let plot = Plot { results, figure, width, output, published, selection: Selection::default() };
            message(plot.execute(&Terminal::new(true, false)), place.path())
        };
        assert_eq!(plot(Some(Preset::Timeline)), "");
        assert!(fs::read_to_string(&output).unwrap().contains("vgg16: greedy"));
        insta::assert_snapshot!(plot(None), @"`-o` names one file, but there are 3 figures: finish-times, breakdown, greedy/timeline; choose one by --figure, and by --where strategy=NAME if strategies have one each");
    }

    #[test]
    fn what_is_no_results_folder_is_refused() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("plan.json"), "{}").unwrap();
        let told = ["absent", "plan.json", "."].map(|name| {
            let outcome = read_material(&place.path().join(name), &[]).map(|_| ());
            message(outcome, place.path())
        });
        insta::assert_snapshot!(told.join("\n"), @"
        cannot read `/absent`: No such file or directory (os error 2); name a folder that `coinfer run`, `sweep`, `sensitivity`, `replay` or `calibrate` made
        `/plan.json` is no folder; name a folder that `coinfer run`, `sweep`, `sensitivity`, `replay` or `calibrate` made
        `/.` has no manifest.json, so it is no folder of results; name a folder that `coinfer run`, `sweep`, `sensitivity`, `replay` or `calibrate` made
        ");
    }
}
