//! The agreement with theory as text.

use serde::Serialize;

use super::Figure;
use super::{Agreement, LEVEL, REPLICATIONS};
use crate::output::grid::{decimals, grid, page};
use crate::output::{json_text, paths_csv};

/// Each column's title and unit.
const TITLES: [(&str, &str); 8] = [
    ("case", ""),
    ("load", ""),
    ("theory", ""),
    ("simulated", ""),
    ("bias", "%"),
    ("+-", "%"),
    ("limit", "%"),
    ("covered", "seeds"),
];

/// The agreements as lines of at most 80 columns, with a header in bold if so wanted.
pub fn theory_table(agreements: &[Agreement], bold: bool) -> String {
    let lines = agreements.iter().map(|agreement| cells(agreement).into());
    page(grid(&TITLES, 1, lines, bold), captions(agreements))
}

/// The agreements as a document in Markdown, which says how to make it again.
pub fn theory_markdown(agreements: &[Agreement]) -> String {
    let seeds = agreements.iter().map(|agreement| agreement.seeds).max().unwrap_or(0);
    let mut text = format!(
        "# Agreement with theory\n\n\
         Made by `coinfer theory --seeds {seeds} --format markdown`; the same command gives the same bytes.\n\n\
         Every case is served as any scenario is: queries arrive, a strategy plans, the engine runs the plans, and the \
         warm-up is\nleft out as reports leave it out. The formulas and where they come from are in \
         `src/engine/theory`, the cases in\n`src/theory/cases.rs`.\n\n"
    );
    let titles = TITLES.map(|(title, unit)| if unit == "%" { format!("{title} %") } else { title.to_owned() });
    text += &format!("| {} |\n|---|{}\n", titles.join(" | "), "--:|".repeat(titles.len() - 1));
    for agreement in agreements {
        text += &format!("| {} |\n", cells(agreement).map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text.push('\n');
    text + &captions(agreements).iter().map(|caption| format!("- {caption}\n")).collect::<String>()
}

/// A line of the agreement with theory.
#[derive(Serialize)]
struct AgreementView<'a> {
    #[serde(flatten)]
    agreement: &'a Agreement,
    /// Whether the bias is within its limit and enough seeds are covered.
    agrees: bool,
}

impl<'a> From<&'a Agreement> for AgreementView<'a> {
    fn from(agreement: &'a Agreement) -> AgreementView<'a> {
        AgreementView { agreement, agrees: agreement.is_within() }
    }
}

/// The agreements as CSV; biases are fractions.
pub fn theory_csv(agreements: &[Agreement]) -> Vec<u8> {
    const COLUMNS: [&str; 11] = [
        "case",
        "figure",
        "load",
        "theory",
        "simulated",
        "bias",
        "bias_half_width",
        "bias_max",
        "covered",
        "seeds",
        "agrees",
    ];
    paths_csv(&COLUMNS.map(|name| (name, name)), agreements.iter().map(AgreementView::from))
}

/// The agreements as one JSON object with a newline at its end; biases are fractions.
pub fn theory_json(agreements: &[Agreement]) -> String {
    #[derive(Serialize)]
    struct TheoryView<'a> {
        /// Replications of each seed.
        replications: u32,
        /// The level of confidence of intervals.
        level: f64,
        /// What each case came to.
        cases: Vec<AgreementView<'a>>,
    }
    json_text(&TheoryView {
        replications: REPLICATIONS,
        level: LEVEL,
        cases: agreements.iter().map(AgreementView::from).collect(),
    })
}

fn cells(agreement: &Agreement) -> [String; 8] {
    let Agreement { load, theory, simulated, bias, bias_half_width, bias_max, covered, seeds, .. } = *agreement;
    let places = decimals(5, [theory].into_iter());
    let mark = if agreement.is_within() { "" } else { " !" };
    [
        match agreement.figure {
            Figure::LatencyMean => agreement.case.clone(),
            Figure::Lost => format!("{}, share lost", agreement.case),
        },
        format!("{load:.2}"),
        format!("{theory:.places$}"),
        format!("{simulated:.places$}"),
        format!("{:+.2}", bias * 100.0),
        format!("{:.2}", bias_half_width * 100.0),
        format!("{:.1}", bias_max * 100.0),
        format!("{covered}/{seeds}{mark}"),
    ]
}

fn captions(agreements: &[Agreement]) -> Vec<String> {
    let level = LEVEL * 100.0;
    let mut captions = vec![
        "theory, simulated: mean latency in ms, where a mean service of a device or link takes about 1 ms".to_owned(),
        format!("bias: of the mean over all seeds; +-: half of its interval at {level:.0} % confidence"),
        format!(
            "covered: seeds whose own interval at {level:.0} %, over {REPLICATIONS} replications, holds what theory says"
        ),
    ];
    let outside: Vec<&Agreement> = agreements.iter().filter(|agreement| !agreement.is_within()).collect();
    let all = agreements.len();
    captions.push(match outside.len() {
        0 => format!("all {all} agree: no bias exceeds its limit by more than chance explains, and enough are covered"),
        count => format!("{count} of {all} are outside their limits, marked with an exclamation mark"),
    });
    captions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(case: &str, figure: Figure, covered: u32) -> Agreement {
        Agreement {
            case: case.into(),
            figure,
            load: 0.8,
            theory: 5.0,
            simulated: 5.01,
            bias: 0.002,
            bias_half_width: 0.0015,
            bias_max: 0.005,
            covered,
            seeds: 100,
        }
    }

    #[test]
    fn every_case_fits_a_line_of_80_columns() {
        let all: Vec<Agreement> = super::super::cases()
            .iter()
            .map(|case| Agreement {
                simulated: case.expected[0].1,
                bias: -0.1,
                bias_half_width: 0.1,
                theory: case.expected[0].1,
                ..agreement(&case.name, case.expected[case.expected.len() - 1].0, 1)
            })
            .map(|agreement| Agreement { covered: 100, seeds: 100, ..agreement })
            .collect();
        for line in theory_table(&all, false).lines() {
            assert!(line.len() <= 80, "{} columns: {line}", line.len());
        }
    }

    #[test]
    fn what_is_outside_its_limits_is_marked() {
        let agreements = [agreement("M/M/1", Figure::LatencyMean, 98), agreement("M/M/1/5", Figure::Lost, 94)];
        insta::assert_snapshot!(theory_table(&agreements, false));
        insta::assert_snapshot!(theory_markdown(&agreements));
        insta::assert_snapshot!(String::from_utf8(theory_csv(&agreements)).unwrap());
        insta::assert_snapshot!(theory_json(&agreements[..1]));
    }
}
