//! Where the results of a report come from.

use super::escape::escaped;
use crate::output::Manifest;

/// What a report says of `manifest.json` and `summary.json`. The time at which results were made is left out, so that
/// equal results have equal reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// What the results were made of.
    pub manifest: Manifest,
    /// What the reader should know, a sentence each; of `summary.json`.
    pub notes: Vec<String>,
}

/// The table of all that is known.
pub(super) fn provenance_html(provenance: &Provenance) -> String {
    let Manifest { scenario, command, settings, inputs, seed, version, commit, .. } = &provenance.manifest;
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    let sets = settings.iter().map(|(name, value)| format!("--set {}", quoted(&format!("{name}={value}"))));
    let words = command.iter().map(quoted).chain(sets).collect::<Vec<_>>().join(" ");
    let mut rows = vec![("scenario".to_owned(), scenario.clone()), ("command".to_owned(), format!("coinfer {words}"))];
    rows.push(("seed".to_owned(), seed.to_string()));
    rows.push(("version".to_owned(), format!("coinfer {version}")));
    rows.extend(commit.iter().map(|commit| ("commit".to_owned(), commit.clone())));
    rows.extend(inputs.iter().map(|input| (format!("BLAKE3 of {}", input.path), input.blake3.clone())));
    let row = |(name, value): (String, String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escaped(&name), escaped(&value))
    };
    format!("<table class=\"provenance\">\n{}</table>\n", rows.into_iter().map(row).collect::<String>())
}
