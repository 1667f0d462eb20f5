//! Random pieces of known networks, put together, are the whole.
//!
//! `COINFER_PIECES=1000 cargo test --release pieces_of_known -- --nocapture` draws 1,000 from all networks; without the
//! variable a few are drawn from the smaller networks, since weights take long to draw without optimisation.

use super::testing::{difference, drawn, outputs, piece};
use crate::model::{Graph, LayerId, ModelId, Region, Segment, Work, zoo};
use crate::units::Bytes;
use crate::units::Macs;

/// Between a piece and the same segment over all rows, relative to the largest number of a layer.
const TOLERANCE: f32 = 1e-5;
/// Between a piece and its layers run one by one, which folds no batch normalisation: where more than a hundred layers
/// stand between two comparisons, MobileNetV2 makes much of small differences in rounding.
const TOLERANCE_OF_LAYERS: f32 = 1e-3;

/// A segment and rows of its last layer that are not too much work to run.
fn choose(graph: &Graph, mut below: impl FnMut(u32) -> u32) -> Work {
    loop {
        let layers = graph.layers().len() as u32;
        let longest = if below(4) == 0 { layers } else { 24 };
        let first = below(layers);
        let last = (first + below(longest)).min(layers - 1);
        // Some layers may be left out, which makes a piece of parallel branches.
        let leaves_out = below(3) == 0;
        let kept = |&id: &LayerId| !graph.is_input(id) && (id.0 == last || !leaves_out || below(4) > 0);
        let Ok(segment) = Segment::new((first..=last).map(LayerId).filter(kept)) else { continue };
        if graph.hole(&segment).is_some() {
            continue;
        }
        let height = graph.shape(segment.last()).rows;
        let start = below(height);
        let rows = start..start + 1 + below(height - start);
        let work = Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows } };
        if graph.macs(&work) < Macs(2_000_000_000) && graph.parameters(&work.segment) < Bytes(160_000_000) {
            return work;
        }
    }
}

/// Draws `count` pieces of each network that has at most `parameters` numbers, and gives how many that were.
fn check(count: u32, parameters: u64) -> u32 {
    let mut pieces = 0;
    let networks = zoo::names().filter_map(zoo::graph).filter(|graph| graph.trained_count() <= parameters);
    for (index, graph) in networks.enumerate() {
        let weights = drawn(&graph, index as u64);
        let layers = outputs(&graph, &weights, 1);
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ index as u64;
        let mut below = |limit: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 32) % u64::from(limit)) as u32
        };
        let (mut worst, mut worst_of_layers): (f32, f32) = (0.0, 0.0);
        for _ in 0..count {
            let Work { segment, region: Region { rows, .. }, .. } = choose(&graph, &mut below);
            let all = 0..graph.shape(segment.last()).rows;
            let [part, joined] = [&rows, &all].map(|rows| piece(&graph, &weights, &layers, &segment, rows, None));
            let of_whole = difference(&graph, &part, |id| &joined[&id], &segment, &rows);
            let of_layers = difference(&graph, &part, |id| &layers[id.0 as usize], &segment, &rows);
            let is_equal = of_whole <= TOLERANCE && of_layers <= TOLERANCE_OF_LAYERS;
            assert!(is_equal, "{}: layers {segment} rows {rows:?}: {of_whole}, {of_layers}", graph.name());
            (worst, worst_of_layers) = (worst.max(of_whole), worst_of_layers.max(of_layers));
            pieces += 1;
        }
        let largest = layers.last().expect("a network has layers").magnitude();
        let differences = format!("{worst:.1e} from the whole, {worst_of_layers:.1e} from layers one by one");
        println!("{}: {count} pieces, at most {differences}, outputs to {largest:.1e}", graph.name());
    }
    pieces
}

#[test]
fn pieces_of_known_networks_are_the_whole() {
    let pieces = match std::env::var("COINFER_PIECES").ok().and_then(|count| count.parse().ok()) {
        Some(total) => check(u32::div_ceil(total, zoo::names().count() as u32), u64::MAX),
        None => check(10, 4_500_000),
    };
    println!("{pieces} pieces in all");
}
