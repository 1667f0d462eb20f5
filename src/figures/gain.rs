//! Throughput along a swept setting as bars, and above them the speed-up over the baseline on an axis of its own.

use super::axis::{AXIS_BELOW, Axis, Side};
use super::canvas::{BELOW_TITLE, Canvas, Frame, MARGIN, THIN, Width, draw};
use super::legend::{Legend, sample_box};
use super::lines::{Drawn, draw_lines, drawn, extents, line_sample};
use super::metric::Metric;
use super::preset::{Look, Material};
use super::published::{PublishedPoint, add_published, shown};
use super::style::{GREY, INK};
use super::swept::{Swept, SweptSeries};
use crate::output::ResultsTable;

/// The figure, or what is missing. Values of the setting are as far apart as there are bars, however they differ; what
/// was published is drawn as open markers over the bars, and its speed-up if the baseline was published too.
pub(super) fn gain_svg(material: &Material, table: &ResultsTable, look: &Look) -> Result<String, String> {
    let width = look.width;
    let swept = Swept::new(table, look.against.as_deref())?;
    let baseline = material.baseline(table);
    let faster: Vec<&SweptSeries<'_>> =
        swept.series.iter().filter(|series| Some(swept.strategy(series)) != baseline).collect();
    let gains: Vec<f64> = faster.iter().flat_map(|series| extents(&swept, series, Metric::Speedup)).collect();
    if gains.is_empty() {
        return Err(NEEDED.into());
    }
    let published = shown(&look.published, &swept, Metric::Throughput);
    let published_gains = published_gains(&published, baseline);
    let rates = swept.series.iter().flat_map(|series| extents(&swept, series, Metric::Throughput));
    let rates = rates.chain(published.iter().map(|(_, point)| point.throughput));
    let gains = gains.into_iter().chain(published_gains.iter().map(|(_, _, gain)| *gain));
    let up = Axis::new(rates.fold(0.0, f64::max) * HEADROOM, 7);
    let gain = Axis::between(gains.clone().fold(1.0, f64::min), gains.fold(1.0, f64::max), 3);
    let along = Axis::categories(&swept.values);
    let (upper_height, lower_height) = if width == Width::Column { (220, 360) } else { (300, 540) };
    let upper = Frame {
        left: up.room(),
        top: BELOW_TITLE,
        right: width.units() - gain.room(),
        bottom: BELOW_TITLE + upper_height,
    };
    let lower = Frame { top: upper.bottom, bottom: upper.bottom + lower_height, ..upper };
    // A marker on an edge would hide it.
    let inner = Frame { top: upper.top + INSET, bottom: upper.bottom - INSET, ..upper };
    let slots = Slots { frame: lower, values: &swept.values, bars: swept.series.len() };
    if slots.bar_width() < BAR_MIN {
        return Err(format!(
            "a sweep with fewer bars than {} strategies have at {} values; choose some by --where strategy=NAME or --where \
             {}=VALUE{}",
            slots.bars,
            swept.values.len(),
            swept.setting,
            if width == Width::Column { ", or use --width page" } else { "" }
        ));
    }
    let legend = legend(&swept, &faster, &published);
    let below = lower.bottom + AXIS_BELOW;
    Ok(draw(width, below + legend.height(width) + MARGIN, |canvas| {
        canvas.title(&material.title);
        along.draw_labels(canvas, lower, Side::Bottom, &swept.title);
        up.draw(canvas, lower, Side::Left, Metric::Throughput.title(table));
        let gain_title = baseline.map_or("speed-up".to_owned(), |baseline| format!("speed-up over {baseline}"));
        gain.draw(canvas, inner, Side::Right, &gain_title);
        for (place, series) in swept.series.iter().enumerate() {
            draw_bars(canvas, &swept, series, &slots, place, &up);
        }
        for (index, point) in &published {
            let place = swept.series.iter().position(|series| series.index == *index).unwrap_or_default();
            let (left, right) = slots.bar(point.value, place);
            let percent = (slots.bar_width() * 5.0).clamp(60.0, 110.0) as i32;
            canvas.open_marker(((left + right) / 2, lower.y(up.at(point.throughput))), *index, percent);
        }
        let y = |value| inner.y(gain.at(value));
        canvas.line((upper.left, y(1.0)), (upper.right, y(1.0)), INK, THIN);
        for (index, value, gain) in &published_gains {
            canvas.open_marker((slots.middle(*value), y(*gain)), *index, 170);
        }
        let lines = faster.iter().map(|series| drawn(&swept, series, Metric::Speedup, |x| slots.middle(x), y));
        let lines: Vec<Drawn> = lines.collect();
        draw_lines(canvas, &lines);
        for line in &lines {
            line.line.iter().for_each(|&at| canvas.marker(at, line.index));
        }
        canvas.outline(upper, GREY);
        canvas.outline(lower, GREY);
        legend.draw(canvas, below, width);
    }))
}

