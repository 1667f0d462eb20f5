//! Time to plan the published batch split of VGG-16 and layer groups over boards, and to run whole commands.

use std::path::Path;
use std::process::{Command, Stdio};

use coinfer::scenario::{Case, Scenario};
use coinfer::strategy::bound::lower_bound;
use coinfer::strategy::{DlaSplit, Exact, FullSearch, Greedy, KBest, LayerGroups, Legion, Ratio, Strategy, Transport};
use criterion::{Criterion, criterion_group, criterion_main};

const SCENARIO: &str = "scenarios/kcc2020-vgg16.toml";
const SWEEP: &str = "scenarios/kcc2020-vgg16-sweep.toml";

fn case(scenario: &str, overrides: &[String]) -> Case {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(scenario);
    Scenario::read(&path, overrides).and_then(|scenario| scenario.case()).expect("the shipped scenario is sound")
}

fn planning(criterion: &mut Criterion) {
    let case = case(SCENARIO, &[]);
    let problem = &case.problem;
    let mut group = criterion.benchmark_group("planning, VGG-16, batch 200, 3 devices");
    group.bench_function("greedy", |bencher| bencher.iter(|| Greedy::default().plan(problem)));
    group.bench_function("exact", |bencher| bencher.iter(|| Exact::default().plan(problem)));
    let micro_batched = Exact { micro_batches: true, ..Exact::default() };
    group.bench_function("exact, micro-batched", |bencher| bencher.iter(|| micro_batched.plan(problem)));
    group.bench_function("exact optima of batches 1 to 200", |bencher| {
        bencher.iter(|| Exact::default().optima(problem))
    });
    group.bench_function("lower bound", |bencher| bencher.iter(|| lower_bound(problem)));
    group.finish();
}

/// Layer groups over six boards: the published way, with exact rows, and from measured groups.
fn groups(criterion: &mut Criterion) {
    let strategies: [(&str, Box<dyn Strategy>); 5] = [
        ("legion", Box::new(Legion::default())),
        ("legion, exact", Box::new(Legion { ratio: Ratio::Exact, ..Legion::default() })),
        ("neighbour", Box::new(Legion { transport: Transport::Neighbour, ..Legion::default() })),
        ("k best", Box::new(KBest::default())),
        ("full search", Box::new(FullSearch::default())),
    ];
    for (network, last) in [("vgg-19", "pool5"), ("resnet-50", "layer4.2.relu"), ("yolov2", "conv23")] {
        let zoo = format!("models.vgg-16.zoo={network}");
        let case = case("scenarios/legion-vgg16.toml", &[zoo, format!("models.vgg-16.until={last}")]);
        let mut group = criterion.benchmark_group(format!("planning, {network}, 6 boards"));
        group.sample_size(10);
        for (name, strategy) in &strategies {
            group.bench_function(*name, |bencher| bencher.iter(|| strategy.plan(&case.problem)));
        }
        group.finish();
    }
}

/// Samples over a GPU and two DLAs, and groups of layers of two networks.
fn accelerators(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("planning, GPU and DLAs");
    group.sample_size(10);
    let mobilenet = case("scenarios/ksc2022-mobilenet.toml", &["load.offline.samples=2048".into()]);
    let pair = case("scenarios/xavier-googlenet-alexnet.toml", &[]);
    let split = DlaSplit::default();
    group.bench_function("dla_split of 2048", |bencher| bencher.iter(|| split.plan(&mobilenet.problem)));
    group.bench_function("lower bound of 2048", |bencher| bencher.iter(|| lower_bound(&mobilenet.problem)));
    let groups = LayerGroups::default();
    group.bench_function("layer_groups", |bencher| bencher.iter(|| groups.plan(&pair.problem)));
    group.finish();
}

/// Whole processes: reading, planning, checking, simulating, writing results.
fn commands(criterion: &mut Criterion) {
    let out = tempfile::tempdir().expect("there is room for temporary files");
    let mut group = criterion.benchmark_group("command");
    group.sample_size(20);
    for (name, command, scenario) in [("run", "run", SCENARIO), ("sweep of 200 batches x 7 strategies", "sweep", SWEEP)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let status = Command::new(env!("CARGO_BIN_EXE_coinfer"))
                    .args([command, scenario, "--quiet", "--out"])
                    .arg(out.path())
                    .current_dir(env!("CARGO_MANIFEST_DIR"))
                    .stdout(Stdio::null())
                    .status();
                assert!(status.expect("the program starts").success());
            })
        });
    }
    group.finish();
}

criterion_group!(benches, planning, groups, accelerators, commands);
criterion_main!(benches);
