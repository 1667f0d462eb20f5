//! Paths such as `devices.gpu.memory`: what they select in a scenario, and setting it.
//!
//! Only the way to a value is checked here. Whether its last keys exist shows when the form is read.

use std::sync::LazyLock;

use super::diagnostic::{Mistakes, Span, did_you_mean, list};
use super::document::{Node, Table, Value};
use super::form::{ScenarioForm, StrategyForm};

/// Lists of tables, which a path enters by the name of an entry.
static LISTS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lists = ScenarioForm::keys().into_iter().filter(|(_, traits)| traits.is_list);
    lists.map(|(key, _)| key).collect()
});

/// The keys of a strategy entry that are the strategy.
const STRATEGIES: &[&str] = StrategyForm::KINDS;

/// A path has no more parts.
const SEGMENTS_MAX: usize = 16;

/// Keys and names that lead to a value, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

impl Path {
    /// Reads `a.b."c.d"`: parts with dots between them, in quotation marks if they have dots themselves.
    pub(super) fn parse(text: &str, at: &Span, mistakes: &mut Mistakes) -> Option<Path> {
        let segments = split(text, '.').into_iter().map(|segment| unquote(segment.trim()).to_owned());
        let segments: Vec<String> = segments.collect();
        if segments.iter().any(String::is_empty) {
            let remedy = "write keys and names with dots between them, for example load.offline.samples";
            mistakes.add(at, "a part of the path is empty", remedy);
            return None;
        }
        if segments.len() > SEGMENTS_MAX {
            let cause = format!("the path has {} parts", segments.len());
            mistakes.add(
                at,
                cause,
                format!("a path has at most {SEGMENTS_MAX}; put names with dots in quotation marks"),
            );
            return None;
        }
        Some(Path(segments))
    }

    /// The path of a key of the scenario itself.
    pub(super) fn of_key(key: &str) -> Path {
        Path(vec![key.to_owned()])
    }

    /// Whether the first part is `key`.
    pub(super) fn begins_with(&self, key: &str) -> bool {
        self.0.first().is_some_and(|first| first == key)
    }

    /// The last part.
    pub(super) fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// Whether a part is `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|part| part == key)
    }

    /// Whether the last part is `key`.
    pub(super) fn ends_with(&self, key: &str) -> bool {
        self.0.last().is_some_and(|last| last == key)
    }

    /// Puts `value` where the path leads in `root`. What is wrong with the path is at `at`.
    pub(super) fn set(&self, root: &mut Node, at: &Span, value: Node, mistakes: &mut Mistakes) {
        // Only the root's lists are entered by name; within their entries, lists are values.
        if let [list, name, rest @ ..] = self.0.as_slice()
            && LISTS.contains(&list.as_str())
            && let Value::Table(table) = &mut root.value
            && let Value::List(entries) = &mut table.get_or_insert(list, at, Value::List(Vec::new())).value
        {
            if let Some(index) = find(entries, list, name, at, mistakes) {
                set_in_entry(&mut entries[index], list, rest, at, value, mistakes);
            }
        } else {
            set_in(root, &self.0, at, value, mistakes);
        }
    }

    /// What stands in `root` where the path leads. That there is nothing is a fault at `at`.
    pub(super) fn value_in<'a>(&self, root: &'a Node, at: &Span, mistakes: &mut Mistakes) -> Option<&'a Node> {
        let [list, name, rest @ ..] = self.0.as_slice() else { return value_in(root, &self.0, at, mistakes) };
        match root.get(list).and_then(Node::as_list) {
            Some(entries) if LISTS.contains(&list.as_str()) => {
                let entry = &entries[find(entries, list, name, at, mistakes)?];
                value_in(own_table(entry, list, rest).unwrap_or(entry), rest, at, mistakes)
            }
            _ => value_in(root, &self.0, at, mistakes),
        }
    }
}

/// The parts of `text` between separators that are not in quotation marks or brackets.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quote, mut depth) = (0, None, 0usize);
    for (index, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '[' || c == '{' => depth += 1,
            None if c == ']' || c == '}' => depth = depth.saturating_sub(1),
            None if c == separator && depth == 0 => {
                parts.push(&text[start..index]);
                start = index + c.len_utf8();
            }
            None => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unquote(segment: &str) -> &str {
    let inner = |quote| segment.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or(inner('\'')).unwrap_or(segment)
}

/// The key of a strategy's own table, if `path` goes on with a key of that table: it may follow the entry at once.
fn own_key(entry: &Node, list: &str, path: &[String]) -> Option<&'static str> {
    let is_inside = path.first().is_some_and(|key| key != "name" && !STRATEGIES.contains(&key.as_str()));
    if list == "strategies" && is_inside { kind_of(entry) } else { None }
}