/// The highest bar does not touch the frame.
const HEADROOM: f64 = 1.03;
/// Half of a published marker among speed-ups.
const INSET: i32 = 20;
/// Narrower bars cannot be told apart.
const BAR_MIN: f64 = 8.0;
/// The share of a value's room that its bars take.
const FILLED: f64 = 0.8;

const NEEDED: &str = "the speed-up of a strategy over a baseline; `coinfer sweep SCENARIO` of a scenario with \
                      `baseline` and other strategies makes it";

/// Where bars are.
struct Slots<'a> {
    frame: Frame,
    values: &'a [f64],
    /// At each value.
    bars: usize,
}

impl Slots<'_> {
    fn bar_width(&self) -> f64 {
        f64::from(self.frame.width()) / self.values.len() as f64 * FILLED / self.bars as f64
    }

    /// Where a share of the room of `value` is.
    fn x(&self, value: f64, share: f64) -> i32 {
        let index = self.values.iter().position(|found| *found == value).unwrap_or_default();
        self.frame.x((index as f64 + share) / self.values.len() as f64)
    }

    fn middle(&self, value: f64) -> i32 {
        self.x(value, 0.5)
    }

    /// The left and the right edge of the bar at this place among those of `value`.
    fn bar(&self, value: f64, place: usize) -> (i32, i32) {
        let edge = |place: usize| self.x(value, (1.0 - FILLED) / 2.0 + FILLED * place as f64 / self.bars as f64);
        (edge(place), edge(place + 1))
    }
}

/// The speed-ups over the published baseline: look, value of the setting, and speed-up.
fn published_gains(published: &[(usize, &PublishedPoint)], baseline: Option<&str>) -> Vec<(usize, f64, f64)> {
    let is_baseline = |point: &PublishedPoint| Some(point.series.as_str()) == baseline;
    let gain = |(index, point): &(usize, &PublishedPoint)| {
        let found = published.iter().find(|(_, base)| is_baseline(base) && base.value == point.value);
        let gain = point.throughput / found?.1.throughput;
        (!is_baseline(point) && super::is_drawable(gain)).then_some((*index, point.value, gain))
    };
    published.iter().filter_map(gain).collect()
}

