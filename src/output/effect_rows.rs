//! `sensitivity.csv` read back.

use super::read::{CsvFault, Line, read_rows};
use crate::output::sensitivity::{COLUMNS, Effect, Gauge};

/// The effects in a file that [`sensitivity_csv`](crate::output::sensitivity_csv) wrote. What follows from its figures is
/// not read.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_sensitivity_csv(bytes: &[u8]) -> Result<Vec<Effect>, Vec<CsvFault>> {
    read_rows(bytes, &COLUMNS, |line| {
        let text = |line: &Line<'_>, column: &str| line.text(column).to_owned();
        let figure = |line: &mut Line<'_>, column: &str| line.unless_empty(column, Line::quantity);
        let figures = ["figure_low", "figure_base", "figure_high"].map(|column| figure(line, column));
        let percent = line.count("by_percent");
        let gauge = Gauge::ALL.into_iter().find(|gauge| gauge.name() == line.text("figure"));
        let gauge = line.or_fault(gauge, "figure", "`speedup` or `makespan_ms`");
        let [low, base, high] = figures;
        Some(Effect {
            strategy: text(line, "strategy"),
            key: text(line, "key"),
            percent: percent?,
            values: ["value_low", "value_base", "value_high"].map(|column| text(line, column)),
            gauge: gauge?,
            figures: [low?, base?, high?],
            error: Some(text(line, "error")).filter(|error| !error.is_empty()),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::output::sensitivity_csv;

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
