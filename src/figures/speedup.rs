//! Speed-up over the baseline: bars of a run, lines of a sweep.

use super::axis::Axis;
use super::bars::{Bar, BarGroup, BarPiece, Chart, bars_svg};
use super::canvas::Width;
use super::lines::lines_svg;
use super::metric::Metric;
use super::preset::Look;
use super::style::GRID;
use super::style::Hatching;
use super::style::colour;
use super::swept::Swept;
use crate::output::ResultsTable;

/// The figure, or what is missing. `baseline` says what speed-ups are relative to, if that is known.
pub(super) fn speedup_svg(
    title: &str,
    table: &ResultsTable,
    baseline: Option<&str>,
    look: &Look,
) -> Result<String, String> {
    if !table.has("speedup") {
        return Err("a baseline that has a result; `coinfer run SCENARIO` of a scenario with `baseline`".into());
    }
    let axis_title = baseline.map_or("speed-up".to_owned(), |baseline| format!("speed-up over {baseline}"));
    let against = look.against.as_deref();
    match Swept::new(table, against) {
        Ok(swept) => Ok(lines_svg(title, &swept, Metric::Speedup, &axis_title, look)),
        Err(cause) if against.is_some() => Err(cause),
        Err(cause) => {
            let bars = bars(table);
            // Lines of a sweep that has no axis are too many for bars.
            if bars.len() > BARS_MAX { Err(cause) } else { Ok(draw(title, &bars, &axis_title, look.width)) }
        }
    }
}

/// The longest bar leaves room for its label.
const LABEL_ROOM: f64 = 1.1;
/// More bars do not fit a page.
const BARS_MAX: usize = 60;

/// Name, place among strategies and speed-up.
type Named = (String, usize, f64);

fn bars(table: &ResultsTable) -> Vec<Named> {
    let lines = table.lines.iter().filter_map(|line| {
        let speedup = Metric::Speedup.of(table, line)?.value;
        let settings = table.settings().iter().zip(line.cells.iter()).map(|(name, value)| format!(", {name}={value}"));
        let name = table.strategy(line).to_owned() + &settings.collect::<String>();
        Some((name, table.strategy_index(line), speedup))
    });
    lines.collect()
}

fn draw(title: &str, bars: &[Named], axis_title: &str, width: Width) -> String {
    let max = bars.iter().map(|(_, _, speedup)| *speedup).fold(1.0, f64::max) * LABEL_ROOM;
    let chart = Chart {
        title,
        axis: Axis::new(max, 5),
        axis_title,
        // A bar has its name beside it, and needs no colour of its own.
        paint: &|canvas, frame, paint| match paint {
            0 => canvas.hatched_box(frame, colour(0), Hatching::None),
            _ => canvas.hatched_box(frame, GRID, Hatching::Rising),
        },
        paints: vec![],
        mark: Some(1.0),
    };
    let groups = bars.iter().map(|(name, _, speedup)| {
        let pieces = vec![BarPiece { length: *speedup, paint: usize::from(*speedup < 1.0) }];
        BarGroup { name: name.clone(), bars: vec![Bar { pieces, label: format!("{speedup:.2}"), ..Bar::default() }] }
    });
    bars_svg(&chart, &groups.collect::<Vec<_>>(), width)
}
