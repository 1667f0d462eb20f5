//! Constants of a scenario that are scaled one at a time, to see what results owe to them.
//!
//! What results they lead to is not known here.

use super::diagnostic::{Mistakes, Span, did_you_mean, list};
use super::document::{Node, Value};
use super::lower::lower;
use super::path::Path;
use super::scalar::Scalar;
use super::{Case, Diagnostics, Scenario};
use crate::units::{Bytes, BytesPerSec, Duration, JoulesPerByte, MacsPerSec, PerSec, Watts};

/// What is asked of a scenario's constants, each as the text of an option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Study {
    /// Paths as in `--set`, such as `switches.lan.latency`, to values with a number.
    pub vary: Vec<String>,
    /// How far, in percent: a whole number from 1 to 90.
    pub by: String,
    /// The only strategy that counts; all if absent.
    pub strategy: Option<String>,
}

/// Constants that can be scaled.
#[derive(Clone, Debug)]
pub struct Constants {
    /// How far each is scaled down and up.
    pub percent: u32,
    /// In the order in which they were named.
    pub all: Vec<Constant>,
}

/// A constant of a scenario.
#[derive(Clone, Debug)]
pub struct Constant {
    key: String,
    path: Path,
    at: Span,
    base: Node,
    ends: [Node; 2],
}

/// Which way a constant is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Down.
    Low,
    /// Up.
    High,
}

impl Constant {
    /// Its path as it was named.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its value scaled down, as it stands, and scaled up, as texts.
    pub fn values(&self) -> [String; 3] {
        [&self.ends[0], &self.base, &self.ends[1]].map(|node| node.value.to_string())
    }
}

/// With more, next to nothing would be left of what is scaled down.
const PERCENT_MAX: u32 = 90;

impl Scenario {
    /// The constants that `study` names, with the values that they are scaled to.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, or with a scenario that has one of these values. So
    /// [`Scenario::case_with`] succeeds for each.
    pub fn constants(&self, study: &Study) -> Result<Constants, Diagnostics> {
        let (mut sources, mut mistakes) = (self.sources.clone(), Mistakes::default());
        let by = sources.add("--by", study.by.as_str());
        let percent = percent(&study.by, by, &mut mistakes);
        let mut found: Vec<(&Node, Constant)> = Vec::new();
        for key in &study.vary {
            let start = sources.add("--vary", key.as_str());
            let at = start..start + key.len();
            let Some(path) = Path::parse(key, &at, &mut mistakes) else { continue };
            let Some(node) = path.value_in(&self.root, &at, &mut mistakes) else { continue };
            // Two paths may lead to the same value.
            if let Some((_, first)) = found.iter().find(|(other, _)| std::ptr::eq(*other, node)) {
                let fault = mistakes.add(&at, format!("`{}` is varied twice", key.trim()), "name each constant once");
                fault.label("second").beside(&first.at, "first");
                continue;
            }
            // Without a percentage, other mistakes are told all the same.
            let percent = percent.unwrap_or(1);
            if let Some(ends) = ends(key.trim(), node, &at, percent, &mut mistakes) {
                let constant = Constant { key: key.trim().to_owned(), path, at, base: node.clone(), ends };
                found.push((node, constant));
            }
        }
        if let Some(name) = &study.strategy {
            let start = sources.add("--strategy", name.as_str());
            let known: Vec<String> = self.case()?.strategies.into_iter().map(|entry| entry.name).collect();
            if !known.contains(name) {
                let remedy = did_you_mean(name, &known, "strategies");
                mistakes.add(&(start..start + name.len()), format!("no strategy is called `{name}`"), remedy);
            }
        }
        let all: Vec<Constant> = found.into_iter().map(|(_, constant)| constant).collect();
        if let Some(percent) = percent {
            all.iter().for_each(|constant| self.check(constant, percent, &mut mistakes));
        }
        mistakes.into_result(&sources)?;
        Ok(Constants { percent: percent.expect("without one there is a fault"), all })
    }

