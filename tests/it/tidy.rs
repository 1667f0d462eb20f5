//! Rules about the code itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from bottom to top; each uses only those before it.
const ORDER: [&str; 21] = [
    "units",
    "statistics",
    "model",
    "platform",
    "cost",
    "problem",
    "plan",
    "timeline",
    "execute",
    "engine",
    "strategy",
    "scenario",
    "replay",
    "metrics",
    "evaluate",
    "measure",
    "output",
    "figures",
    "theory",
    "cli",
    "main",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn modules_use_only_those_below_them() {
    let mut wrong = vec![];
    for path in sources(&root().join("src")) {
        let relative = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        let module = relative.split(['/', '.']).next().unwrap();
        let Some(rank) = ORDER.iter().position(|name| *name == module) else {
            assert!(module == "lib", "src/{relative} is in no module of the order");
            continue;
        };
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        assert!(!code.contains("crate::{"), "src/{relative}: one module a line, so that this test can read it");
        for above in &ORDER[rank + 1..] {
            if code.contains(&format!("crate::{above}")) || code.contains(&format!("coinfer::{above}")) {
                wrong.push(format!("src/{relative} uses `{above}`, which lies above `{module}`"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for document in pages.chain(["src/architecture.md", "README.md"].map(|page| root().join(page))) {
        let text = fs::read_to_string(&document).unwrap();
        let document = document.display();
        for word in text.split(|c: char| c.is_whitespace() || "`(),;:|\"".contains(c)) {
            let named = ["src/", "scenarios/", "traces/", "tests/", "scripts/", "docs/", "benches/"];
            if named.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '<', 'N']) {
                let path = word.trim_end_matches(['.', ':']);
                assert!(root().join(path).exists(), "{document} names {path}, which does not exist");
            }
        }
    }
}

/// How many names of types mean several things, each in its module: every one that goes makes this less.
const SHARED_NAMES_MAX: usize = 77;

#[test]
fn ever_fewer_names_of_types_mean_several_things() {
    let mut places: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let relative = path.strip_prefix(root()).unwrap().display().to_string();
        for line in text.lines().map(str::trim_start) {
            let line =
                line.split_once(") ").filter(|(before, _)| before.starts_with("pub(")).map_or(line, |(_, rest)| rest);
            let line = line.strip_prefix("pub ").unwrap_or(line);
            let kinds = ["struct ", "enum ", "trait "];
            if let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                places.entry(name).or_default().push(relative.clone());
            }
        }
    }
    places.retain(|_, places| places.len() > 1);
    let count = places.len();
    assert!(
        count <= SHARED_NAMES_MAX,
        "{count} names, more than {SHARED_NAMES_MAX}; give one of these another: {places:#?}"
    );
}
