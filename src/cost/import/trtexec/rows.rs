//! The rows of a profile: which are layers, which are layout changes, and which belong to a DLA.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::super::Class;
use super::super::build::{At, TraceBuilder, fault};
use super::super::name::{Fused, Names, brief, foreign_node, fused, profile, segment};
use super::information::Information;
use super::log::Log;

/// The share of a DLA's time below which the row of its network is the submission only.
const SUBMISSION: f64 = 0.05;

/// A row of a profile.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileRow {
    /// As TensorRT names it.
    pub(super) name: String,
    /// Milliseconds, summed over the iterations.
    pub(super) time_ms: f64,
    /// Milliseconds of an iteration.
    pub(super) average_ms: Option<f64>,
    /// Median milliseconds of an iteration.
    pub(super) median_ms: Option<f64>,
}

/// The rows of the one optimisation profile that was run.
pub(super) fn of_one_profile(rows: &[(At, ProfileRow)], builder: &mut TraceBuilder) -> Option<Vec<(At, ProfileRow)>> {
    let busy: BTreeSet<u32> =
        rows.iter().filter(|(_, row)| row.time_ms > 0.0).map(|(_, row)| profile(&row.name).1).collect();
    if busy.len() > 1 {
        let second = rows.iter().find(|(_, row)| row.time_ms > 0.0 && Some(&profile(&row.name).1) != busy.first());
        if let Some((at, _)) = second {
            let cause = "the file has times of several optimisation profiles";
            builder.refuse(at.source, fault(at.line, cause, "export one at a time, with --useProfile"));
        }
        return None;
    }
    let used = busy.first().copied();
    let mut kept = vec![];
    for (at, row) in rows {
        let other = used.is_some_and(|used| profile(&row.name).1 != used);
        if other {
            builder.reading(*at, &row.name, Class::Dropped, "of an optimisation profile that was not run", Some(0.0));
        } else {
            kept.push((*at, row.clone()));
        }
    }
    Some(kept)
}

/// Layers in order of execution, with milliseconds of an iteration.
pub(super) struct Layers {
    /// Where each was found, its name in the trace, and its time.
    pub(super) rows: Vec<(At, String, f64)>,
}

impl Layers {
    /// The layers of a profile.
    pub(super) fn read(
        rows: &[(At, ProfileRow)],
        iterations: f64,
        information: &Information,
        log: &Log,
        builder: &mut TraceBuilder,
    ) -> Layers {
        let groups = groups(rows, information, log);
        let (mut names, mut layers, mut edges) = (Names::default(), vec![], BTreeMap::new());
        let mut index = 0;
        while index < rows.len() {
            if let Some(group) = groups.get(&index) {
                layers.extend(fold(&rows[index..*group], iterations, &mut names, builder));
                index = *group;
                continue;
            }
            let (at, row) = &rows[index];
            let time_ms = row.time_ms / iterations;
            let mut read = |class, why: String| builder.reading(*at, &row.name, class, why, Some(time_ms));
            let full_name = profile(&row.name).0;
            if is_wait(full_name, &information.layer_type(&row.name)) {
                read(Class::Dropped, "waits for another stream or device".to_owned());
            } else if let Some(edge) = edge(full_name) {
                read(Class::Reformat, format!("the edge `{edge}`, no layer"));
                let known = *edges.entry(edge).or_insert_with_key(|edge| {
                    layers.push((*at, names.unique(edge), 0.0));
                    layers.len() - 1
                });
                layers[known].2 += time_ms;
            } else if is_copy(full_name) {
                read(Class::Transfer, "a copy to or from a DLA without a network around it".to_owned());
                builder.note(format!(
                    "`{}` copies for a DLA outside of any of its networks; it was left out",
                    brief(full_name)
                ));
            } else {
                let fused = of_nodes(fused(full_name), &information.onnx_nodes(&row.name));
                let class = if information.is_reformat(&row.name) { Class::Reformat } else { Class::Layer };
                let name = names.unique(&fused.layer);
                let placement = log.placement(full_name, &fused.members);
                let of =
                    if fused.members.len() > 1 { format!(" of {}", fused.members.join(", ")) } else { String::new() };
                read(class, format!("`{name}`{of}{placement}"));
                layers.push((*at, name, time_ms));
            }
            index += 1;
        }
        Layers { rows: layers }
    }

