//! How results change with the constants of a scenario, one at a time: as a table, CSV and JSON.

use serde::Serialize;

use super::encode::json_text;
use super::grid::{named_grid, or_dash, page};
use super::read::{CsvMistake, Line, read_rows};
use super::record::paths_csv;

/// Which figure of results is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// The baseline's makespan over that of the strategy, both with the same constants.
    Speedup,
    /// The makespan in milliseconds.
    MakespanMs,
}

impl Gauge {
    /// All of them.
    pub const ALL: [Gauge; 2] = [Gauge::Speedup, Gauge::MakespanMs];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Gauge::Speedup => "speedup",
            Gauge::MakespanMs => "makespan_ms",
        }
    }
}

/// What one strategy achieves while one constant is less, as it stands, and more, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The strategy's name.
    pub strategy: String,
    /// The constant's path in the scenario.
    pub key: String,
    /// By how many percent it is less and more.
    pub percent: u32,
    /// The constant's values.
    pub values: [String; 3],
    /// Which figure it is.
    pub gauge: Gauge,
    /// The figure with each value; `None` where there is no result.
    pub figures: [Option<f64>; 3],
    /// Why there are not all results.
    pub error: Option<String>,
}

impl Effect {
    /// By how many percent the figure changes when the constant is less, and when it is more.
    pub fn changes(&self) -> [Option<f64>; 2] {
        let [low, base, high] = self.figures;
        let base = base.filter(|&base| base > 0.0);
        [low, high].map(|end| base.zip(end).map(|(base, end)| (end / base - 1.0) * 100.0))
    }

    /// How far apart the smallest and the largest figure are, in percent of the one as things stand.
    pub fn swing(&self) -> Option<f64> {
        let changes = self.changes().into_iter().flatten();
        let (least, most) = (changes.clone().fold(0.0, f64::min), changes.clone().fold(0.0, f64::max));
        changes.count().gt(&0).then_some(most - least)
    }
}

/// All effects of a scenario's constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// The scenario's name.
    pub scenario: String,
    /// What speed-ups are over.
    pub baseline: String,
    /// By strategy; of each, the largest effect first.
    pub effects: Vec<Effect>,
}

impl Sensitivity {
    /// Puts effects, strategy after strategy, in order: of each strategy the largest swing first, those without one
    /// last, and equal ones as they are.
    pub fn new(scenario: &str, baseline: &str, mut effects: Vec<Effect>) -> Sensitivity {
        for of_strategy in effects.chunk_by_mut(|a, b| a.strategy == b.strategy) {
            let size = |effect: &Effect| effect.swing().unwrap_or(-1.0);
            of_strategy.sort_by(|a, b| size(b).total_cmp(&size(a)));
        }
        Sensitivity { scenario: scenario.to_owned(), baseline: baseline.to_owned(), effects }
    }
}

/// The columns of `sensitivity.csv`, and the paths of their fields.
const COLUMNS: [(&str, &str); 14] = [
    ("strategy", "strategy"),
    ("key", "key"),
    ("by_percent", "by_percent"),
    ("value_low", "value.low"),
    ("value_base", "value.base"),
    ("value_high", "value.high"),
    ("figure", "figure"),
    ("figure_low", "low"),
    ("figure_base", "base"),
    ("figure_high", "high"),
    ("change_low_percent", "change_low_percent"),
    ("change_high_percent", "change_high_percent"),
    ("swing_percent", "swing_percent"),
    ("error", "error"),
];

/// A line for each strategy and constant. What is not known is empty.
pub fn sensitivity_csv(effects: &[Effect]) -> Vec<u8> {
    paths_csv(&COLUMNS, effects.iter().map(EffectView::from))
}

