//! JSON whose elements know their line.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::trace::Mistake;
use super::build::fault;
use super::text::Lines;

/// A JSON text and its lines.
pub(super) struct Document<'a> {
    text: &'a str,
    lines: Lines,
}

impl<'a> Document<'a> {
    /// The document of `text`.
    pub(super) fn new(text: &'a str) -> Document<'a> {
        Document { text, lines: Lines::of(text) }
    }

    /// All of it.
    pub(super) fn read<T: Deserialize<'a>>(&self) -> Result<T, Mistake> {
        serde_json::from_str(self.text).map_err(|error| self.fault(&error, 1))
    }

    /// The documents that stand one after the other in the text.
    pub(super) fn read_several(&self) -> Result<Vec<&'a RawValue>, Mistake> {
        let values = serde_json::Deserializer::from_str(self.text).into_iter::<&RawValue>();
        values.collect::<Result<_, _>>().map_err(|error| self.fault(&error, 1))
    }

    /// The line that an element of this document begins on, from 1.
    pub(super) fn line(&self, element: &RawValue) -> usize {
        let offset = (element.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.lines.line(offset)
    }

    /// One element of this document.
    pub(super) fn element<T: Deserialize<'a>>(&self, element: &'a RawValue) -> Result<T, Mistake> {
        serde_json::from_str(element.get()).map_err(|error| self.fault(&error, self.line(element)))
    }

    fn fault(&self, error: &serde_json::Error, first_line: usize) -> Mistake {
        let line = first_line + error.line().saturating_sub(1);
        // The message ends in its own line and column; the fault has a line already.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        if error.is_eof() {
            let remedy = "export it again, and let the program that writes it end first";
            fault(line, "the file is cut off in the middle of its JSON", remedy)
        } else if error.is_data() {
            fault(line, format!("an entry is not as this format has it: {message}"), "export it again, or use --format")
        } else {
            fault(line, format!("the file is not valid JSON: {message}"), "export it again, or use --format")
        }
    }
}

/// `text` with quotes escaped that stand bare between `opening` and the next `closing` of the same line.
///
/// Programs that print JSON by hand forget them in names.
pub(super) fn escape_quotes(text: &str, opening: &str, closing: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once(opening) {
            escaped.push_str(before);
            escaped.push_str(opening);
            let Some((inside, beyond)) = after.split_once(closing) else {
                rest = after;
                break;
            };
            let mut previous = ' ';
            for letter in inside.chars() {
                if letter == '"' && previous != '\\' {
                    escaped.push('\\');
                }
                escaped.push(letter);
                previous = letter;
            }
            escaped.push_str(closing);
            rest = beyond;
        }
        escaped.push_str(rest);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_know_their_line() {
        let document = Document::new("[\n1,\n\n {\"a\":\n\"x\"}]");
        let elements: Vec<&RawValue> = document.read().unwrap();
        assert_eq!(elements.iter().map(|element| document.line(element)).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(document.element::<u32>(elements[1]).unwrap_err().line, 4);
    }

    #[test]
    fn a_cut_off_document_is_said_to_be() {
        let fault = Document::new("[\n1,").read::<Vec<&RawValue>>().unwrap_err();
        assert_eq!((fault.line, fault.cause.as_str()), (2, "the file is cut off in the middle of its JSON"));
        let fault = Document::new("[1,\nNaN]").read::<Vec<&RawValue>>().unwrap_err();
        assert_eq!((fault.line, fault.cause.as_str()), (2, "the file is not valid JSON: expected value"));
    }

    #[test]
    fn bare_quotes_are_escaped() {
        let text = r#"{"name" : "a "b" \"c\"", "timeMs" : 1}, {"name" : "d", "timeMs" : 2}"#;
        let expected = r#"{"name" : "a \"b\" \"c\"", "timeMs" : 1}, {"name" : "d", "timeMs" : 2}"#;
        assert_eq!(escape_quotes(text, r#""name" : ""#, r#"", "timeMs""#), expected);
    }
}