    /// Milliseconds of all together.
    pub(super) fn total_ms(&self) -> f64 {
        self.rows.iter().map(|(_, _, time_ms)| time_ms).sum()
    }
}

/// The layer by the nodes of its metadata, where its name has none of them, as those of fused kernels.
fn of_nodes(fused: Fused, nodes: &[String]) -> Fused {
    let known = nodes.is_empty() || fused.members.iter().any(|member| nodes.contains(member));
    if known { fused } else { Fused { layer: segment(nodes), members: nodes.to_vec() } }
}

/// The edge that a layout change lies on.
fn edge(name: &str) -> Option<String> {
    let rest = name.strip_prefix("Reformatting CopyNode for ")?;
    let (direction, rest) = rest.split_once(' ')?;
    let target = rest.split_once(" to ").map_or(rest, |(_, target)| target);
    let target = fused(target).layer;
    Some(if direction == "Output" { format!("reformat out of {target}") } else { format!("reformat into {target}") })
}

fn is_wait(name: &str, layer_type: &str) -> bool {
    let name = name.to_lowercase();
    ["signal", "wait"].iter().any(|word| {
        layer_type == *word
            || name == *word
            || name.ends_with(&format!(" {word}"))
            || name.starts_with(&format!("{word} "))
    })
}

fn is_copy(name: &str) -> bool {
    [" to nvm", " from nvm", " copy finish"].iter().any(|ending| name.ends_with(ending))
}

/// Where each network of a DLA begins, with its copies, and where it ends.
fn groups(rows: &[(At, ProfileRow)], information: &Information, log: &Log) -> BTreeMap<usize, usize> {
    let name = |index: usize| rows.get(index).map(|(_, row)| profile(&row.name).0).unwrap_or_default();
    let mut groups = BTreeMap::new();
    let mut index = 0;
    while index < rows.len() {
        let mut node = index;
        while name(node).ends_with(" to nvm") {
            node += 1;
        }
        let is_node = foreign_node(name(node)).is_some();
        let mut end = node + 1;
        while name(end).ends_with(" from nvm") || name(end).ends_with(" copy finish") {
            end += 1;
        }
        let full_name = rows.get(node).map(|(_, row)| row.name.as_str()).unwrap_or_default();
        let on_dla =
            node > index || end > node + 1 || log.is_dla(name(node)) || information.layer_type(full_name) == "dla";
        if is_node && on_dla {
            groups.insert(index, end);
            index = end;
        } else {
            index = node.max(index + 1);
        }
    }
    groups
}

/// One segment of the rows of a DLA's network.
fn fold(
    rows: &[(At, ProfileRow)],
    iterations: f64,
    names: &mut Names,
    builder: &mut TraceBuilder,
) -> Option<(At, String, f64)> {
    let (at, node) = rows.iter().find(|(_, row)| foreign_node(profile(&row.name).0).is_some())?;
    let name = names.unique(&fused(&node.name).layer);
    let total: f64 = rows.iter().map(|(_, row)| row.time_ms).sum();
    for (at, row) in rows {
        let full_name = profile(&row.name).0;
        let part = if full_name.ends_with(" to nvm") {
            "the copy of an input"
        } else if full_name.ends_with(" from nvm") {
            "the copy of an output, and waiting for it"
        } else if full_name.ends_with(" copy finish") {
            "the end of a copy"
        } else {
            "the submission of its work"
        };
        builder.reading(
            *at,
            &row.name,
            Class::DlaGroup,
            format!("part of `{name}`: {part}"),
            Some(row.time_ms / iterations),
        );
    }
    if node.time_ms < SUBMISSION * total {
        builder.note(format!(
            "`{name}` ran on a DLA; its own row is {:.1} % of its group: work is only submitted there, and waited for \
             in the copy of the first output. The whole group is one segment.",
            100.0 * node.time_ms / total
        ));
    }
    Some((*at, name, total / iterations))
}
