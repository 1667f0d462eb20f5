//! `coinfer profile --link`: how the links of a scenario carry data, measured between agents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{read_up_to, write_whole};
use super::results::now;
use super::{Error, Terminal};
use crate::output::{LINK_MAGIC, LinkReading, link_figures, links_csv};
use crate::platform::DeviceId;
use crate::replay::remote::{Fleet, LinkProbe};
use crate::scenario::Case;
use crate::units::Bytes;

/// Sizes from below a packet's to well above what queues hold.
const SIZES: [u64; 7] = [1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000, 4_000_000];

/// Measures the links of `case` that agents are at, each size `repeats` times and once more before it counts.
pub(super) fn profile_links(
    case: &Case,
    fleet: &Arc<Fleet>,
    repeats: u32,
    output: &Path,
    terminal: &Terminal,
) -> Result<(), Error> {
    check_output(output)?;
    let probe = LinkProbe::new(fleet.clone())?;
    let pairs = pairs(case, &probe);
    if pairs.is_empty() {
        let remedy = "write `agent = { address = \"10.0.0.2:7071\" }` of a device";
        return Err(Error::Usage(format!("no link of the scenario leads to an agent; {remedy}")));
    }
    let progress = terminal.progress(pairs.len() as u64 * SIZES.len() as u64, "sizes");
    let name = |device: DeviceId| case.problem.platform.device(device).name.clone();
    let mut readings = Vec::new();
    for (_, [one, other]) in &pairs {
        for size in SIZES.map(Bytes) {
            let reading = |from: DeviceId, to: DeviceId, both_ways, repeat, time| LinkReading {
                from: name(from),
                to: name(to),
                size,
                both_ways,
                repeat,
                time,
            };
            for repeat in 0..=repeats {
                let forth = probe.send(*one, *other, size)?;
                let back = probe.send(*other, *one, size)?;
                let both = probe.send_both([*one, *other], size)?;
                if repeat > 0 {
                    readings.push(reading(*one, *other, false, repeat, forth));
                    readings.push(reading(*other, *one, false, repeat, back));
                    readings.push(reading(*one, *other, true, repeat, both[0]));
                    readings.push(reading(*other, *one, true, repeat, both[1]));
                }
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    let boards = fleet.devices().filter_map(|device| fleet.info(device));
    let boards: Vec<String> = boards.map(|board| format!("{} at {}", board.name, board.address)).collect();
    let header = [
        ("source", format!("coinfer profile --link, version {}", env!("CARGO_PKG_VERSION"))),
        ("revision", option_env!("COINFER_COMMIT").unwrap_or("not known").to_owned()),
        ("date", now().split('T').next().unwrap_or_default().to_owned()),
        ("agents", boards.join(", ")),
    ];
    write_whole(output, &links_csv(&header, &readings))?;
    terminal.print(format!("{}\n", output.display()))?;
    for (link, [one, other]) in &pairs {
        let Some(figures) = link_figures(&readings, [&name(*one), &name(*other)]) else { continue };
        terminal.print(format!("{}\n  {}\n", figures.toml(link), figures.note()))?;
    }
    Ok(())
}

/// The pairs of devices with a link between them that can be measured, each with the link's name in the scenario.
fn pairs(case: &Case, probe: &LinkProbe) -> Vec<(String, [DeviceId; 2])> {
    let mut pairs: Vec<(String, [DeviceId; 2])> = Vec::new();
    for link in &case.problem.platform.links {
        let ends = [link.from.min(link.to), link.from.max(link.to)];
        if probe.joins(ends[0], ends[1]) && pairs.iter().all(|(_, known)| *known != ends) {
            let name = link.name.split(':').next().unwrap_or(&link.name);
            pairs.push((name.to_owned(), ends));
        }
    }
    pairs
}

/// The file that readings go to if the user names none: beside the scenario.
pub(super) fn links_path(scenario: &Path) -> PathBuf {
    scenario.with_extension("links.csv")
}

/// Only readings of links may be replaced.
fn check_output(path: &Path) -> Result<(), Error> {
    let is_ours = match std::fs::metadata(path) {
        Err(_) => true,
        Ok(found) if found.len() == 0 => true,
        Ok(_) => read_up_to(path, 1 << 28).is_ok_and(|bytes| bytes.starts_with(LINK_MAGIC.as_bytes())),
    };
    let shown = path.display();
    match is_ours {
        true => Ok(()),
        false => Err(Error::Usage(format!("`{shown}` exists and is no profile of links; choose another file with -o"))),
    }
}
