//! Measurements of a Jetson AGX Xavier: what a processor gets of the memory that it shares (PCCS, github.com/
//! processorcentricmodel/PCCS), and groups of layers on GPU and DLA (HaX-CoNN, github.com/ismetdagli/HaX-CoNN).
//!
//! An error of bandwidth is the mean over the 100 measured points of `|predicted / measured - 1|`, both as the part of its
//! isolated bandwidth that the processor keeps. Every constant was fitted to these very points, so that errors say how
//! well a form can follow them, not how well it predicts another board.

use std::sync::Arc;

use coinfer::cost::{CostModel, LayerKey, Lookup, Parts, Profile, TraceCosts, parse_bandwidth};
use coinfer::model::{Graph, ModelId, Region, Segment, Work, zoo};
use coinfer::platform::{BandwidthRule, BandwidthTable, Device, DeviceId, DeviceKind, Platform, Precision};
use coinfer::units::{Bytes, BytesPerSec, Share};

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
    assert!((error(&residual) - 0.049).abs() < 0.0005);
    assert!(error(&smooth) <= 0.025 && (error(&smooth) - 0.022).abs() < 0.0005);
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

const GPU: &str = "AGX-Xavier-GPU";
const DLA: &str = "AGX-Xavier-DLA";

/// GPU and DLA, with the times of a network's groups on both.
fn costs(model: &str) -> (Graph, TraceCosts) {
    let (trace, graph) = (super::kcc2020::trace("xavier-layer-groups"), zoo::graph(model).unwrap());
    let device = |(name, kind)| (Device { precision: Precision::Fp16, ..Device::new(name, kind) }, Bytes(1 << 30));
    let platform = Platform::new([(GPU, DeviceKind::Igpu), (DLA, DeviceKind::Dla)].map(device));
    let costs = TraceCosts::new(&platform, &[&graph], |id, _| {
        let (device, lookup) = (&platform.device(id).name, Lookup::Exact);
        let parts = Parts::new(&trace, device, Precision::Fp16, model, &graph, lookup, false);
        Profile { parts: Some(Arc::new(parts.unwrap())), ..Profile::default() }
    });
    (graph, costs)
}

/// Milliseconds of a part of the network for one sample.
fn time(graph: &Graph, costs: &TraceCosts, device: u32, segment: Segment) -> f64 {
    let rows = 0..graph.shape(segment.last()).rows;
    let work = Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows } };
    costs.compute(DeviceId(device), Share::FULL, &work).unwrap().time.as_millis_f64()
}

#[test]
fn groups_of_layers_take_what_was_measured_and_add_up() {
    // Every time of the published solver's input, by device.
    let googlenet = [
        [0.35, 0.15, 0.20, 0.11, 0.12, 0.13, 0.15, 0.19, 0.12, 0.20].to_vec(),
        [0.75, 0.34, 0.45, 0.37, 0.31, 0.33, 0.31, 0.35, 0.27, 0.36].to_vec(),
    ];
    let alexnet = [
        [0.15, 0.06, 0.22, 0.08, 0.16, 0.70, 0.32, 0.10].to_vec(),
        [0.41, 0.20, 0.45, 0.22, 0.41, 1.91, 0.68, 0.13].to_vec(),
    ];
    for (model, published) in [("googlenet-caffe", googlenet), ("alexnet-caffe", alexnet)] {
        let (graph, costs) = costs(model);
        let trace = super::kcc2020::trace("xavier-layer-groups");
        for (index, (device, times)) in (0..).zip([GPU, DLA].into_iter().zip(published)) {
            let of_device = trace.rows.iter().filter(|row| row.device == device && row.model == model);
            let groups: Vec<Segment> = of_device
                .map(|row| match &row.layer {
                    LayerKey::Named(name) => graph.find_segment(name).unwrap(),
                    other => panic!("{other:?}"),
                })
                .collect();
            // Groups follow each other and leave nothing out.
            let layers: Vec<_> = groups.iter().flat_map(|group| group.layers().collect::<Vec<_>>()).collect();
            assert_eq!(layers, graph.whole().unwrap().layers().collect::<Vec<_>>());
            for first in 0..groups.len() {
                for last in first..groups.len() {
                    let range = Segment::range(groups[first].first(), groups[last].last());
                    let sum: f64 = times[first..=last].iter().sum();
                    let found = time(&graph, &costs, index, range);
                    assert!((found - sum).abs() < 1e-6, "{model} on {device}, groups {first} to {last}: {found} {sum}");
                }
            }
        }
    }
}

#[test]
fn handing_over_from_the_dla_follows_its_bytes_and_from_the_gpu_nothing() {
    let trace = super::kcc2020::trace("xavier-layer-groups");
    let graph = zoo::graph("googlenet-caffe").unwrap();
    // Gigabytes of fp32 and milliseconds.
    let out_of = |device: &str| -> Vec<(f64, f64)> {
        let stated = trace.header["hand-over"].iter().filter(|text| text.contains(device));
        let parse = |text: &String| {
            let (_, rest) = text.split_once("behind ").unwrap();
            let (layer, time) = rest.split_once(": ").unwrap();
            let shape = graph.shape(graph.find(layer).unwrap());
            (shape.bytes(shape.rows).0 as f64 / 1e9, time.strip_suffix(" ms").unwrap().parse().unwrap())
        };
        stated.map(parse).collect()
    };
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    for (device, latency, slope, error) in [(DLA, 0.0421, 1.0 / 31.4, 0.12), (GPU, 0.0300, 0.0, 0.42)] {
        let points = out_of(device);
        assert_eq!(points.len(), 9);
        let errors = points.iter().map(|(bytes, time)| ((latency + bytes * slope * 1e3) / time - 1.0).abs()).collect();
        let found = mean(errors);
        println!("{device}: {latency} ms and {slope} s/GB err by {found:.3}");
        assert!((found - error).abs() < 0.01, "{device}: {found}");
    }
}

#[test]
fn two_networks_gain_from_groups_on_both_units_and_lose_part_of_it_to_contention() {
    // GPU only and DLA only are the sums of the measured groups; then the best placement, without and with contention.
    for (pair, gpu, dla, alone, together) in [
        ("googlenet-alexnet", 3.51, 8.25, 2.486, 2.649),
        ("googlenet-googlenet", 3.44, 7.68, 2.393, 2.415),
        ("alexnet-alexnet", 3.58, 8.82, 2.65, 3.080),
    ] {
        let of = |strategy: &str, contention: bool| {
            let case = super::case(&format!("xavier-{pair}"), &[format!("contention={contention}")]);
            super::entry_milliseconds(&case, strategy)
        };
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 2e-3, "{pair}: {found} {expected}");
        near(of("gpu only", true), gpu);
        near(of("dla only", true), dla);
        near(of("groups", false), alone);
        near(of("groups", true), together);
        println!("{pair}: {:.2} times the GPU, {:.2} without contention", gpu / together, gpu / alone);
        assert!(together < gpu && gpu < of("one on each", true), "whole networks side by side do not pay, groups do");
    }
}
