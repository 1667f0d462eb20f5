//! Measurements of a Jetson AGX Xavier: what a processor gets of the memory that it shares (PCCS, github.com/
//! processorcentricmodel/PCCS).
//!
//! An error here is the mean over the 100 measured points of `|predicted / measured - 1|`, both as the part of its
//! isolated bandwidth that the processor keeps. Every constant was fitted to these very points, so that errors say how
//! well a form can follow them, not how well it predicts another board.

use std::sync::Arc;

use coinfer::cost::parse_bandwidth;
use coinfer::platform::{BandwidthRule, BandwidthTable};
use coinfer::units::BytesPerSec;

/// GB/s alone, of others, and achieved.
fn points() -> Vec<[f64; 3]> {
    let text = super::kcc2020::read("traces/xavier-shared-bandwidth.csv");
    let rows = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    let point = |row: &str| {
        let numbers: Vec<f64> = row.split(',').map(|number| number.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    };
    rows.map(point).collect()
}

fn rate(giga: f64) -> BytesPerSec {
    BytesPerSec::new(giga * 1e9).unwrap()
}

fn mean_error<'a>(points: impl IntoIterator<Item = &'a [f64; 3]>, speed: impl Fn(f64, f64) -> f64) -> f64 {
    let error = |&[own, others, achieved]: &[f64; 3]| (speed(own * 1e9, others * 1e9) / (achieved / own) - 1.0).abs();
    let errors: Vec<f64> = points.into_iter().map(error).collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn forms_of_shared_bandwidth_follow_the_measured_points_as_far_as_stated() {
    let points = points();
    assert_eq!(points.len(), 100);
    let error = |rule: &BandwidthRule| mean_error(&points, |own, others| rule.speed(own, others));
    let proportional = |peak: f64| BandwidthRule::Proportional { peak: rate(peak) };
    // The best whole number of GB/s.
    let peak = (60..=140).map(f64::from).min_by(|&a, &b| error(&proportional(a)).total_cmp(&error(&proportional(b))));
    let text = super::kcc2020::read("traces/xavier-shared-bandwidth.csv");
    let table = BandwidthRule::Table(Arc::new(parse_bandwidth(text.as_bytes()).unwrap()));
    let residual = BandwidthRule::ResidualOrFloor { peak: rate(78.0), floor: rate(46.0) };
    let (threshold, cap, width) = (rate(76.5), rate(40.6), rate(71.0));
    let smooth = BandwidthRule::Smooth { threshold, cap, width, exponent: 0.91 };
    let none = mean_error(&points, |_, _| 1.0);
    println!(
        "no model {none:.3}; proportional {:.3} with {peak:?} GB/s, {:.3} with 78;",
        error(&proportional(peak.unwrap())),
        error(&proportional(78.0))
    );
    println!("residual or floor {:.3}; smooth {:.4}; table {}", error(&residual), error(&smooth), error(&table));
    assert!((none - 0.27).abs() < 0.005);
    assert_eq!(peak, Some(103.0));
    assert!((error(&proportional(103.0)) - 0.13).abs() < 0.005);
    assert!((error(&residual) - 0.053).abs() < 0.0005);
    assert!(error(&smooth) <= 0.025 && (error(&smooth) - 0.023).abs() < 0.0005);
    // Nothing but the rounding of a product and a quotient.
    assert!(error(&table) < 1e-15);
}

#[test]
fn the_table_predicts_needs_that_are_left_out_of_it() {
    let points = points();
    let side = |index: usize| {
        let mut needs: Vec<f64> = points.iter().map(|point| point[index]).collect();
        needs.dedup();
        needs.sort_by(f64::total_cmp);
        needs.dedup();
        needs
    };
    let (own, others) = (side(0), side(1));
    let achieved = |own: f64, others: f64| points.iter().find(|point| point[..2] == [own, others]).unwrap()[2];
    // Each inner row, then each inner column, from a table without it.
    let left_out = |index: usize, needs: &[f64]| {
        let inner = &needs[1..needs.len() - 1];
        let errors = inner.iter().map(|&without| {
            let kept = |side: &[f64], is_this: bool| -> Vec<f64> {
                side.iter().copied().filter(|&need| !is_this || need != without).collect()
            };
            let (rows, columns) = (kept(&own, index == 0), kept(&others, index == 1));
            let rates = |needs: &[f64]| needs.iter().map(|&need| rate(need)).collect::<Vec<_>>();
            let table = BandwidthTable::new(&rates(&rows), &rates(&columns), |row, column| {
                rate(achieved(rows[row], columns[column]))
            });
            let rule = BandwidthRule::Table(Arc::new(table));
            mean_error(points.iter().filter(|point| point[index] == without), |own, others| rule.speed(own, others))
        });
        errors.sum::<f64>() / inner.len() as f64
    };
    let (row, column) = (left_out(0, &own), left_out(1, &others));
    println!("left out: a need of its own {row:.4}, a need of others {column:.4}");
    assert!((0.02..0.03).contains(&row) && (0.005..0.01).contains(&column), "{row} {column}");
}
