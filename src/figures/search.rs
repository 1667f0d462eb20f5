//! How good the plans of strategies are against the time to find them.

use std::collections::BTreeMap;

use plotters::style::WHITE;

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{Anchor, BELOW_TITLE, Canvas, Frame, LINE, MARGIN, Point, STROKE, TEXT, Width, draw, text_width};
use super::front::{Better, front, steps};
use super::legend::{Legend, SAMPLE};
use super::metric::{Metric, is_seed, mean};
use super::pareto::axis;
use super::style::GREY;
use crate::output::ResultsTable;

/// The figure: a marker a strategy, and a step line along those that no other beats in both. Or what is missing.
pub(super) fn search_svg(title: &str, table: &ResultsTable, width: Width) -> Result<String, String> {
    let (metric, better) = match table.has("speedup") {
        true => (Metric::Speedup, Better::More),
        false => (Metric::MakespanMs, Better::Less),
    };
    let found = found(table, metric)?;
    // What costs nothing stands on the edge.
    let positive = found.iter().map(|strategy| strategy.search).filter(|&search| search > 0.0);
    let along = Axis::log(positive).ok_or(NEEDED)?;
    let qualities = found.iter().map(|strategy| strategy.quality);
    let up = match better {
        Better::More => Axis::new(qualities.fold(0.0, f64::max) * HEADROOM, 5),
        Better::Less => axis(qualities),
    };
    let frame = Frame {
        left: up.room(),
        top: BELOW_TITLE,
        right: width.units() - along.overhang(),
        bottom: BELOW_TITLE + if width == Width::Column { 520 } else { 820 },
    };
    let at = |search: f64, quality: f64| {
        let x = if search > 0.0 { frame.x(along.at(search)) } else { frame.left };
        (x, frame.y(up.at(quality)))
    };
    let points: Vec<(f64, f64)> = found.iter().map(|strategy| (strategy.search, strategy.quality)).collect();
    let best: Vec<Point> = front(&points, better).into_iter().map(|(search, quality)| at(search, quality)).collect();
    let mut line = steps(&best);
    line.extend(line.last().map(|&(_, y)| (frame.right, y)));
    let markers: Vec<Point> = points.iter().map(|&(search, quality)| at(search, quality)).collect();
    let names: Vec<&str> = found.iter().map(|strategy| strategy.name.as_str()).collect();
    let labels = labels(&names, &markers, &line, frame);
    let mut legend = Legend::default();
    for (strategy, _) in found.iter().zip(&labels).filter(|(_, label)| label.is_none()) {
        legend.add(&strategy.name, |canvas, at| canvas.marker(at, strategy.index));
    }
    legend.add("best found within a time", |canvas, (x, y)| {
        canvas.line((x - SAMPLE / 2, y), (x + SAMPLE / 2, y), GREY, STROKE);
    });
    let below = frame.bottom + AXIS_BELOW;
    Ok(draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(title);
        along.draw(canvas, frame, Side::Bottom, "time to profile what the strategy has to know (s)");
        let quality = if metric == Metric::Speedup { "speed-up over the baseline" } else { metric.title(table) };
        up.draw(canvas, frame, Side::Left, quality);
        canvas.outline(frame, GREY);
        canvas.path(line, GREY, STROKE);
        for (name, label) in names.iter().zip(&labels) {
            label.iter().for_each(|label| draw_name(canvas, name, *label));
        }
        for (strategy, &marker) in found.iter().zip(&markers) {
            canvas.marker(marker, strategy.index);
        }
        legend.draw(canvas, below, width);
    }))
}

/// The best have their names above them.
const HEADROOM: f64 = 1.05;

const NEEDED: &str = "the column search_s in results.csv; `coinfer run SCENARIO` of a scenario with `[profiling]`";

/// What a strategy's plan is worth, and the seconds that its search takes.
struct Searched {
    name: String,
    index: usize,
    search: f64,
    quality: f64,
}

/// Each strategy that has both; means over seeds.
fn found(table: &ResultsTable, metric: Metric) -> Result<Vec<Searched>, String> {
    let mut by_strategy: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    let mut settings = None;
    for line in &table.lines {
        let search = table.value(line, "search_s").filter(|&search| search == 0.0 || super::is_drawable(search));
        let Some((search, quality)) = search.zip(metric.of(table, line)) else { continue };
        let here = table.settings().iter().zip(line.cells.iter()).filter(|(name, _)| !is_seed(name));
        let here: Vec<&str> = here.map(|(_, value)| value).collect();
        if *settings.get_or_insert_with(|| here.clone()) != here {
            return Err("a single point of the sweep; choose it by `--where KEY=VALUE`".into());
        }
        by_strategy.entry(table.strategy_index(line)).or_default().push((search, quality.value));
    }
    if by_strategy.is_empty() {
        return Err(NEEDED.into());
    }
    let strategies = by_strategy.into_iter().take(super::SERIES_MAX).filter_map(|(index, values)| {
        let search = mean(values.iter().map(|value| value.0))?.value;
        let quality = mean(values.iter().map(|value| value.1))?.value;
        Some(Searched { name: table.strategies[index].clone(), index, search, quality })
    });
    Ok(strategies.collect())
}

/// Where a name is written.
#[derive(Clone, Copy)]
struct Label {
    frame: Frame,
    anchor: Anchor,
}

