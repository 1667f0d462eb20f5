//! What a profile measures: sound plans of every network, and which of their steps count.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use coinfer::cost::{LayerKey, Rows, Trace};
use coinfer::measure::{Asked, MeasureError, Profile, Provenance, Visit, Watch, networks};
use coinfer::model::{Graph, ModelId, unit_name, units, zoo};
use coinfer::plan::{Action, Violation};
use coinfer::platform::{Device, DeviceId, DeviceKind, Platform};
use coinfer::replay::profile::{Measurement, Target};
use coinfer::replay::{
    BackendError, DeviceInfo, Driver, Gathered, Hardware, Job, Networks, Prepared, Ran, Round, Tensor, There, Timing,
    Trouble, Workspace,
};
use coinfer::scenario::Scenario;
use coinfer::timeline::{Origin, Span, Timeline};
use coinfer::units::{Bytes, Duration, Time};

const FIRST: DeviceId = DeviceId(0);
const SECOND: DeviceId = DeviceId(1);
const NETWORKS: [&str; 6] = ["alexnet", "squeezenet_v1.1", "googlenet", "resnet-18", "mobilenet_v2", "lstm-2x512"];

fn platform(memory: Bytes) -> Platform {
    Platform::new(["first", "second"].map(|name| (Device::new(name, DeviceKind::Cpu), memory)))
}

fn measurement(target: &Target, graph: &Graph) -> Measurement {
    let found = target.measurement(&platform(Bytes(1 << 34)), &[graph], ModelId(0));
    found.unwrap_or_else(|violations| panic!("{target:?} of {}: {violations:?}", graph.name()))
}

/// A round of `measurement` in which step *i* runs in the *i*th span of milliseconds.
fn round(spans: &[(u64, u64)]) -> Round {
    let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
    let spans: Vec<Span> = spans.iter().map(|&(start, end)| Span { start: at(start), end: at(end) }).collect();
    Round { busy: vec![Duration::ZERO; spans.len()], there: vec![], timeline: Timeline::new(Origin::Measured, spans) }
}

/// A round in which steps of a millisecond follow each other.
fn one_after_the_other(measurement: &Measurement) -> Round {
    let count = measurement.plan.steps.len() as u64;
    round(&(0..count).map(|step| (step, step + 1)).collect::<Vec<_>>())
}

#[test]
fn whole_networks_are_one_step_of_all_samples() {
    for name in NETWORKS {
        let graph = zoo::graph(name).unwrap();
        for batch in [1, 3] {
            let target = Target::Whole { device: SECOND, batch };
            let measurement = measurement(&target, &graph);
            assert_eq!((measurement.plan.steps.len(), target.samples()), (1, batch));
            let measured = measurement.read(&one_after_the_other(&measurement));
            let [whole] = measured.as_slice() else { panic!("{measured:?}") };
            assert_eq!((&whole.layer, whole.rows, whole.beside), (&LayerKey::Whole, Rows::All, None));
            assert_eq!((whole.device, whole.batch, whole.time), (SECOND, batch, Duration::from_nanos(1_000_000)));
        }
    }
}

#[test]
fn a_segment_is_timed_in_parts_between_what_comes_before_and_after() {
    let graph = zoo::graph("resnet-18").unwrap();
    let target = |layers: &str| Target::Segment { device: FIRST, batch: 2, parts: 4, layers: layers.into() };
    assert!(!target("conv9").is_of(&graph) && target("layer2.0.conv1..layer2.1.relu").is_of(&graph));
    let check = |layers: &str, steps: usize| {
        let measurement = measurement(&target(layers), &graph);
        assert_eq!(measurement.plan.steps.len(), steps, "{layers}");
        let measured = measurement.read(&one_after_the_other(&measurement));
        assert_eq!(measured.len(), 4);
        for found in measured {
            assert_eq!(found.layer, LayerKey::Named(layers.into()));
            assert_eq!(found.rows, Rows::Count(graph.shape(graph.find_segment(layers).unwrap().last()).rows / 4));
        }
    };
    check("layer2.0.conv1..layer2.1.relu", 6);
    check("conv1..maxpool", 5);
}