fn own_table<'a>(entry: &'a Node, list: &str, path: &[String]) -> Option<&'a Node> {
    entry.get(own_key(entry, list, path)?)
}

/// What stands where `path` leads over keys from `node`.
fn value_in<'a>(node: &'a Node, path: &[String], at: &Span, mistakes: &mut Mistakes) -> Option<&'a Node> {
    let Some((first, rest)) = path.split_first() else { return Some(node) };
    let Some(table) = node.as_table() else {
        let cause = format!("the path asks for `{first}` in {}, which has no parts", node.value.type_name());
        mistakes.add(at, cause, "end the path earlier");
        return None;
    };
    match table.get(first) {
        Some(child) => value_in(child, rest, at, mistakes),
        None => {
            let keys = table.0.iter().map(|entry| entry.key.as_str());
            let mut remedy = did_you_mean(first, keys, "keys that have a value here");
            if !remedy.ends_with('?') {
                remedy += "; one that the scenario leaves out gets a value by `--set`";
            }
            mistakes.add(at, format!("nothing in the scenario has the key `{first}` here"), remedy);
            None
        }
    }
}

fn set_in_entry(entry: &mut Node, list: &str, path: &[String], at: &Span, value: Node, mistakes: &mut Mistakes) {
    if let Some(kind) = own_key(entry, list, path)
        && let Value::Table(table) = &mut entry.value
        && let Some(strategy) = table.get_mut(kind)
    {
        set_in(strategy, path, at, value, mistakes);
    } else {
        set_in(entry, path, at, value, mistakes);
    }
}

/// Puts `value` where `path` leads over keys from `node`.
fn set_in(node: &mut Node, path: &[String], at: &Span, value: Node, mistakes: &mut Mistakes) {
    let Some((first, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    match &mut node.value {
        Value::Table(table) if rest.is_empty() => table.set(first, at, value),
        Value::Table(table) => {
            let child = table.get_or_insert(first, at, Value::Table(Table::default()));
            set_in(child, rest, at, value, mistakes);
        }
        other => {
            let cause = format!("the path asks for `{first}` in {}, which has no parts", other.type_name());
            mistakes.add(at, cause, "end the path earlier, and give the whole value");
        }
    }
}

/// The index of the entry of `list` that is called `name`, or that is the only strategy of this kind.
fn find(entries: &[Node], list: &str, name: &str, at: &Span, mistakes: &mut Mistakes) -> Option<usize> {
    let names: Vec<Option<&str>> = entries.iter().map(|entry| name_of(entry, list)).collect();
    if let Some(index) = names.iter().position(|&known| known == Some(name)) {
        return Some(index);
    }
    let of_kind = |entry: &Node| list == "strategies" && STRATEGIES.contains(&name) && entry.get(name).is_some();
    let matching: Vec<usize> = (0..entries.len()).filter(|&index| of_kind(&entries[index])).collect();
    match matching.as_slice() {
        &[only] => return Some(only),
        [] => {
            let remedy = did_you_mean(name, names.into_iter().flatten(), &format!("named {list}"));
            mistakes.add(at, format!("none of the {list} is called `{name}`"), remedy);
        }
        several => {
            let named = several.iter().filter_map(|&index| names[index]);
            let remedy = format!("use a name instead: {}", self::list(named));
            mistakes.add(at, format!("{} of the {list} are `{name}`", several.len()), remedy);
        }
    }
    None
}

/// The name of an entry of a list; strategies without one are called as their table, hosts and interfaces as their
/// device.
fn name_of<'a>(entry: &'a Node, list: &str) -> Option<&'a str> {
    match (entry.get("name"), list) {
        (Some(name), _) => name.as_str(),
        (None, "strategies") => kind_of(entry),
        (None, "hosts" | "nics") => entry.get("device")?.as_str(),
        (None, _) => None,
    }
}

