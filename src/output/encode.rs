//! Bytes of CSV and JSON.

use std::collections::BTreeSet;

use serde::Serialize;

/// Lines as CSV below a header of equal length.
pub(super) fn csv_bytes<H: AsRef<[u8]>>(
    header: impl IntoIterator<Item = H>,
    lines: impl IntoIterator<Item = Vec<String>>,
) -> Vec<u8> {
    let mut bytes = csv_lines([header]);
    bytes.extend(csv_lines(lines));
    bytes
}

/// Lines as CSV.
pub(super) fn csv_lines<F: AsRef<[u8]>>(lines: impl IntoIterator<Item = impl IntoIterator<Item = F>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).expect("lines have equal lengths and writing to memory succeeds");
    }
    writer.into_inner().expect("writing to memory succeeds")
}

/// `value` as indented JSON with a newline at its end. What is not known is `null`.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("all keys are strings and writing to memory succeeds") + "\n"
}

/// Each name once, in the order of first appearance.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|&name| seen.insert(name)).collect()
}
