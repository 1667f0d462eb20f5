//! What is wrong with a scenario: where, why, and what to do about it, as text with the source line.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

/// A stretch of text, in bytes of all [`Sources`] laid end to end.
pub(super) type Span = Range<usize>;

/// Everything that is wrong with a scenario and its traces, in file order.
///
/// Its `Display` has no colour; [`Diagnostics::render`] has the choice.
#[derive(Clone, PartialEq, Eq)]
pub struct Diagnostics {
    shown: Vec<Diagnostic>,
    left_out: usize,
}

/// More are counted and not shown.
const SHOWN_MAX: usize = 100;

/// A longer word is not a slip.
const WORD_BYTES_MAX: usize = 100;

/// A longer line is not shown, only its position.
const LINE_BYTES_MAX: usize = 1000;

impl Diagnostics {
    /// Number of mistakes.
    pub fn count(&self) -> usize {
        self.shown.len() + self.left_out
    }

    /// All of them as text that ends in a newline, with or without terminal colours.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for diagnostic in &self.shown {
            text += &renderer.render(&[diagnostic.group()]);
            text += "\n\n";
        }
        if self.left_out > 0 {
            text += &format!("and {} more\n\n", self.left_out);
        }
        text.pop();
        text
    }

    /// Where each fault stands, and every distinct one once.
    pub(super) fn new(mistakes: Mistakes, sources: &Sources) -> Diagnostics {
        let mut mistakes = mistakes.0;
        mistakes.sort_by_key(|fault| (fault.at.start, fault.at.end));
        let mut seen = BTreeSet::new();
        mistakes.retain(|fault| seen.insert((fault.at.start, fault.at.end, fault.cause.clone())));
        let left_out = mistakes.len().saturating_sub(SHOWN_MAX);
        mistakes.truncate(SHOWN_MAX);
        let shown = mistakes.into_iter().map(|fault| Diagnostic::new(fault, sources)).collect();
        Diagnostics { shown, left_out }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(super) struct Mistake {
    at: Span,
    cause: String,
    remedy: String,
    label: String,
    beside: Option<(Span, String)>,
    note: Option<String>,
}

impl Mistake {
    /// Says in a word what is at the place.
    pub(super) fn label(&mut self, label: impl Into<String>) -> &mut Mistake {
        self.label = label.into();
        self
    }

    /// Shows a second place.
    pub(super) fn beside(&mut self, at: &Span, label: impl Into<String>) -> &mut Mistake {
        self.beside = Some((at.clone(), label.into()));
        self
    }
}

/// Mistakes as they are found.
#[derive(Clone, Debug, Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Records a fault.
    pub(super) fn add(&mut self, at: &Span, cause: impl Into<String>, remedy: impl Into<String>) -> &mut Mistake {
        let (at, cause, remedy) = (at.clone(), cause.into(), remedy.into());
        let (label, beside, note) = (String::new(), None, None);
        self.0.push(Mistake { at, cause, remedy, label, beside, note });
        self.0.last_mut().expect("it was just pushed")
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds those of `others`, each with `note`.
    pub(super) fn extend_noted(&mut self, others: Mistakes, note: &str) {
        let noted = |fault: Mistake| Mistake { note: Some(note.to_owned()), ..fault };
        self.0.extend(others.0.into_iter().map(noted));
    }

    /// `Ok` if nothing is wrong.
    pub(super) fn into_result(self, sources: &Sources) -> Result<(), Diagnostics> {
        if self.is_empty() { Ok(()) } else { Err(Diagnostics::new(self, sources)) }
    }
}

/// The texts that spans point into.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Vec<Source>);

#[derive(Clone, Debug)]
struct Source {
    /// The file as the user named it, or `--set`.
    origin: String,
    text: String,
    start: usize,
}

impl Sources {
    /// Lays `text` after the others; returns where it begins. A file that could not be read has no text.
    pub(super) fn add(&mut self, origin: impl Into<String>, text: impl Into<String>) -> usize {
        // A byte lies between two sources, so that the end of one is not the start of the next.
        let start = self.0.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.0.push(Source { origin: origin.into(), text: text.into(), start });
        start
    }

    fn source(&self, position: usize) -> &Source {
        let after = self.0.partition_point(|source| source.start <= position);
        &self.0[after.max(1) - 1]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Diagnostic {
    cause: String,
    remedy: String,
    note: Option<String>,
    places: Vec<SourcePlace>,
}

/// A position with the line around it, kept apart from the sources so that diagnostics outlive them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SourcePlace {
    origin: String,
    line: usize,
    column: usize,
    /// `None` if the line is too long to show, or the file could not be read.
    excerpt: Option<String>,
    span: Range<usize>,
    label: String,
}

impl Diagnostic {
    fn new(Mistake { at, cause, remedy, label, beside, note }: Mistake, sources: &Sources) -> Diagnostic {
        let places = std::iter::once((at, label)).chain(beside);
        Diagnostic {
            cause,
            remedy,
            note,
            places: places.map(|(at, label)| SourcePlace::new(&at, label, sources)).collect(),
        }
    }

    fn group(&self) -> Group<'_> {
        let elements = self.places.iter().enumerate().map(|(index, place)| place.element(index == 0));
        let mut group = Level::ERROR.primary_title(&self.cause).elements(elements);
        if let Some(note) = &self.note {
            group = group.element(Level::NOTE.message(note));
        }
        if !self.remedy.is_empty() {
            group = group.element(Level::HELP.message(&self.remedy));
        }
        group
    }
}

impl SourcePlace {
    fn new(at: &Span, label: String, sources: &Sources) -> SourcePlace {
        let source = sources.source(at.start);
        let text = source.text.as_str();
        let start = text.floor_char_boundary(at.start - source.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let line_end = line_start + text[line_start..line_end].trim_end_matches('\r').len();
        let start = start.min(line_end);
        let end = text.floor_char_boundary(at.end.saturating_sub(source.start)).clamp(start, line_end);
        let shown = !text.is_empty() && line_end - line_start <= LINE_BYTES_MAX;
        SourcePlace {
            origin: source.origin.clone(),
            line: 1 + text[..line_start].matches('\n').count(),
            column: 1 + text[line_start..start].chars().count(),
            excerpt: shown.then(|| text[line_start..line_end].to_owned()),
            span: start - line_start..end - line_start,
            label,
        }
    }

    fn element(&self, primary: bool) -> Element<'_> {
        let Some(excerpt) = &self.excerpt else {
            let origin = Origin::path(self.origin.as_str());
            return if self.line == 1 && self.column == 1 {
                origin.into()
            } else {
                origin.line(self.line).char_column(self.column).into()
            };
        };
        let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let label = Some(self.label.as_str()).filter(|label| !label.is_empty());
        Snippet::source(excerpt.as_str())
            .path(self.origin.as_str())
            .line_start(self.line)
            .annotation(kind.span(self.span.clone()).label(label))
            .into()
    }
}

/// Names in backticks with commas between them; at most ten.
pub(super) fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > 10 {
        let left_out = names.split_off(9).len();
        names.push(format!("{left_out} more"));
    }
    names.join(", ")
}