    /// The scenario with a constant scaled in one way.
    ///
    /// # Errors
    /// None for a constant that [`Scenario::constants`] of this scenario returned.
    pub fn case_with(&self, constant: &Constant, end: End) -> Result<Case, Diagnostics> {
        let (case, mistakes) = self.lowered_with(constant, &constant.ends[end as usize].value);
        mistakes.into_result(&self.sources)?;
        Ok(case.expect("a constant without mistakes makes a case"))
    }

    /// Finds what is wrong with a scenario in which the constant is scaled.
    fn check(&self, constant: &Constant, percent: u32, mistakes: &mut Mistakes) {
        let broken = constant.ends.each_ref().map(|node| is_broken(&constant.base.value, &node.value));
        if let Value::Integer(number) = constant.base.value
            && broken.contains(&true)
            // What takes a number with a point is no whole number.
            && !self.lowered_with(constant, &Value::Float(number as f64)).1.is_empty()
        {
            let texts = constant.ends.iter().zip(broken).filter(|(_, broken)| *broken);
            let texts: Vec<String> = texts.map(|(node, _)| node.value.to_string()).collect();
            let cause = format!(
                "`{}` is a whole number, {number}, and scaled it would be {}",
                constant.key,
                texts.join(" and ")
            );
            mistakes.add(&constant.at, cause, whole_remedy(number, percent));
            return;
        }
        for node in &constant.ends {
            let found = self.lowered_with(constant, &node.value).1;
            mistakes.extend_noted(found, &format!("with {} = {}", constant.key, node.value));
        }
    }

    fn lowered_with(&self, constant: &Constant, value: &Value) -> (Option<Case>, Mistakes) {
        let (mut root, mut mistakes) = (self.root.clone(), Mistakes::default());
        let node = Node { value: value.clone(), at: constant.at.clone() };
        constant.path.set(&mut root, &constant.at, node, &mut mistakes);
        let case = lower(&root, &self.files, &mut mistakes);
        (case, mistakes)
    }
}

fn percent(text: &str, start: usize, mistakes: &mut Mistakes) -> Option<u32> {
    let percent = text.trim().parse().ok().filter(|percent| (1..=PERCENT_MAX).contains(percent));
    if percent.is_none() {
        let cause = format!("`{}` is not a percentage from 1 to {PERCENT_MAX}", super::decode::shorten(text));
        let remedy = format!("write a whole number from 1 to {PERCENT_MAX}, for example 20");
        mistakes.add(&(start..start + text.len()), cause, remedy);
    }
    percent
}

/// The value less and more `percent`, if it has a number that is not 0.
fn ends(key: &str, node: &Node, at: &Span, percent: u32, mistakes: &mut Mistakes) -> Option<[Node; 2]> {
    let scaled = |percent| Some(Node { value: scaled(&node.value, percent)?, at: at.clone() });
    let Some(ends) = scaled(100 - percent).zip(scaled(100 + percent)) else {
        let (cause, remedy) = match &node.value {
            Value::Table(table) => {
                let keys = list(table.0.iter().map(|entry| &entry.key));
                (format!("`{key}` is a table"), format!("name a value in it: {keys}"))
            }
            other => {
                let shown = super::decode::shorten(&other.to_string());
                let cause = format!("`{key}` is {}, `{shown}`, without a number to scale", other.type_name());
                (cause, "name a number, or a text with a number and a unit such as \"9.7 GMAC/s\"".to_owned())
            }
        };
        mistakes.add(at, cause, remedy);
        return None;
    };
    if ends.0.value.equals(&ends.1.value) {
        let remedy = "leave it out, or give it another value by `--set`";
        mistakes.add(at, format!("`{key}` is 0, which stays 0 however it is scaled"), remedy);
        return None;
    }
    Some(ends.into())
}

/// The value times `percent` hundredths; `None` if it has no number.
fn scaled(value: &Value, percent: u32) -> Option<Value> {
    match value {
        Value::Integer(number) => {
            let text = times(&number.to_string(), percent)?;
            Some(text.parse().map(Value::Integer).unwrap_or(Value::Float(text.parse().ok()?)))
        }
        Value::Float(number) if number.is_finite() => {
            Some(Value::Float(times(&number.to_string(), percent)?.parse().ok()?))
        }
        Value::String(text) if is_quantity(value) => {
            let text = text.trim();
            let unit = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_' | '+' | '-'))?;
            let (number, unit) = text.split_at(unit);
            Some(Value::String(times(number, percent)? + unit))
        }
        _ => None,
    }
}