/// Where names stand beside markers, so that they hide no marker, line or other name; `None` where there is no room.
fn labels(names: &[&str], markers: &[Point], line: &[Point], frame: Frame) -> Vec<Option<Label>> {
    let around = |&(x, y): &Point| Frame { left: x - MARKER, top: y - MARKER, right: x + MARKER, bottom: y + MARKER };
    let mut taken: Vec<Frame> = markers.iter().map(around).collect();
    taken.extend(line.windows(2).map(|ends| Frame {
        left: ends[0].0.min(ends[1].0),
        top: ends[0].1.min(ends[1].1),
        right: ends[0].0.max(ends[1].0),
        bottom: ends[0].1.max(ends[1].1),
    }));
    let mut labels = Vec::new();
    for (name, &(x, y)) in names.iter().zip(markers) {
        let is_free = |label: &Label| {
            let Frame { left, top, right, bottom } = label.frame;
            let is_inside = left > frame.left && top > frame.top && right < frame.right && bottom < frame.bottom;
            is_inside && !taken.iter().any(|other| overlap(label.frame, *other))
        };
        let label = candidates((x, y), text_width(name) + 4).into_iter().find(is_free);
        taken.extend(label.map(|label| label.frame));
        labels.push(label);
    }
    labels
}

/// Places of a name of such a width about a marker, the best first.
fn candidates((x, y): Point, room: i32) -> [Label; 8] {
    let half = LINE / 2 - 2;
    let (near, far) = (MARKER + 3, MARKER + 5 + half);
    let label = |left: i32, middle: i32, anchor| {
        let frame = Frame { left, top: middle - half, right: left + room, bottom: middle + half };
        Label { frame, anchor }
    };
    [
        label(x + near, y, Anchor::Left),
        label(x - near - room, y, Anchor::Right),
        label(x - room / 2, y - far, Anchor::Center),
        label(x - room / 2, y + far, Anchor::Center),
        label(x - MARKER, y - far, Anchor::Left),
        label(x - MARKER, y + far, Anchor::Left),
        label(x + MARKER - room, y - far, Anchor::Right),
        label(x + MARKER - room, y + far, Anchor::Right),
    ]
}

/// Half of the width of a marker and what is free around it.
const MARKER: i32 = 13;

fn overlap(a: Frame, b: Frame) -> bool {
    a.left <= b.right && b.left <= a.right && a.top <= b.bottom && b.top <= a.bottom
}

fn draw_name(canvas: &mut Canvas<'_>, name: &str, Label { frame, anchor }: Label) {
    let (center, middle) = frame.middle();
    // Lines of the grid end before it.
    canvas.fill(Frame { top: middle - TEXT / 2, bottom: middle + TEXT / 2, ..frame }, WHITE);
    let x = match anchor {
        Anchor::Left => frame.left,
        Anchor::Right => frame.right,
        Anchor::Center | Anchor::Upward => center,
    };
    canvas.text(name, (x, middle), anchor, frame.width());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::results_table::tests::table;

    fn check(header: &str, lines: &str) -> Result<String, String> {
        search_svg("t", &table(&format!("{header}\n{lines}")), Width::Column)
    }

    const HEADER: &str = "strategy,makespan_ms,samples_per_s,speedup,search_s";

    #[test]
    fn strategies_have_their_names_beside_them_or_in_the_legend() {
        let apart = check(HEADER, "greedy,1,1,1,10\nlegion,1,1,2,1000\n").unwrap();
        assert!(apart.contains("greedy") && apart.contains("legion") && apart.contains("speed-up"));
        // Ten in one place: not all names have room, and none is lost.
        let lines: String = (0..10).map(|index| format!("strategy {index},1,1,1,10\n")).collect();
        let crowded = check(HEADER, &lines).unwrap();
        assert!((0..10).all(|index| crowded.matches(&format!("strategy {index}\n")).count() == 1), "{crowded}");
    }

    #[test]
    fn what_costs_nothing_stands_on_the_edge_and_makespans_take_the_place_of_speedups() {
        let svg = check("strategy,makespan_ms,samples_per_s,search_s", "even,9,1,0\nlegion,5,1,100\n").unwrap();
        assert!(svg.contains("even") && svg.contains("makespan (ms)"));
        assert!(check("strategy,makespan_ms,samples_per_s,search_s", "even,9,1,0\n").is_err());
    }

    #[test]
    fn one_point_of_a_sweep_has_a_figure_and_seeds_are_averaged() {
        let header = format!("b,seed,{HEADER}");
        assert!(check(&header, "1,1,greedy,1,1,1,10\n1,2,greedy,1,1,2,10\n").is_ok());
        let needed = check(&header, "1,1,greedy,1,1,1,10\n2,1,greedy,1,1,2,10\n").unwrap_err();
        assert_eq!(needed, "a single point of the sweep; choose it by `--where KEY=VALUE`");
        let needed = check("strategy,makespan_ms,samples_per_s", "greedy,1,1\n").unwrap_err();
        assert!(needed.contains("search_s") && needed.contains("[profiling]"));
    }

    #[test]
    fn no_name_hides_a_marker_or_another_name() {
        let frame = Frame { left: 0, top: 0, right: 800, bottom: 500 };
        let markers: Vec<Point> = (0..12).map(|index| (100 + index % 4 * 40, 100 + index / 4 * 30)).collect();
        let names = vec!["a strategy"; 12];
        let line = [(0, 300), (800, 300)];
        let placed: Vec<Label> = labels(&names, &markers, &line, frame).into_iter().flatten().collect();
        let placed: Vec<Frame> = placed.into_iter().map(|label| label.frame).collect();
        assert!(placed.len() > 2);
        for (index, place) in placed.iter().enumerate() {
            assert!(!markers.iter().any(|&(x, y)| overlap(*place, Frame { left: x, top: y, right: x, bottom: y })));
            assert!(!placed[..index].iter().any(|other| overlap(*place, *other)));
        }
    }
}
