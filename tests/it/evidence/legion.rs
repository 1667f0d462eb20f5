//! Choi, Lee, Kang and Park, "Legion", ICCD 2021: figures of speed-up and of profiling time, digitised (about 1 %).
//!
//! `tests/data/legion-figures.csv` is from sjlee25/legion-readme at 2f5a330. Boards of one kind only; results on both
//! kinds together are predictions here.

use std::collections::BTreeMap;

use coinfer::problem::Ledger;
use coinfer::scenario::Case;
use coinfer::strategy::Single;

/// Published figures of a network on some boards.
struct Published {
    model: String,
    boards: String,
    full_search: f64,
    legion: f64,
    wild_card: f64,
    /// Seconds of profiling, of the full search and of Legion.
    profiling: Option<[f64; 2]>,
}

fn published() -> Vec<Published> {
    let text = super::kcc2020::read("tests/data/legion-figures.csv");
    let mut rows: Vec<Published> = Vec::new();
    for row in csv::Reader::from_reader(text.as_bytes()).records() {
        let row = row.unwrap();
        let number = |column: usize| row[column].parse::<f64>();
        let entry = Published {
            model: row[0].to_lowercase(),
            boards: row[1].to_lowercase(),
            full_search: number(2).unwrap(),
            legion: number(3).unwrap(),
            wild_card: number(4).unwrap(),
            profiling: number(5).ok().zip(number(6).ok()).map(|(full, legion)| [full, legion]),
        };
        // One board alone is what speed-ups are over.
        if !entry.boards.starts_with('1') {
            rows.push(entry);
        }
    }
    rows
}

/// A network on a set of boards, such as `3f2o`.
fn case(model: &str, boards: &str) -> Case {
    let count = |kind: char| match boards.find(kind) {
        Some(at) => {
            boards[..at].chars().next_back().and_then(|digit| digit.to_digit(10)).expect("a count and its kind")
        }
        None => 0,
    };
    let counts = ['f', 'o'].map(|kind| format!("devices.{kind}.count={}", count(kind)));
    super::case(&format!("legion-{}", model.replace('-', "")), &counts)
}

/// Speed-up of each of these strategies over one board with its data at hand, as a run of the scenario shows it.
fn speedups<const COUNT: usize>(case: &Case, names: [&str; COUNT]) -> [f64; COUNT] {
    let mut alone = case.problem.clone();
    alone.models.iter_mut().for_each(|model| model.home = None);
    let baseline = super::milliseconds(&alone, &Single::default());
    names.map(|name| baseline / super::entry_milliseconds(case, name))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn speed_ups_of_full_searches_on_boards_of_one_kind_are_within_7_percent() {
    let mut errors: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for Published { model, boards, full_search, legion, wild_card, .. } in published() {
        let found = speedups(&case(&model, &boards), ["full_search", "legion", "legion, wild card"]);
        println!(
            "{model} on {boards}: full search {:.2} ({full_search:.2} published), Legion {:.2} ({legion:.2}), wild card {:.2} ({wild_card:.2})",
            found[0], found[1], found[2]
        );
        errors.entry(model).or_default().push(found[0] / full_search - 1.0);
    }
    let size = |model: &str| mean(&errors[model].iter().map(|error| error.abs()).collect::<Vec<_>>());
    println!(
        "mean error of full search: vgg-16 {:.3}, vgg-19 {:.3}, yolov2 {:.3}",
        size("vgg-16"),
        size("vgg-19"),
        size("yolov2")
    );
    for model in ["vgg-16", "vgg-19"] {
        assert!(size(model) < 0.03, "{model}: {:?}", errors[model]);
        assert!(errors[model].iter().all(|error| error.abs() < 0.09), "{model}: {:?}", errors[model]);
    }
    // Not reproduced: two boards are published slower than one, 0.76, and come out at 1.13. From four F on it is near.
    assert!(size("yolov2") > 0.1 && errors["yolov2"][0] > 0.4, "{:?}", errors["yolov2"]);
    assert!(errors["yolov2"][2..5].iter().all(|error| error.abs() < 0.09), "{:?}", errors["yolov2"]);
}

#[test]
fn legion_loses_about_as_much_against_a_full_search_as_published() {
    // Published: 3.4 % on average over all sets of boards; which sets is not listed.
    let (mut legion, mut wild) = (Vec::new(), Vec::new());
    for model in ["vgg-16", "vgg-19", "yolov2"] {
        for boards in ["2f", "4f", "6f", "2o", "3o", "1f1o", "2f1o", "3f2o", "3f3o", "6f3o"] {
            let [full, plain, card] = speedups(&case(model, boards), ["full_search", "legion", "legion, wild card"]);
            legion.push(1.0 - plain / full);
            wild.push(1.0 - card / full);
        }
    }
    println!("mean loss: Legion {:.3}, with its wild card {:.3}; published 0.034", mean(&legion), mean(&wild));
    assert!((0.005..0.06).contains(&mean(&legion)), "{legion:?}");
    assert!(mean(&wild) <= mean(&legion));
    assert!(
        legion.iter().chain(&wild).all(|&loss| loss > -1e-9),
        "no configuration beats a full search of the same rows"
    );
}

#[test]
fn profiling_takes_as_much_longer_in_a_full_search_as_published() {
    for Published { model, boards, profiling, .. } in published() {
        let Some([full, legion]) = profiling else { continue };
        let case = case(&model, &boards);
        let seconds = |name: &str| {
            let entry = case.strategies.iter().find(|entry| entry.name == name).unwrap();
            let (noted, ledger) = Ledger::open(&case.problem);
            entry.strategy.plan(&noted).unwrap();
            ledger.charge(&case.problem, &case.profiling.unwrap()).total().as_secs_f64()
        };
        let (found, expected) = (seconds("full_search") / seconds("legion"), full / legion);
        println!("{model} on {boards}: {found:.1} times, {expected:.1} published");
        assert!((found / expected - 1.0).abs() < 0.25, "{model} on {boards}: {found} {expected}");
    }
}

#[test]
fn neighbours_are_faster_than_a_gathering_server_the_more_boards_there_are() {
    let mut gains = Vec::new();
    for boards in ["2f", "3f", "4f", "5f", "6f"] {
        let [gather, neighbour] = speedups(&case("vgg-16", boards), ["full_search", "neighbour, k best"]);
        gains.push(neighbour / gather);
    }
    println!("speed-up by neighbours over that by a gathering server, 2 to 6 boards: {gains:.2?}");
    assert!(gains.is_sorted() && gains[4] >= 1.4, "{gains:?}");
    // With two boards little is gained: nearly all of what is sent is the input and the output, either way.
    assert!(gains[0] < 1.2, "{gains:?}");
}