fn legend<'a>(swept: &Swept<'_>, faster: &[&SweptSeries<'_>], published: &[(usize, &PublishedPoint)]) -> Legend<'a> {
    let mut legend = Legend::default();
    for series in &swept.series {
        let index = series.index;
        legend.add(&series.name, move |canvas, at| {
            canvas.device_box(sample_box(at), index);
            canvas.outline(sample_box(at), INK);
        });
    }
    for series in faster {
        let index = series.index;
        legend.add(format!("speed-up of {}", series.name), move |canvas, at| line_sample(canvas, at, index));
    }
    if let Some(source) = swept.band_source(Metric::Throughput) {
        legend.add(format!("whisker: {source}"), |canvas, (x, y)| draw_whisker(canvas, x, (y - 11, y + 11)));
    }
    add_published(&mut legend, published);
    legend
}

fn draw_bars(
    canvas: &mut Canvas<'_>,
    swept: &Swept<'_>,
    series: &SweptSeries<'_>,
    slots: &Slots<'_>,
    place: usize,
    up: &Axis,
) {
    let y = |value| slots.frame.y(up.at(value));
    for (value, lines) in &series.points {
        let Some(found) = swept.value(lines, Metric::Throughput) else { continue };
        let (left, right) = slots.bar(*value, place);
        let bar = Frame { left, right, top: y(found.value), bottom: slots.frame.bottom };
        canvas.device_box(bar, series.index);
        canvas.outline(bar, INK);
        if let Some((low, high)) = found.band {
            draw_whisker(canvas, (left + right) / 2, (y(high), y(low)));
        }
    }
}

/// An upright line with an end at the top and at the bottom.
fn draw_whisker(canvas: &mut Canvas<'_>, x: i32, (top, bottom): (i32, i32)) {
    canvas.line((x, top), (x, bottom), INK, THIN);
    for y in [top, bottom] {
        canvas.line((x - 4, y), (x + 4, y), INK, THIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::results_table::tests::table;

    /// A figure in a column, of strategies and their throughput and speed-up at each of these batches.
    fn check(rows: &str, published: &[(&str, f64, f64)]) -> Result<String, String> {
        let results = Some(table(&format!("batch,strategy,makespan_ms,samples_per_s,speedup\n{rows}")));
        let material = Material { title: "t".into(), results, ..Material::default() };
        let point = |&(series, value, throughput): &(&str, f64, f64)| PublishedPoint {
            series: series.to_owned(),
            value,
            throughput,
        };
        let published = published.iter().map(point).collect();
        let look = Look { width: Width::Column, published, ..Look::default() };
        gain_svg(&material, material.results.as_ref().unwrap(), &look)
    }

    /// Left and upper edge, width and height of the outlined boxes: bars, and samples of the legend.
    fn boxes(svg: &str) -> Vec<[i32; 4]> {
        let outlined = |line: &&str| line.starts_with("<rect") && line.contains("stroke=\"#282828\"");
        let number = |line: &str, name: &str| -> i32 {
            let text = line.split(&format!(" {name}=\"")).nth(1).unwrap();
            text.split('"').next().unwrap().parse().unwrap()
        };
        let places = svg.lines().filter(outlined);
        places.map(|line| ["x", "y", "width", "height"].map(|name| number(line, name))).collect()
    }

    /// How many open markers there are, those of the legend too.
    fn open_markers(svg: &str) -> usize {
        let is_edge = |line: &&str| line.starts_with("<polyline") && line.contains("stroke=\"#282828\"");
        svg.lines().filter(is_edge).count()
    }

    const ROWS: &str = "4,a,1,100,1\n4,b,1,50,0.5\n16,a,1,100,1\n16,b,1,150,1.5\n2048,a,1,100,1\n2048,b,1,200,2\n";

    #[test]
    fn bars_stand_in_groups_of_the_same_width_whatever_the_values() {
        let svg = check(ROWS, &[]).unwrap();
        let boxes = boxes(&svg);
        let bars = &boxes[..6];
        let (a, b) = bars.split_at(3);
        assert_eq!(boxes.len(), 6 + 2, "bars and samples");
        for (a, b) in a.iter().zip(b) {
            assert!((a[0] + a[2] - b[0]).abs() <= 1, "{a:?} {b:?}");
        }
        assert!(((a[2][0] - a[1][0]) - (a[1][0] - a[0][0])).abs() <= 1, "{a:?}");
        let bottom = |bar: &[i32; 4]| bar[1] + bar[3];
        assert!(bars.iter().all(|bar| bottom(bar) == bottom(&bars[0])));
        assert_eq!([b[0][3], b[1][3], b[2][3]].map(|height| height * 100 / a[0][3]), [50, 150, 200]);
    }

    #[test]
    fn the_baseline_has_bars_and_no_line_but_that_at_1() {
        let svg = check(ROWS, &[]).unwrap();
        assert!(svg.contains("speed-up over a") && svg.contains("speed-up of b") && !svg.contains("speed-up of a"));
        assert!(!svg.contains("published"));
        assert!(check(&ROWS.replace("1.5", "1").replace("0.5", "1").replace(",2\n", ",1\n"), &[]).is_ok());
        let told =
            ["4,a,1,100,1\n16,a,1,100,1\n", "4,a,1,100,\n16,b,1,100,\n", "4,a,1,100,1\n"].map(|rows| check(rows, &[]));
        insta::assert_snapshot!(told.map(Result::unwrap_err).join("\n"), @"
        the speed-up of a strategy over a baseline; `coinfer sweep SCENARIO` of a scenario with `baseline` and other strategies makes it
        the speed-up of a strategy over a baseline; `coinfer sweep SCENARIO` of a scenario with `baseline` and other strategies makes it
        a sweep over a setting with numbers; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        ");
    }

    #[test]
    fn published_points_stand_over_bars_and_beside_speedups() {
        let one = check(ROWS, &[("b", 16.0, 140.0)]).unwrap();
        assert!(one.contains(">\npublished\n"));
        assert_eq!(open_markers(&one), 2, "a bar's and the legend's");
        let both = check(ROWS, &[("b", 16.0, 140.0), ("a", 16.0, 100.0), ("a", 4.0, 90.0)]).unwrap();
        assert_eq!(open_markers(&both), 3 + 1 + 2, "bars', that of the speed-up, and the legend's");
        assert_eq!(open_markers(&check(ROWS, &[("hidden", 16.0, 1.0), ("a", 17.0, 1.0)]).unwrap()), 0);
        let heights = |svg: &str| boxes(svg)[0][3];
        let high = check(ROWS, &[("a", 4.0, 2000.0)]).unwrap();
        assert!(heights(&high) < heights(&one) / 5, "the axis reaches what was published");
    }

    #[test]
    fn more_bars_than_can_be_told_apart_are_refused() {
        let rows: String = (1..=40).map(|batch| format!("{batch},a,1,1,1\n{batch},b,1,1,2\n")).collect();
        insta::assert_snapshot!(check(&rows, &[]).unwrap_err(), @"a sweep with fewer bars than 2 strategies have at 40 values; choose some by --where strategy=NAME or --where batch=VALUE, or use --width page");
    }

    #[test]
    fn seeds_give_whiskers() {
        let rows = "1,4,a,1,100,1\n2,4,a,1,120,1\n1,8,a,1,100,1\n1,4,b,1,50,0.5\n2,4,b,1,60,0.5\n1,8,b,1,60,0.6\n";
        let table = table(&format!("seed,batch,strategy,makespan_ms,samples_per_s,speedup\n{rows}"));
        let material = Material { results: Some(table), ..Material::default() };
        let svg = gain_svg(&material, material.results.as_ref().unwrap(), &Look::default()).unwrap();
        assert!(svg.contains("whisker: 95 % confidence over seeds"));
    }
}
