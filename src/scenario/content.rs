//! What a point of a sweep depends on, as a hash: so that what was computed once is found again.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::document::{Node, Table, Value};
use super::form::ScenarioForm;
use super::points::PointKey;
use crate::engine::OUTCOME_REVISION;

/// Keys of a scenario that say nothing of its results.
const NAMES: [&str; 3] = ["name", "description", "sweep"];

/// By key of a scenario, the keys in it whose texts name files.
static FILES: LazyLock<BTreeMap<&str, Vec<&str>>> =
    LazyLock::new(|| ScenarioForm::keys().into_iter().map(|(key, traits)| (key, traits.file_keys)).collect());

/// The key of the scenario `root` without its sweep; `hash_of` has the hashes of the files that it names.
pub(super) fn key(root: &Node, hash_of: &dyn Fn(&str) -> Option<String>) -> PointKey {
    let mut content = Content { hasher: blake3::Hasher::new(), hash_of };
    content.text('v', env!("CARGO_PKG_VERSION"));
    content.text('v', &OUTCOME_REVISION.to_string());
    for entry in sorted(root.as_table().unwrap_or(&Table::default())) {
        if !NAMES.contains(&entry.key.as_str()) {
            let file_keys = FILES.get(entry.key.as_str()).map_or(&[][..], Vec::as_slice);
            content.text('k', &entry.key);
            content.node(&entry.node, false, file_keys);
        }
    }
    let hash = content.hasher.finalize();
    PointKey(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

struct Content<'a> {
    hasher: blake3::Hasher,
    hash_of: &'a dyn Fn(&str) -> Option<String>,
}

impl Content<'_> {
    /// Adds a value, and whether it names a file. Each has a letter and its length before it, so that no two trees are
    /// the same bytes.
    fn node(&mut self, node: &Node, is_file: bool, file_keys: &[&str]) {
        match &node.value {
            Value::List(list) => {
                self.count('l', list.len());
                list.iter().for_each(|node| self.node(node, is_file, file_keys));
            }
            Value::Table(table) => {
                self.count('t', table.0.len());
                for entry in sorted(table) {
                    self.text('k', &entry.key);
                    self.node(&entry.node, file_keys.contains(&entry.key.as_str()), file_keys);
                }
            }
            Value::String(name) if is_file => match (self.hash_of)(name) {
                Some(hash) => self.text('h', &hash),
                None => self.text('s', name),
            },
            Value::String(text) => self.text('s', text),
            Value::Integer(number) => self.text('i', &number.to_string()),
            Value::Huge(text) => self.text('i', text),
            Value::Float(number) => self.text('f', &number.to_string()),
            Value::Boolean(value) => self.text('b', if *value { "1" } else { "0" }),
            Value::Date(text) => self.text('d', text),
        }
    }

    fn text(&mut self, kind: char, text: &str) {
        self.count(kind, text.len());
        self.hasher.update(text.as_bytes());
    }

    fn count(&mut self, kind: char, count: usize) {
        self.hasher.update(&[kind as u8]).update(&(count as u64).to_le_bytes());
    }
}

/// The entries of a table by key: their order in the file says nothing.
fn sorted(table: &Table) -> Vec<&super::document::Entry> {
    let mut entries: Vec<_> = table.0.iter().collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Mistakes;
    use super::super::document;
    use super::*;

    fn of(text: &str) -> PointKey {
        let mut mistakes = Mistakes::default();
        let root = document::parse(text, 0, &mut mistakes);
        assert!(mistakes.is_empty());
        key(&root, &|name| (name == "a.csv" || name == "copy.csv").then(|| "af13".to_owned()))
    }

    #[test]
    fn comments_order_and_names_of_the_file_say_nothing() {
        let first = of("name = 'x'\nseed = 1\n[[devices]]\nname = 'gpu'\ntrace = 'a.csv'");
        let second = of("description = 'y'\n# so\ndevices = [{ trace = 'copy.csv', name = 'gpu' }]\nseed = 0x1");
        assert_eq!(first, second);
        assert_eq!(of("[sweep]\nseeds = 3"), of(""));
    }

    #[test]
    fn every_value_and_its_place_and_kind_say_something() {
        let texts = [
            "",
            "seed = 1",
            "seed = 2",
            "seed = '1'",
            "seed = 1.0",
            "seed = true",
            "seed = [1]",
            "seed = [[1]]",
            "a.b = 1",
            "a = 1",
            "b = 1",
            "a = 1\nb = 1",
            "a = [1, 2]",
            "a = [2, 1]",
            "a = ['1', '2']",
            "a = ['12']",
            "a = {}",
            "a = []",
            "[[devices]]\ntrace = 'a.csv'",
            "[[devices]]\ntrace = 'b.csv'",
            "[[devices]]\nname = 'a.csv'",
            "load.server.file = 'a.csv'",
            "load.server.file = 'b.csv'",
        ];
        for (index, first) in texts.iter().enumerate() {
            for second in &texts[..index] {
                assert_ne!(of(first), of(second), "{first} and {second}");
            }
        }
    }

    #[test]
    fn the_files_that_scenarios_name_are_known_from_the_form() {
        let found: Vec<_> = FILES.iter().filter(|(_, keys)| !keys.is_empty()).collect();
        let (trace, file) = (vec!["trace"], vec!["file"]);
        // Each is read in `Scenario::parse`.
        assert_eq!(found, [(&"devices", &trace), (&"load", &file), (&"memories", &file), (&"models", &file)]);
    }

    #[test]
    fn a_key_is_written_and_read() {
        let key = of("seed = 1");
        assert_eq!(key.to_string().len(), 32);
        assert_eq!(key.to_string().parse(), Ok(key));
    }
}