/// The effects in a file that [`sensitivity_csv`] wrote. What follows from its figures is not read.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_sensitivity_csv(bytes: &[u8]) -> Result<Vec<Effect>, Vec<CsvMistake>> {
    read_rows(bytes, &COLUMNS.map(|(name, _)| name), |line| {
        let figure = |line: &mut Line<'_>, column: &str| line.unless_empty(column, Line::quantity);
        let [low, base, high] = ["figure_low", "figure_base", "figure_high"].map(|column| figure(line, column));
        let percent = line.count("by_percent");
        let gauge = Gauge::ALL.into_iter().find(|gauge| gauge.name() == line.text("figure"));
        let gauge = line.or_fault(gauge, "figure", "`speedup` or `makespan_ms`");
        let text = |column: &str| line.text(column).to_owned();
        Some(Effect {
            strategy: text("strategy"),
            key: text("key"),
            percent: percent?,
            values: ["value_low", "value_base", "value_high"].map(text),
            gauge: gauge?,
            figures: [low?, base?, high?],
            error: Some(text("error")).filter(|error| !error.is_empty()),
        })
    })
}

/// All as one JSON object with a newline at its end. What is not known is `null`.
pub fn sensitivity_json(sensitivity: &Sensitivity) -> String {
    json_text(&SensitivityView {
        scenario: &sensitivity.scenario,
        baseline: &sensitivity.baseline,
        results: sensitivity.effects.iter().map(EffectView::from).collect(),
    })
}

#[derive(Serialize)]
struct SensitivityView<'a> {
    /// The scenario's name.
    scenario: &'a str,
    /// What speed-ups are over.
    baseline: &'a str,
    /// By strategy; of each, the largest effect first.
    results: Vec<EffectView<'a>>,
}

/// What one strategy achieves while one constant is less, as it stands, and more.
#[derive(Serialize)]
struct EffectView<'a> {
    /// The strategy's name.
    strategy: &'a str,
    /// The constant's path in the scenario.
    key: &'a str,
    /// By how many percent it is less and more.
    by_percent: u32,
    /// The constant's values.
    value: LowHigh<&'a str>,
    /// Which figure it is: `speedup` or `makespan_ms`.
    figure: &'static str,
    /// The figure with the constant less; not known where there is no result.
    low: Option<f64>,
    /// The figure as the constant stands.
    base: Option<f64>,
    /// The figure with the constant more.
    high: Option<f64>,
    /// By how many percent the figure changes when the constant is less.
    change_low_percent: Option<f64>,
    /// By how many percent it changes when the constant is more.
    change_high_percent: Option<f64>,
    /// How far apart the smallest and the largest figure are, in percent of the one as things stand.
    swing_percent: Option<f64>,
    /// Why there are not all results.
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct LowHigh<T> {
    /// Less.
    low: T,
    /// As it stands.
    base: T,
    /// More.
    high: T,
}

impl<'a> From<&'a Effect> for EffectView<'a> {
    fn from(effect: &'a Effect) -> EffectView<'a> {
        let [low, base, high] = effect.figures;
        let [change_low_percent, change_high_percent] = effect.changes();
        let value = effect.values.each_ref().map(String::as_str);
        EffectView {
            strategy: &effect.strategy,
            key: &effect.key,
            by_percent: effect.percent,
            value: LowHigh { low: value[0], base: value[1], high: value[2] },
            figure: effect.gauge.name(),
            low,
            base,
            high,
            change_low_percent,
            change_high_percent,
            swing_percent: effect.swing(),
            error: effect.error.as_deref(),
        }
    }
}

