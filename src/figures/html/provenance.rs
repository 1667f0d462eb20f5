//! Where the results of a report come from.

use serde::Deserialize;

use super::escape::escaped;

/// What a report says of `manifest.json` and `summary.json`. The time at which results were made is left out, so that
/// equal results have equal reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The scenario's name.
    pub scenario: String,
    /// What the user asked for, as words.
    pub command: Vec<String>,
    /// Values that override the scenario's, name and value.
    pub settings: Vec<(String, String)>,
    /// Files that were read, with their hashes.
    pub inputs: Vec<Input>,
    /// The seed of random draws.
    pub seed: Option<u64>,
    /// The version of this program that made the results.
    pub version: String,
    /// The git commit that it was built from.
    pub commit: Option<String>,
    /// What the reader should know, a sentence each; of `summary.json`.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A file that results depend on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Input {
    /// Its path.
    pub path: String,
    /// Hash of its bytes, hexadecimal.
    pub blake3: String,
}

/// The table of all that is known.
pub(super) fn provenance_html(provenance: &Provenance) -> String {
    let Provenance { scenario, command, settings, inputs, seed, version, commit, .. } = provenance;
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    let sets = settings.iter().map(|(name, value)| format!("--set {}", quoted(&format!("{name}={value}"))));
    let words = command.iter().map(quoted).chain(sets).collect::<Vec<_>>().join(" ");
    let mut rows = vec![("scenario".to_owned(), scenario.clone()), ("command".to_owned(), format!("coinfer {words}"))];
    rows.extend(seed.map(|seed| ("seed".to_owned(), seed.to_string())));
    rows.push(("version".to_owned(), format!("coinfer {version}")));
    rows.extend(commit.iter().map(|commit| ("commit".to_owned(), commit.clone())));
    rows.extend(inputs.iter().map(|input| (format!("BLAKE3 of {}", input.path), input.blake3.clone())));
    let row = |(name, value): (String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(&name), escaped(&value))
    };
    format!("<table class=\"provenance\">\n{}</table>\n", rows.into_iter().map(row).collect::<String>())
}