/// The key of the first table of a strategy entry that is a strategy.
fn kind_of(entry: &Node) -> Option<&'static str> {
    let mut keys = entry.as_table()?.0.iter().map(|entry| entry.key.as_str());
    keys.find_map(|key| STRATEGIES.iter().copied().find(|kind| *kind == key))
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Diagnostics, Sources};
    use super::super::document;
    use super::*;

    const TEXT: &str = "
        load = { offline = { samples = 1 } }
        devices = [{ name = 'gpu', unsupported = ['conv'] }, { name = 'a.b' }]
        hosts = [{ device = 'cpu' }]
        memories = [{ name = 'dram' }, {}]
        strategies = [
            { greedy = { threshold = 1.0 } },
            { name = 'one', single = {} },
            { name = 'two', single = {} },
        ]";

    fn check(path: &str, expected: &str) {
        let mut mistakes = Mistakes::default();
        let mut sources = Sources::default();
        let start = sources.add("a.toml", TEXT);
        let mut root = document::parse(TEXT, start, &mut mistakes);
        let at = sources.add("--set", path);
        let at = at..at + path.len();
        if let Some(path) = Path::parse(path, &at, &mut mistakes) {
            path.set(&mut root, &at, Node { value: Value::Integer(7), at: at.clone() }, &mut mistakes);
        }
        let found = match mistakes.is_empty() {
            true => root.value.to_string(),
            false => Diagnostics::new(mistakes, &sources).to_string(),
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn a_path_goes_over_keys_and_names() {
        check("load.offline.samples", "{ samples = 7 }");
        check("devices.gpu.memory", "memory = 7");
        check("devices.\"a.b\".memory", "{ memory = 7, name = \"a.b\" }");
        check("costs.lookup", "costs = { lookup = 7 }");
        check("hosts.cpu.threads", "{ device = \"cpu\", threads = 7 }");
        check("memories.dram.proportional.peak", "{ name = \"dram\", proportional = { peak = 7 } }");
    }

    #[test]
    fn a_strategy_is_selected_by_name_or_kind_and_its_table_may_be_left_out() {
        check("strategies.greedy.threshold", "{ threshold = 7 }");
        check("strategies.greedy.greedy.threshold", "{ threshold = 7 }");
        check("strategies.greedy.name", "{ greedy = { threshold = 1.0 }, name = 7 }");
        check("strategies.two.device", "two\", single = { device = 7 }");
        check("strategies.single.device", "2 of the strategies are `single`");
        check("strategies.single.device", "use a name instead: `one`, `two`");
    }

    /// What stands where `path` leads, or why nothing does.
    fn check_value(path: &str, expected: &str) {
        let (mut mistakes, mut sources) = (Mistakes::default(), Sources::default());
        let start = sources.add("a.toml", TEXT);
        let root = document::parse(TEXT, start, &mut mistakes);
        let at = sources.add("--vary", path);
        let at = at..at + path.len();
        let parsed = Path::parse(path, &at, &mut mistakes).unwrap();
        let found = parsed.value_in(&root, &at, &mut mistakes).map(|node| node.value.to_string());
        let found = found.unwrap_or_else(|| Diagnostics::new(mistakes, &sources).to_string());
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn a_path_finds_what_it_would_set() {
        check_value("load.offline.samples", "1");
        check_value("devices.gpu.unsupported", "[\"conv\"]");
        check_value("strategies.greedy.threshold", "1.0");
        check_value("strategies.greedy.greedy.threshold", "1.0");
        check_value("strategies.one.name", "one");
        check_value("load", "{ offline = { samples = 1 } }");
        check_value("load.ofline.samples", "did you mean `offline`?");
        check_value("load.offline.samples.x", "asks for `x` in an integer");
        check_value("devices.gpuu.memory", "did you mean `gpu`?");
        check_value("devices.gpu.memory", "the keys that have a value here are `name`, `unsupported`");
        check_value("links.pcie.latency", "nothing in the scenario has the key `links` here");
    }

    #[test]
    fn a_wrong_path_is_a_fault() {
        check("devices.gpuu.memory", "did you mean `gpu`?");
        check("models.vgg.home", "there are no named models");
        check("memories.cpu.peak", "the named memories are `dram`");
        check("load.offline.samples.x", "asks for `x` in an integer");
        check("devices.gpu.unsupported.conv", "which has no parts");
        check("load..x", "a part of the path is empty");
        check(&vec!["a"; 17].join("."), "the path has 17 parts");
    }
}