/// Whether the value is read as a quantity with a unit somewhere.
fn is_quantity(value: &Value) -> bool {
    fn is<T: Scalar>(value: &Value) -> bool {
        T::read(value).is_ok()
    }
    is::<Bytes>(value)
        || is::<Duration>(value)
        || is::<BytesPerSec>(value)
        || is::<MacsPerSec>(value)
        || is::<Watts>(value)
        || is::<JoulesPerByte>(value)
        || is::<PerSec>(value)
}

/// A decimal number times `percent` hundredths, digit by digit where it is not too long, so that 9.7 less 20 % is 7.76.
fn times(number: &str, percent: u32) -> Option<String> {
    let plain = number.replace('_', "");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let digits = format!("{whole}{fraction}").parse::<i128>().ok();
    let Some(product) = digits.and_then(|digits| digits.checked_mul(percent.into())) else {
        let number: f64 = plain.parse().ok()?;
        return Some((number * f64::from(percent) / 100.0).to_string());
    };
    let places = fraction.len() + 2;
    let digits = format!("{:0>width$}", product.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if product < 0 { "-" } else { "" };
    Some(format!("{sign}{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// Whether a whole number has become one with a fraction.
fn is_broken(base: &Value, scaled: &Value) -> bool {
    matches!((base, scaled), (Value::Integer(_), Value::Float(_)))
}

/// What to do about a whole number that scaling by `percent` breaks.
fn whole_remedy(number: i64, percent: u32) -> String {
    let step = (1..=PERCENT_MAX).find(|&step| i128::from(number) * i128::from(step) % 100 == 0);
    match step {
        Some(step) => {
            let near = (1..=PERCENT_MAX / step).map(|count| count * step).min_by_key(|by| by.abs_diff(percent));
            format!("it stays whole with `--by {}`; `coinfer sweep` takes any values", near.unwrap_or(step))
        }
        None => {
            "give it another value by `--set`, such as a multiple of 10; `coinfer sweep` takes any values".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Overrides;
    use super::super::file::FileMistake;
    use super::*;

    const SOUND: &str = include_str!("../../tests/broken/sound.toml");
    const TRACE: &[u8] = include_bytes!("../../tests/broken/sound.csv");

    /// What comes of a study of `tests/broken/sound.toml` with these overrides.
    fn check(overrides: &[&str], vary: &[&str], by: &str, strategy: Option<&str>) -> String {
        let load = |_: &std::path::Path, _: u64| Ok::<_, FileMistake>(TRACE.to_vec());
        let overrides = overrides.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let overrides = Overrides::of_set(&overrides);
        let path = std::path::Path::new("a/b.toml");
        let scenario = Scenario::parse(path, Ok(SOUND.into()), &overrides, false, Some(&load)).unwrap();
        let vary = vary.iter().map(|key| (*key).to_owned()).collect();
        let study = Study { vary, by: by.to_owned(), strategy: strategy.map(str::to_owned) };
        match scenario.constants(&study) {
            Ok(constants) => {
                for constant in &constants.all {
                    for end in [End::Low, End::High] {
                        assert!(scenario.case_with(constant, end).is_ok());
                    }
                }
                let lines = constants.all.iter().map(|it| format!("{}: {}", it.key(), it.values().join(" ")));
                lines.collect::<Vec<_>>().join("\n")
            }
            Err(diagnostics) => diagnostics.to_string(),
        }
    }

    #[test]
    fn numbers_and_quantities_are_scaled_digit_by_digit() {
        for (number, percent, expected) in [
            ("9.7", 80, "7.76"),
            ("0.7", 120, "0.84"),
            ("1_000", 50, "500"),
            ("-0.5", 110, "-0.55"),
            ("100", 190, "190"),
            ("7", 80, "5.6"),
            ("0.001", 10, "0.0001"),
        ] {
            assert_eq!(times(number, percent).unwrap(), expected, "{number}");
        }
        assert_eq!(times(&"9".repeat(60), 50).unwrap().len(), 60);
        assert_eq!(times("x", 50), None);
    }

    #[test]
    fn constants_are_found_and_scaled() {
        let found = check(&[], &["load.offline.samples", "links.pcie.bandwidth"], "50", None);
        insta::assert_snapshot!(found, @"
        load.offline.samples: 2 4 6
        links.pcie.bandwidth: 4.995 GB/s 9.99 GB/s 14.985 GB/s
        ");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let vary = [
            "load.offline.sample",
            "links.pcie.bandwidth",
            "links.\"pcie\".bandwidth",
            "devices.gpu",
            "devices.gpu.kind",
        ];
        insta::assert_snapshot!(check(&[], &vary, "91", Some("gredy")), @r#"
        error: `91` is not a percentage from 1 to 90
         --> --by:1:1
          |
        1 | 91
          | ^^
          |
          = help: write a whole number from 1 to 90, for example 20

        error: nothing in the scenario has the key `sample` here
         --> --vary:1:1
          |
        1 | load.offline.sample
          | ^^^^^^^^^^^^^^^^^^^
          |
          = help: did you mean `samples`?

        error: `links."pcie".bandwidth` is varied twice
         --> --vary:1:1
          |
        1 | links."pcie".bandwidth
          | ^^^^^^^^^^^^^^^^^^^^^^ second
          |
         ::: --vary:1:1
          |
        1 | links.pcie.bandwidth
          | -------------------- first
          |
          = help: name each constant once

        error: `devices.gpu` is a table
         --> --vary:1:1
          |
        1 | devices.gpu
          | ^^^^^^^^^^^
          |
          = help: name a value in it: `name`, `kind`, `memory`, `trace`, `profile`

        error: `devices.gpu.kind` is a string, `gpu`, without a number to scale
         --> --vary:1:1
          |
        1 | devices.gpu.kind
          | ^^^^^^^^^^^^^^^^
          |
          = help: name a number, or a text with a number and a unit such as "9.7 GMAC/s"

        error: no strategy is called `gredy`
         --> --strategy:1:1
          |
        1 | gredy
          | ^^^^^
          |
          = help: did you mean `greedy`?
        "#);
    }

    #[test]
    fn what_would_not_stay_whole_is_told_with_what_would() {
        insta::assert_snapshot!(check(&["load.offline.samples=7"], &["load.offline.samples"], "20", None), @"
        error: `load.offline.samples` is a whole number, 7, and scaled it would be 5.6 and 8.4
         --> --vary:1:1
          |
        1 | load.offline.samples
          | ^^^^^^^^^^^^^^^^^^^^
          |
          = help: give it another value by `--set`, such as a multiple of 10; `coinfer sweep` takes any values
        ");
        insta::assert_snapshot!(check(&["load.offline.samples=4"], &["load.offline.samples"], "20", None), @"
        error: `load.offline.samples` is a whole number, 4, and scaled it would be 3.2 and 4.8
         --> --vary:1:1
          |
        1 | load.offline.samples
          | ^^^^^^^^^^^^^^^^^^^^
          |
          = help: it stays whole with `--by 25`; `coinfer sweep` takes any values
        ");
    }

    #[test]
    fn a_value_that_the_scenario_refuses_is_told_with_its_place() {
        // 900 of at most 1000 days.
        insta::assert_snapshot!(check(&["links.pcie.latency=77760000 s"], &["links.pcie.latency"], "20", None), @"
        error: `93312000 s` is out of range: time must be from 0 s to 1000 days
         --> --vary:1:1
          |
        1 | links.pcie.latency
          | ^^^^^^^^^^^^^^^^^^
          |
          = note: with links.pcie.latency = 93312000 s
          = help: use a value in this range
        ");
        insta::assert_snapshot!(check(&["links.pcie.latency=0 s"], &["links.pcie.latency"], "20", None), @"
        error: `links.pcie.latency` is 0, which stays 0 however it is scaled
         --> --vary:1:1
          |
        1 | links.pcie.latency
          | ^^^^^^^^^^^^^^^^^^
          |
          = help: leave it out, or give it another value by `--set`
        ");
    }
}