/// All as lines of at most 80 columns: a strategy, then its constants, and below what they were.
pub fn sensitivity_table(sensitivity: &Sensitivity, bold: bool) -> String {
    let effects = &sensitivity.effects;
    let gauge = effects.first().map_or(Gauge::Speedup, |effect| effect.gauge);
    let (title, decimals) = match gauge {
        Gauge::Speedup => ("speed-up", 3),
        Gauge::MakespanMs => ("ms", 1),
    };
    let titles =
        [("strategy", "  constant"), ("low", title), ("base", title), ("high", title), ("low", "%"), ("high", "%")];
    let figure = |value: Option<f64>| or_dash(value, decimals);
    let change = |value: Option<f64>| value.map_or("-".to_owned(), signed);
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let blank = String::new;
    for of_strategy in effects.chunk_by(|a, b| a.strategy == b.strategy) {
        let Effect { strategy, figures: [_, base, _], .. } = &of_strategy[0];
        rows.push((strategy.clone(), vec![blank(), figure(*base), blank(), blank(), blank()]));
        for effect in of_strategy {
            let ([low, _, high], [less, more]) = (effect.figures, effect.changes());
            let cells = vec![figure(low), blank(), figure(high), change(less), change(more)];
            rows.push((format!("  {}", effect.key), cells));
        }
    }
    page(named_grid(&titles, rows, bold), captions(sensitivity, gauge))
}

/// A percentage with its sign, which 0.0 has not.
fn signed(percent: f64) -> String {
    if percent.abs() < 0.05 { "0.0".to_owned() } else { format!("{percent:+.1}") }
}