/// A question whether one of `known` was meant, or what there is.
pub(super) fn did_you_mean<T: AsRef<str>>(word: &str, known: impl IntoIterator<Item = T>, what: &str) -> String {
    let known: Vec<T> = known.into_iter().collect();
    match likely(word, &known) {
        Some(best) => format!("did you mean `{}`?", best.as_ref()),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {}", list(&known)),
    }
}

/// The one of `known` that `word` looks like.
pub(crate) fn likely<'a, T: AsRef<str>>(word: &str, known: &'a [T]) -> Option<&'a T> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    let likeness = |candidate: &T| strsim::jaro_winkler(&lower, &candidate.as_ref().to_lowercase());
    let rated = known.iter().map(|candidate| (likeness(candidate), candidate));
    let best = rated.filter(|&(likeness, _)| likeness >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, best)| best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, at: Span, expected: &str) {
        let mut sources = Sources::default();
        sources.add("a.toml", text);
        let mut mistakes = Mistakes::default();
        mistakes.add(&at, "cause", "remedy").label("label");
        assert_eq!(Diagnostics::new(mistakes, &sources).render(false), expected);
    }

    #[test]
    fn a_span_is_cut_to_its_first_line() {
        let expected = "error: cause\n --> a.toml:2:3\n  |\n2 | \u{e4}bc\n  |   ^ label\n  |\n  = help: remedy\n";
        check("x\n\u{e4}bc\nd", 5..9, expected);
    }

    #[test]
    fn the_end_of_a_file_and_positions_beyond_it_can_be_shown() {
        for text in ["", "x", "x\n", "\r\n", "\u{e4}"] {
            for at in [0..0, 0..9, 1..1, 2..2, 9..9] {
                let mut sources = Sources::default();
                sources.add("a.toml", text);
                let mut mistakes = Mistakes::default();
                mistakes.add(&at, "cause", "remedy");
                assert!(Diagnostics::new(mistakes, &sources).render(true).contains("a.toml"));
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_named_only() {
        let text = format!("a = 1\nb = \"{}\"", "x".repeat(2000));
        check(&text, 10..20, "error: cause\n--> a.toml:2:5\n = help: remedy\n");
    }

    #[test]
    fn faults_are_sorted_and_listed_once() {
        let mut sources = Sources::default();
        let first = sources.add("a.toml", "one");
        let second = sources.add("--set", "two");
        let mut mistakes = Mistakes::default();
        mistakes.add(&(second..second + 3), "b", "");
        mistakes.add(&(first..first + 3), "a", "");
        mistakes.add(&(second..second + 3), "b", "");
        let diagnostics = Diagnostics::new(mistakes, &sources);
        assert_eq!(diagnostics.count(), 2);
        let text = diagnostics.to_string();
        assert!(text.find("a.toml:1:1") < text.find("--set:1:1"));
    }

    #[test]
    fn a_near_name_is_proposed_and_others_are_listed() {
        assert_eq!(did_you_mean("gpuu", ["cpu", "gpu"], "devices"), "did you mean `gpu`?");
        assert_eq!(did_you_mean("xyz", ["cpu", "gpu"], "devices"), "the devices are `cpu`, `gpu`");
        assert_eq!(did_you_mean("xyz", Vec::<String>::new(), "devices"), "there are no devices");
    }
}
