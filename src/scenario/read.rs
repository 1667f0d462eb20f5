//! A scenario's text and name, before what they mean is known.

use std::path::Path;

use super::decode::shorten;
use super::diagnostic::{Mistakes, Sources};
use super::document::{self, Node, Value};
use super::file::FileMistake;

/// A larger scenario is a mistake.
const SCENARIO_BYTES_MAX: usize = 4 << 20;

/// A longer name does not fit into file systems.
const NAME_BYTES_MAX: usize = 100;

/// The tree of the file; an empty one if there are mistakes.
pub(super) fn parse_file(
    path: &Path,
    bytes: &Result<Vec<u8>, FileMistake>,
    sources: &mut Sources,
    mistakes: &mut Mistakes,
) -> Node {
    let shown = path.to_string_lossy();
    let empty = Node { value: Value::Table(document::Table::default()), at: 0..0 };
    let bytes = match bytes {
        Ok(bytes) => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
        Err(FileMistake { cause, remedy }) => {
            sources.add(shown, "");
            mistakes.add(&(0..0), cause, remedy);
            return empty;
        }
    };
    if bytes.len() > SCENARIO_BYTES_MAX {
        sources.add(shown.clone(), "");
        mistakes.add(&(0..0), format!("`{shown}` is larger than 4 MiB"), "name a scenario file");
        return empty;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let start = sources.add(shown, text);
            document::parse(text, start, mistakes)
        }
        Err(error) => {
            let at = error.valid_up_to();
            let start = sources.add(shown, String::from_utf8_lossy(bytes));
            mistakes.add(&(start + at..start + at + 3), "the file is not valid UTF-8", "save it as UTF-8 text");
            empty
        }
    }
}

/// The scenario's name, or its file's without the extension.
pub(super) fn name(root: &Node, path: &Path, mistakes: &mut Mistakes) -> String {
    let is_safe = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some(given) = root.get("name") else {
        if !is_safe(&stem) {
            let cause = format!("the file's name `{}` cannot name a folder of results", shorten(&stem));
            mistakes.add(&(0..0), cause, "add for example `name = \"my-scenario\"`");
        }
        return stem.into_owned();
    };
    // That it is a text is seen to where the whole scenario is read.
    let name = given.as_str().unwrap_or(&stem);
    if given.as_str().is_some() && !is_safe(name) {
        let remedy = "use letters, digits, `.`, `_` and `-`, not beginning with `.`";
        mistakes.add(&given.at, format!("`{}` cannot name a folder of results", shorten(name)), remedy);
    }
    name.to_owned()
}