fn captions(sensitivity: &Sensitivity, gauge: Gauge) -> Vec<String> {
    let effects = &sensitivity.effects;
    let mut captions = Vec::new();
    if let Some(Effect { percent, .. }) = effects.first() {
        captions.push(format!(
            "low, high: one constant {percent} % less and {percent} % more, all else as it stands; planned anew each time"
        ));
    }
    if gauge == Gauge::Speedup {
        captions.push(format!("speed-up: over {}, each at the same constants", sensitivity.baseline));
    }
    let mut told: Vec<&str> = Vec::new();
    for Effect { key, values: [low, base, high], .. } in effects {
        if !told.contains(&key.as_str()) {
            captions.push(format!("{key}: {low}, {base}, {high}"));
            told.push(key);
        }
    }
    let failed = effects.iter().filter_map(|effect| Some((effect, effect.error.as_ref()?)));
    captions.extend(failed.map(|(Effect { strategy, key, .. }, error)| format!("failed: {strategy}, {key}: {error}")));
    captions
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The effect of `key` on a strategy whose figures are these.
    pub(crate) fn effect(strategy: &str, key: &str, figures: [Option<f64>; 3]) -> Effect {
        Effect {
            strategy: strategy.to_owned(),
            key: key.to_owned(),
            percent: 20,
            values: ["8 ms", "10 ms", "12 ms"].map(str::to_owned),
            gauge: Gauge::Speedup,
            figures,
            error: None,
        }
    }

    fn example() -> Sensitivity {
        let greedy = |key, low, high| effect("greedy", key, [Some(low), Some(2.0), Some(high)]);
        let failed = Effect {
            error: Some("high: no link leads from `cpu` to `gpu`".into()),
            ..effect(
                "a strategy whose name says what all its settings are",
                "links.pcie.latency",
                [Some(1.0), Some(1.0), None],
            )
        };
        Sensitivity::new(
            "three devices",
            "gpu alone",
            vec![
                greedy("devices.a-device-with-a-long-name.speed.rate", 2.0, 2.0),
                greedy("links.pcie.latency", 1.9, 1.8),
                greedy("links.pcie.bandwidth", 1.5, 2.25),
                failed,
            ],
        )
    }

    #[test]
    fn the_largest_effect_comes_first_and_one_that_is_not_known_last() {
        let unknown = effect("s", "a", [Some(1.0), None, Some(2.0)]);
        let found = Sensitivity::new(
            "t",
            "b",
            vec![
                unknown,
                effect("s", "b", [Some(1.0), Some(1.0), Some(1.0)]),
                effect("s", "c", [Some(0.9), Some(1.0), Some(1.05)]),
                effect("s", "d", [Some(1.2), Some(1.0), None]),
                effect("r", "e", [Some(1.0), Some(1.0), Some(1.0)]),
            ],
        );
        let keys: Vec<&str> = found.effects.iter().map(|effect| effect.key.as_str()).collect();
        assert_eq!(keys, ["d", "c", "b", "a", "e"]);
        assert_eq!(found.effects[3].swing(), None);
    }

    #[test]
    fn the_table_fits_80_columns() {
        let text = sensitivity_table(&example(), false);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text, @"
        strategy                                   low      base      high    low   high
          constant                            speed-up  speed-up  speed-up      %      %
        --------------------------------------------------------------------------------
        greedy                                             2.000
          links.pcie.bandwidth                   1.500               2.250  -25.0  +12.5
          links.pcie.latency                     1.900               1.800   -5.0  -10.0
          devices.a-device-with-a-long-name.     2.000               2.000    0.0    0.0
          speed.rate
        a strategy whose name says what all                1.000
        its settings are
          links.pcie.latency                     1.000                   -    0.0      -

        low, high: one constant 20 % less and 20 % more, all else as it stands; planned
          anew each time
        speed-up: over gpu alone, each at the same constants
        links.pcie.bandwidth: 8 ms, 10 ms, 12 ms
        links.pcie.latency: 8 ms, 10 ms, 12 ms
        devices.a-device-with-a-long-name.speed.rate: 8 ms, 10 ms, 12 ms
        failed: a strategy whose name says what all its settings are,
          links.pcie.latency: high: no link leads from `cpu` to `gpu`
        ");
    }

    #[test]
    fn every_effect_has_a_line() {
        insta::assert_snapshot!(String::from_utf8(sensitivity_csv(&example().effects)).unwrap(), @"
        strategy,key,by_percent,value_low,value_base,value_high,figure,figure_low,figure_base,figure_high,change_low_percent,change_high_percent,swing_percent,error
        greedy,links.pcie.bandwidth,20,8 ms,10 ms,12 ms,speedup,1.5,2,2.25,-25,12.5,37.5,
        greedy,links.pcie.latency,20,8 ms,10 ms,12 ms,speedup,1.9,2,1.8,-5.000000000000004,-9.999999999999998,9.999999999999998,
        greedy,devices.a-device-with-a-long-name.speed.rate,20,8 ms,10 ms,12 ms,speedup,2,2,2,0,0,0,
        a strategy whose name says what all its settings are,links.pcie.latency,20,8 ms,10 ms,12 ms,speedup,1,1,,0,,0,high: no link leads from `cpu` to `gpu`
        ");
    }

    #[test]
    fn what_is_not_known_is_null() {
        let mut example = example();
        example.effects.drain(..3);
        insta::assert_snapshot!(sensitivity_json(&example), @r#"
        {
          "scenario": "three devices",
          "baseline": "gpu alone",
          "results": [
            {
              "strategy": "a strategy whose name says what all its settings are",
              "key": "links.pcie.latency",
              "by_percent": 20,
              "value": {
                "low": "8 ms",
                "base": "10 ms",
                "high": "12 ms"
              },
              "figure": "speedup",
              "low": 1.0,
              "base": 1.0,
              "high": null,
              "change_low_percent": 0.0,
              "change_high_percent": null,
              "swing_percent": 0.0,
              "error": "high: no link leads from `cpu` to `gpu`"
            }
          ]
        }
        "#);
    }

    proptest! {
        #[test]
        fn effects_that_are_written_read_back(
            cells: Vec<([String; 5], u32, [Option<u32>; 3], bool)>
        ) {
            let effect = |([strategy, key, low, base, high], percent, figures, is_speedup): ([String; 5], u32, [Option<u32>; 3], bool)| Effect {
                strategy,
                key,
                percent,
                values: [low, base, high],
                gauge: if is_speedup { Gauge::Speedup } else { Gauge::MakespanMs },
                figures: figures.map(|figure| figure.map(|figure| f64::from(figure) / 7.0)),
                error: is_speedup.then(|| "why".to_owned()),
            };
            let effects: Vec<Effect> = cells.into_iter().map(effect).collect();
            prop_assert_eq!(read_sensitivity_csv(&sensitivity_csv(&effects)), Ok(effects));
        }
    }
}