#[test]
fn units_are_measured_whole_and_in_parts_that_cover_them() {
    for name in NETWORKS {
        let graph = zoo::graph(name).unwrap();
        for parts in [1, 2, 4] {
            let measurement = measurement(&Target::Units { device: FIRST, batch: 2, parts }, &graph);
            let mut rows: BTreeMap<String, Vec<u32>> = BTreeMap::new();
            for measured in measurement.read(&one_after_the_other(&measurement)) {
                let LayerKey::Named(unit) = measured.layer else { panic!("it is of a unit") };
                let of_unit = rows.entry(unit).or_default();
                match measured.rows {
                    Rows::Count(count) => of_unit.push(count),
                    _ => assert!(of_unit.is_empty(), "all rows are one step"),
                }
            }
            for unit in units(&graph) {
                let height = graph.shape(unit.last()).rows;
                let found = &rows[&unit_name(&graph, &unit)];
                let expected = if parts.min(height) == 1 { 0 } else { height };
                assert_eq!(found.iter().sum::<u32>(), expected, "{name}, {parts} parts");
                let (least, most) = (found.iter().min(), found.iter().max());
                assert!(most.is_none_or(|most| most - least.unwrap() <= 1), "parts are about equal: {found:?}");
            }
            assert_eq!(rows.len(), units(&graph).len());
        }
    }
}

/// Two steps on the first device and three on the second.
const PAIR: Target = Target::Pair { lanes: [(FIRST, 2), (SECOND, 3)], batch: 2 };

#[test]
fn pairs_run_samples_of_their_own_side_by_side() {
    for name in NETWORKS {
        let measurement = measurement(&PAIR, &zoo::graph(name).unwrap());
        let samples = measurement.plan.steps.iter().map(|step| match &step.action {
            Action::Compute(work) => work.region.samples.clone(),
            action => panic!("{action:?}"),
        });
        assert_eq!(samples.collect::<Vec<_>>(), [0..2, 2..4, 4..6, 6..8, 8..10]);
        assert_eq!(PAIR.samples(), 10);
        assert!(measurement.plan.steps.iter().all(|step| step.after.is_empty()), "nobody waits");
    }
}

#[test]
fn of_a_pair_only_steps_count_that_the_other_device_was_busy_all_through() {
    let measurement = measurement(&PAIR, &zoo::graph("lstm-2x512").unwrap());
    let read = |spans: [(u64, u64); 5]| -> Vec<(DeviceId, Option<DeviceId>, u64)> {
        let measured = measurement.read(&round(&spans));
        let of = |measured: &coinfer::replay::profile::Measured| {
            (measured.device, measured.beside, measured.time.as_nanos() / 1_000_000)
        };
        measured.iter().map(of).collect()
    };
    // The first is at work from 0 to 20, the second from 1 to 22.
    assert_eq!(
        read([(0, 10), (10, 20), (1, 8), (8, 15), (15, 22)]),
        [(FIRST, Some(SECOND), 10), (SECOND, Some(FIRST), 7), (SECOND, Some(FIRST), 7)]
    );
    // A pause of the other is none of its steps' end: what counts is its first start and its last end.
    assert_eq!(read([(0, 10), (10, 20), (0, 5), (6, 11), (12, 20)]).len(), 5);
    // They never met.
    assert_eq!(read([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]), []);
}

#[test]
fn a_device_that_cannot_hold_the_network_is_told() {
    let graph = zoo::graph("alexnet").unwrap();
    for target in [Target::Whole { device: FIRST, batch: 1 }, Target::Units { device: FIRST, batch: 1, parts: 1 }, PAIR]
    {
        let violations = target.measurement(&platform(Bytes(1 << 20)), &[&graph], ModelId(0)).unwrap_err();
        assert!(violations.iter().all(|found| matches!(found, Violation::WorkingSet { .. })), "{violations:?}");
    }
}

/// A device with a clock of its own on which a sample takes a millisecond, but as long again while so many steps run.
#[derive(Clone)]
struct Disturbed {
    steps: Arc<AtomicU32>,
    slow: std::ops::Range<u32>,
}

