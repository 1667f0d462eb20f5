//! `coinfer sweep --slurm`: a job array for Slurm, and a job after it that joins its parts.

use super::again::quoted;
use super::cluster::{SweepParts, run};
use crate::cli::{Error, Terminal};

/// Indices of arrays are less than this unless Slurm's administrator says otherwise.
const ARRAY_SIZE_MAX: usize = 1001;

/// Writes the scripts; submits them if asked to.
pub(super) fn slurm(parts: &SweepParts, options: &[String], submit: bool, terminal: &Terminal) -> Result<(), Error> {
    let array_max = array_size_max() - 1;
    if parts.count > array_max {
        return Err(Error::Usage(format!(
            "Slurm takes at most {array_max} parts here (MaxArraySize {}); use fewer, each has as many points as needed",
            array_max + 1
        )));
    }
    let options: Vec<String> = options.iter().map(|option| directive(option)).collect::<Result<_, _>>()?;
    let cpus = parts.jobs.map(|jobs| format!("#SBATCH --cpus-per-task={jobs}\n")).unwrap_or_default();
    let head = |name: &str, log: &str, more: &str| {
        let log = parts.path("").to_string_lossy().replace('%', "%%") + log;
        let (name, log, options) = (quoted(name), quoted(&log), options.concat());
        format!("#!/bin/sh\n#SBATCH --job-name={name}\n#SBATCH --output={log}\n{more}{options}")
    };
    let array = head(&parts.name, "%a.log", &format!("#SBATCH --array=1-{}\n{cpus}", parts.count));
    let jobs = "\"${SLURM_CPUS_PER_TASK:-1}\"";
    let array = parts.write("slurm.sh", &(array + &parts.part_lines("$SLURM_ARRAY_TASK_ID", jobs)))?;
    let merge = head(&format!("{}-merge", parts.name), "merge.log", "");
    let merge = parts.write("slurm-merge.sh", &(merge + &parts.merge_lines()))?;
    let (array, merge) = (array.to_string_lossy(), merge.to_string_lossy());
    if !submit {
        terminal.print(format!(
            "sbatch {}\nsbatch --dependency=afterok:<its job id> {}\n",
            quoted(&array),
            quoted(&merge)
        ))?;
        return Ok(());
    }
    let array_id = submitted(&["--parsable", &array])?;
    let dependency = format!("--dependency=afterok:{array_id}");
    let merge_id = submitted(&["--parsable", &dependency, "--kill-on-invalid-dep=yes", &merge])?;
    terminal.print(format!("{array_id}\n{merge_id}\n"))?;
    let log = parts.path("merge.log");
    let count = parts.count;
    terminal.tell(&format!(
        "job {array_id} does {count} parts; job {merge_id} joins them and says where, in `{}`",
        log.display()
    ));
    Ok(())
}

/// Submits a script and returns the id of its job.
fn submitted(arguments: &[&str]) -> Result<String, Error> {
    let printed = run("sbatch", arguments, "Slurm")?;
    // With several clusters, the name of the one follows.
    let id = printed.trim().split(';').next().unwrap_or_default();
    match id.parse::<u64>() {
        Ok(_) => Ok(id.to_owned()),
        Err(_) => Err(Error::Failed(format!("`sbatch` printed `{}`, which is no job id", printed.trim()))),
    }
}

/// What Slurm is configured to, if it is here.
fn array_size_max() -> usize {
    let configured = run("scontrol", &["show", "config"], "Slurm").ok().and_then(|text| {
        let line = text.lines().find(|line| line.trim_start().starts_with("MaxArraySize"))?;
        line.split_once('=')?.1.trim().parse().ok()
    });
    configured.filter(|&max| max > 1).unwrap_or(ARRAY_SIZE_MAX)
}

/// An option as a line of a script.
fn directive(option: &str) -> Result<String, Error> {
    if option.trim().is_empty() || option.contains(char::is_control) {
        return Err(Error::Usage("--slurm-option needs an option of sbatch, for example partition=short".to_owned()));
    }
    let dashes = if option.starts_with('-') { "" } else { "--" };
    Ok(format!("#SBATCH {dashes}{}\n", option.trim()))
}
