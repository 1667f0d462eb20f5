//! Names of layers: clean, unique in a run, and of what a fused layer is made.

use std::collections::{BTreeMap, BTreeSet};

/// Letters of a name that a message shows.
const BRIEF: usize = 80;

/// `name` as a trace can hold it: one line, not empty, and no word that a trace reserves.
pub(super) fn clean(name: &str) -> String {
    let line = one_line(name);
    match line.as_str() {
        "whole" | "io" => format!("{line} (layer)"),
        _ => line,
    }
}

/// `name` on one line, and `unnamed` if there is nothing in it.
pub(super) fn one_line(name: &str) -> String {
    let spaced: String = name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match spaced.trim() {
        "" => "unnamed".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// `name` as a message can show it.
pub(super) fn brief(name: &str) -> String {
    let line = one_line(name);
    match line.char_indices().nth(BRIEF) {
        Some((end, _)) => format!("{}..", line[..end].trim_end()),
        None => line,
    }
}

/// Hands out each name once.
#[derive(Default)]
pub(super) struct Names {
    counts: BTreeMap<String, usize>,
    used: BTreeSet<String>,
}

impl Names {
    /// `name`, or `name_2`, `name_3` and so on if it was handed out before.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let name = clean(name);
        let count = self.counts.entry(name.clone()).or_insert(0);
        loop {
            *count += 1;
            let candidate = if *count == 1 { name.clone() } else { format!("{name}_{count}") };
            if self.used.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

/// A layer as TensorRT names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fused {
    /// The name in the trace.
    pub(super) layer: String,
    /// The layers of the network that it stands for.
    pub(super) members: Vec<String>,
}

/// Takes the name of a TensorRT layer apart.
pub(super) fn fused(name: &str) -> Fused {
    let (name, _) = profile(name);
    if let Some(inside) = foreign_node(name) {
        let separator = if inside.contains("...") { "..." } else { "," };
        let members: Vec<String> = inside.split(separator).map(clean).collect();
        return Fused { layer: segment(&members), members };
    }
    let branches: Vec<&str> = name.split("||").collect();
    let members: Vec<String> = branches.iter().flat_map(|branch| layers(branch)).collect();
    if branches.len() > 1 {
        // Layers side by side are no segment from a first to a last one.
        return Fused { layer: clean(name), members };
    }
    Fused { layer: segment(&members), members }
}

/// The name without `[profile N]`, and that number, which the first optimisation profile does not have.
pub(super) fn profile(name: &str) -> (&str, u32) {
    let split = name.trim().strip_suffix(']').and_then(|rest| rest.rsplit_once("[profile "));
    match split.and_then(|(name, number)| number.trim().parse().ok().map(|number| (name.trim_end(), number))) {
        Some((rest, number)) if !rest.is_empty() => (rest, number),
        _ => (name.trim(), 0),
    }
}

/// What stands in `{ForeignNode[..]}`, and in `{..}` of TensorRT 7.
pub(super) fn foreign_node(name: &str) -> Option<&str> {
    let inside = name.trim().strip_prefix('{')?.strip_suffix('}')?;
    Some(inside.strip_prefix("ForeignNode[").and_then(|inside| inside.strip_suffix(']')).unwrap_or(inside))
}

/// The name of a segment of `members`, which run one after the other.
pub(super) fn segment(members: &[String]) -> String {
    match members {
        [] => "unnamed".to_owned(),
        [only] => only.clone(),
        [first, .., last] => format!("{first}..{last}"),
    }
}

/// The layers of a fused chain, without its constants and, where anything else is left, its quantisation.
fn layers(chain: &str) -> Vec<String> {
    let pieces = chain.split(" + ").flat_map(|part| {
        let inner = part.trim().strip_prefix("PWN(").and_then(|inner| inner.strip_suffix(')'));
        let bare = inner.map(|inner| inner.replace("PWN(", "").replace(')', ""));
        bare.as_deref().unwrap_or(part).split(", ").map(clean).collect::<Vec<_>>()
    });
    let all: Vec<String> = pieces.collect();
    let constant = |name: &String| name.ends_with(".weight") || name.ends_with(".bias");
    let quantisation = |name: &String| name.contains("QuantizeLinear");
    let added = |name: &String| name.contains("(Unnamed Layer*");
    let kept: Vec<String> =
        all.iter().filter(|name| !constant(name) && !quantisation(name) && !added(name)).cloned().collect();
    if kept.is_empty() { all } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, layer: &str, members: &[&str]) {
        let found = fused(name);
        assert_eq!((found.layer.as_str(), found.members), (layer, members.iter().map(|m| m.to_string()).collect()));
    }

    #[test]
    fn fused_names_are_taken_apart() {
        check("Conv_5 + Add_6 + Relu_7", "Conv_5..Relu_7", &["Conv_5", "Add_6", "Relu_7"]);
        check("Conv_5", "Conv_5", &["Conv_5"]);
        check("f.0.weight + QuantizeLinear_8 + Conv_12 + PWN(Clip_16)", "Conv_12..Clip_16", &["Conv_12", "Clip_16"]);
        check("PWN(PWN(Sigmoid_1), Mul_2)", "Sigmoid_1..Mul_2", &["Sigmoid_1", "Mul_2"]);
        check("QuantizeLinear_98", "QuantizeLinear_98", &["QuantizeLinear_98"]);
        check("Conv_1 || Conv_2", "Conv_1 || Conv_2", &["Conv_1", "Conv_2"]);
        check("{ForeignNode[Conv_0...Concat_198]}", "Conv_0..Concat_198", &["Conv_0", "Concat_198"]);
        check("Conv_5 + Relu_7 [profile 2]", "Conv_5..Relu_7", &["Conv_5", "Relu_7"]);
        check("", "unnamed", &["unnamed"]);
    }

    #[test]
    fn names_are_handed_out_once() {
        let mut names = Names::default();
        let given = ["a", "a_2", "a", "a", "whole", " \u{1e}", "a\nb"].map(|name| names.unique(name));
        assert_eq!(given, ["a", "a_2", "a_3", "a_4", "whole (layer)", "unnamed", "a b"]);
        assert_eq!(brief(&"ä ".repeat(99)), format!("{}..", "ä ".repeat(40).trim_end()));
    }
}