impl Driver for Disturbed {
    fn describe(&self) -> DeviceInfo {
        DeviceInfo::new("a clock", "none")
    }
    fn timing(&self) -> Timing {
        Timing::Measured
    }
    fn open(&self, _: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Workspace for Disturbed {
    fn prepare(self: Arc<Self>, job: &Job<'_>) -> Result<Prepared, BackendError> {
        let samples = job.work.region.samples.len() as u64;
        Ok(Box::new(move || {
            let step = self.steps.fetch_add(1, Ordering::Relaxed);
            let millis = samples * if self.slow.contains(&step) { 2 } else { 1 };
            #[allow(clippy::disallowed_methods, reason = "the device has a clock of its own")]
            let start = Instant::now();
            let there = There { start, end: start + std::time::Duration::from_millis(millis) };
            Ok(Ran { busy: Duration::from_nanos(millis * 1_000_000), there: Some(there) })
        }))
    }
    fn put(&self, _: &Tensor, _: &Gathered) -> Result<(), Trouble> {
        Ok(())
    }
    fn get(&self, _: &Tensor) -> Result<Gathered, Trouble> {
        unreachable!("nothing is moved")
    }
}

/// The visits and the trace of a profile of one network at batches 1, 2 and 4, twenty visits each, on a device that is slow
/// while these steps run; how many steps there were; and which visits were made again.
fn disturbed(slow: std::ops::Range<u32>, mut visits: Vec<Visit>) -> (Vec<Visit>, Trace, u32, usize) {
    let overrides = ["models.resnet-18.zoo=\"lstm-2x512\"".to_owned()];
    let scenario = Scenario::read_unprofiled(Path::new("scenarios/local-cpu.toml"), &overrides).unwrap();
    let case = scenario.case().unwrap();
    let asked = Asked {
        batches: vec![1, 2, 4],
        repeats: 20,
        units: false,
        segments: vec![],
        parts: vec![1],
        cold: true,
        alone: true,
    };
    let interrupted = AtomicBool::new(false);
    let watch = Watch::silent(&interrupted);
    let (mut networks, samples) = networks(&scenario).unwrap();
    networks.truncate(1);
    let profile = Profile::new(&case, &networks, samples, &asked, &watch).unwrap();
    let steps = Arc::new(AtomicU32::new(0));
    let driver = || Some(Arc::new(Disturbed { steps: steps.clone(), slow: slow.clone() }) as Arc<dyn Driver>);
    let drivers = case.problem.platform.devices.iter().map(|_| driver()).collect();
    let hardware = Hardware::with(&case.problem.platform, Networks::default(), drivers);
    profile.measure(&hardware, &mut visits, |_| Ok::<(), MeasureError>(()), &watch).unwrap();
    let again = profile.again(&visits);
    let provenance = Provenance::of(&hardware, "2026-01-01", "none");
    let trace = profile.trace(&visits, profile.devices(), &provenance);
    (visits, trace, steps.load(Ordering::Relaxed), again)
}

fn notes(trace: &Trace) -> Vec<String> {
    let notes = trace.header["note"].iter().filter(|note| note.contains("usual speed"));
    notes.cloned().collect()
}

#[test]
fn what_was_measured_while_a_machine_was_slow_is_measured_again() {
    let (_, undisturbed, steps, again) = disturbed(0..0, vec![]);
    assert_eq!((again, notes(&undisturbed)), (0, vec![]));
    let (visits, trace, _, again) = disturbed(steps / 3..steps / 2, vec![]);
    assert!(again > 10, "{again} visits");
    assert_eq!(notes(&trace), Vec::<String>::new());
    for (row, expected) in trace.rows.iter().map(|row| (row, f64::from(row.batch))) {
        assert_eq!(row.time_ms, expected, "batch {} on {}", row.batch, row.device);
    }
    for batch in [1, 2, 4] {
        let rows = trace.rows.iter().filter(|row| row.batch == batch).count();
        assert!(rows >= 40, "{rows} repeats of batch {batch} on two devices");
    }
    // Nothing is measured twice by a profile that goes on.
    let (gone_on, ..) = disturbed(0..0, visits[..visits.len() / 2].to_vec());
    assert_eq!(gone_on[..visits.len() / 2], visits[..visits.len() / 2]);
    let mut names: Vec<&String> = gone_on.iter().map(|visit| &visit.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), gone_on.len());
}

#[test]
fn a_profile_of_a_machine_that_never_settles_ends_and_names_what_cannot_be_trusted() {
    // Slow from somewhere in the first pass on: most looks say so, and the fast ones are what is off.
    let (visits, trace, steps, again) = disturbed(60..u32::MAX, vec![]);
    assert!(again > 0 && visits.len() < 400, "{again} of {}", visits.len());
    assert!(steps < 500 && trace.rows.iter().all(|row| row.time_ms == 2.0 * f64::from(row.batch)));
}
