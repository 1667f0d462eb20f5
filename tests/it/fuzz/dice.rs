//! Chance, and what the schema of scenarios lets it choose from: nothing that can be drawn is listed by hand.

use std::ops::Range;
use std::sync::LazyLock;

use coinfer::scenario::schema;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use toml::{Table, Value as Toml};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(schema()).unwrap());

/// A source of chance that a seed determines.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Whether what has this probability, in percent, is so.
    pub(super) fn is(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    pub(super) fn number(&mut self, range: Range<u32>) -> u32 {
        self.0.random_range(range)
    }

    /// A number whose order of magnitude is as likely as any other.
    pub(super) fn real(&mut self, range: Range<f64>) -> f64 {
        self.0.random_range(range.start.ln()..range.end.ln()).exp()
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.random_range(0..of.len())]
    }

    /// Some of them, one at least, in any order.
    pub(super) fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut left = of.to_vec();
        let count = self.number(1..of.len() as u32 + 1);
        (0..count).map(|_| left.swap_remove(self.0.random_range(0..left.len()))).collect()
    }

    /// One of the words that `definition` of the schema allows, in quotation marks.
    pub(super) fn word(&mut self, definition: &str) -> String {
        format!("{:?}", self.pick(&words(&SCHEMA["definitions"][definition])))
    }

    /// A strategy of any kind, with any of its options; `devices` and `layers` can be named by them.
    pub(super) fn strategy(&mut self, devices: &[String], layers: &[String]) -> Table {
        let kinds = SCHEMA["definitions"]["StrategyForm"]["properties"].as_object().unwrap();
        let kinds: Vec<(&String, &Value)> = kinds.iter().filter(|(_, kind)| kind.get("anyOf").is_some()).collect();
        let (name, kind) = *self.pick(&kinds);
        let options = self.options(resolved(kind), devices, layers);
        Table::from_iter([(name.clone(), Toml::Table(options))])
    }

    fn options(&mut self, form: &Value, devices: &[String], layers: &[String]) -> Table {
        let mut table = Table::new();
        for (key, option) in form["properties"].as_object().into_iter().flatten() {
            if !self.is(40) {
                continue;
            }
            let named = if key == "until" { layers } else { devices };
            let option = resolved(option);
            let value = match option["type"].as_str() {
                Some("boolean") => self.is(50).into(),
                Some("integer") => i64::from(self.number(1..9)).into(),
                Some("number") => self.real(0.5..2.0).into(),
                Some("string") => self.pick(named).clone().into(),
                Some("array") => self.some(named).into_iter().map(Toml::String).collect::<Vec<_>>().into(),
                Some("object") => self.options(option, devices, layers).into(),
                _ => self.pick(&words(option)).clone().into(),
            };
            table.insert(key.clone(), value);
        }
        table
    }
}

/// What a schema refers to.
fn resolved(schema: &Value) -> &Value {
    let reference = ["anyOf", "allOf"].iter().find_map(|key| schema[*key][0]["$ref"].as_str());
    match reference.or(schema["$ref"].as_str()) {
        Some(path) => &SCHEMA["definitions"][path.rsplit('/').next().unwrap()],
        None => schema,
    }
}

fn words(schema: &Value) -> Vec<String> {
    let word = |choice: &Value| choice["const"].as_str().map(str::to_owned);
    let of_choices = schema["oneOf"].as_array().into_iter().flatten().filter_map(word);
    let listed = schema["enum"].as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned));
    let words: Vec<String> = of_choices.chain(listed).collect();
    assert!(!words.is_empty(), "nothing is known of {schema}");
    words
}
