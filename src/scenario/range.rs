//! Several values in a text: a range such as `1..=64`, or a list such as `1,2,4`.

use super::diagnostic::{Mistakes, Span};
use super::document::{Node, Value};
use super::path::split;

/// A sweep has no more points, and an axis no more values.
pub(super) const POINTS_MAX: usize = 1_000_000;

/// The values of `a..=b` or `a..=b*factor`.
pub(super) fn range(text: &str, at: &Span, mistakes: &mut Mistakes) -> Option<Vec<Node>> {
    const REMEDY: &str = "write for example \"1..=64\", or \"1..=64*2\" to double at each step";
    let number = |text: &str| text.trim().replace('_', "").parse::<i64>().ok().filter(|&number| number >= 0);
    let parsed = text.split_once("..=").and_then(|(first, rest)| {
        let (last, factor) = match rest.split_once('*') {
            Some((last, factor)) => (last, Some(number(factor)?)),
            None => (rest, None),
        };
        Some((number(first)?, number(last)?, factor))
    });
    let Some((first, last, factor)) = parsed else {
        mistakes.add(at, format!("`{}` is not a range", super::decode::shorten(text)), REMEDY);
        return None;
    };
    let problem = match factor {
        _ if first > last => Some("the range is empty, since it ends before it begins"),
        Some(factor) if factor < 2 || first == 0 => Some("the range does not grow"),
        None if last - first >= POINTS_MAX as i64 => Some("the range has more than 1000000 values"),
        _ => None,
    };
    if let Some(problem) = problem {
        mistakes.add(at, problem, REMEDY);
        return None;
    }
    let next = |&value: &i64| match factor {
        Some(factor) => value.checked_mul(factor),
        None => value.checked_add(1),
    };
    let values = std::iter::successors(Some(first), next).take_while(|&value| value <= last);
    Some(values.map(|value| Node { value: Value::Integer(value), at: at.clone() }).collect())
}

/// The values of the text of an override, if it is a list such as `1,2,4` or a range such as `1..=64`.
pub(super) fn listed(text: &str, at: &Span, mistakes: &mut Mistakes) -> Option<Vec<Node>> {
    if text.contains("..=") && !text.contains(['"', '\'', ',']) {
        return Some(range(text, at, mistakes).unwrap_or_default());
    }
    let parts = split(text, ',');
    let mut begin = at.start;
    let mut values = Vec::new();
    for part in &parts {
        let indent = part.len() - part.trim_start().len();
        values.push(super::overrides::value_or_string(part.trim(), begin + indent));
        begin += part.len() + 1;
    }
    (parts.len() > 1).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Diagnostics, Sources};
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut mistakes = Mistakes::default();
        let mut sources = Sources::default();
        let start = sources.add("--set", text);
        let values = listed(text, &(start..start + text.len()), &mut mistakes);
        let found = match mistakes.is_empty() {
            true => values.map_or("one value".to_owned(), |values| {
                let values: Vec<String> = values.iter().map(|node| node.value.to_string()).collect();
                values.join(" ")
            }),
            false => Diagnostics::new(mistakes, &sources).to_string(),
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn lists_and_ranges_are_several_values() {
        check("1,2, 4", "1 2 4");
        check("1..=4", "1 2 3 4");
        check("1..=100*2", "1 2 4 8 16 32 64");
        check("3..=3", "3");
        check("9223372036854775806..=9223372036854775807", "9223372036854775806 9223372036854775807");
        check("8 GiB,16 GiB", "8 GiB 16 GiB");
        check("[1, 2],[3]", "[1, 2] [3]");
        check("8 GiB", "one value");
        check("../traces/a.csv", "one value");
    }

    #[test]
    fn a_range_that_gives_no_values_is_a_fault() {
        check("4..=1", "the range is empty");
        check("1..=8*1", "the range does not grow");
        check("0..=8*2", "the range does not grow");
        check("1..=x", "`1..=x` is not a range");
        check("-1..=3", "`-1..=3` is not a range");
        check("0..=1000000", "the range has more than 1000000 values");
    }
}
