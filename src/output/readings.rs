//! How each row of imported files was taken, as text for a terminal of 80 columns.

use super::grid::{WIDTH, wrap};
use crate::cost::import::{Class, Reading};

/// The readings by what they were taken for, each with its file, line, name, time and reason.
pub fn readings_text(files: &[&str], readings: &[Reading]) -> String {
    let mut lines = Vec::new();
    for (class, what) in CLASSES {
        let of_class: Vec<&Reading> = readings.iter().filter(|reading| reading.class == class).collect();
        if of_class.is_empty() {
            continue;
        }
        let rows = if of_class.len() == 1 { "1 row".to_owned() } else { format!("{} rows", of_class.len()) };
        lines.push(format!("{what}: {rows}"));
        for reading in of_class {
            let file = files.get(reading.source).copied().unwrap_or_default();
            let line = reading.line.map(|line| format!(":{line}")).unwrap_or_default();
            let time = reading.time_ms.map(|time| format!(", {time} ms")).unwrap_or_default();
            let text = format!("  {file}{line}: {}{time}: {}", reading.name, reading.why);
            lines.extend(wrap(&text, WIDTH, "    ", &[' ', '/']));
        }
        lines.push(String::new());
    }
    lines.join("\n") + "\n"
}

const CLASSES: [(Class, &str); 6] = [
    (Class::Whole, "whole networks"),
    (Class::Layer, "layers"),
    (Class::Reformat, "changes of layout"),
    (Class::Transfer, "copies"),
    (Class::DlaGroup, "parts on a deep learning accelerator"),
    (Class::Dropped, "not used"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_stand_by_class_with_their_reasons() {
        let reading = |class, line, name: &str, time_ms| Reading {
            source: 0,
            line,
            name: name.into(),
            class,
            why: "its name says so, and there is no other row of the file that would be this layer".into(),
            time_ms,
        };
        let readings = [
            reading(Class::Dropped, None, "sum", None),
            reading(Class::Layer, Some(7), "conv1", Some(0.25)),
            reading(Class::Layer, Some(8), "conv2", Some(0.5)),
        ];
        insta::assert_snapshot!(readings_text(&["profile.json"], &readings), @"
        layers: 2 rows
          profile.json:7: conv1, 0.25 ms: its name says so, and there is no other row of
            the file that would be this layer
          profile.json:8: conv2, 0.5 ms: its name says so, and there is no other row of
            the file that would be this layer

        not used: 1 row
          profile.json: sum: its name says so, and there is no other row of the file
            that would be this layer

        ");
    }
}
