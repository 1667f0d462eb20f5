//! The rows that parts of the zoo's networks need, against a walk row by row.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::model::op::tests::touched;
use crate::model::{Conv, Graph, LayerId, Op, Segment, Window};

static NETWORKS: LazyLock<Vec<Graph>> =
    LazyLock::new(|| super::names().map(|name| super::graph(name).unwrap()).collect());

/// The rows of each layer from which any element of `rows` of the segment's output, and of what else is read outside,
/// is computed.
fn needed_by_row(graph: &Graph, segment: &Segment, rows: Range<u32>) -> BTreeMap<LayerId, BTreeSet<u32>> {
    let mut needed: BTreeMap<LayerId, BTreeSet<u32>> =
        graph.exposed(segment).map(|id| (id, (0..graph.shape(id).rows).collect())).collect();
    needed.insert(segment.last(), rows.collect());
    for id in segment.layers().rev() {
        let rows = needed.get(&id).cloned().unwrap_or_default();
        let layer = graph.layer(id);
        for &input in &layer.inputs {
            let height = graph.shape(input).rows;
            let read = rows.iter().flat_map(|&row| touched(&layer.op, row, height));
            needed.entry(input).or_default().extend(read);
        }
    }
    needed
}

fn is_dense(op: &Op) -> bool {
    match op {
        Op::Conv(Conv { rows, .. }) | Op::Pool { rows, .. } => rows.stride <= rows.size,
        _ => true,
    }
}

/// Whether all windows move by no more than their size and every layer has at most one reader.
fn is_exact(graph: &Graph, segment: &Segment) -> bool {
    let mut read = BTreeSet::new();
    segment.layers().all(|id| {
        let layer = graph.layer(id);
        is_dense(&layer.op) && layer.inputs.iter().all(|input| read.insert(*input))
    })
}

/// A network of the zoo, a segment of up to 40 layers of it, and three ascending cuts between rows of its output, the
/// last of which is not above all rows.
fn cases() -> impl Strategy<Value = (&'static Graph, Segment, [u32; 3])> {
    let places = (0..NETWORKS.len(), any::<prop::sample::Index>(), 0..40_u32, any::<[prop::sample::Index; 3]>());
    places.prop_map(|(network, first, length, cuts)| {
        let graph = &NETWORKS[network];
        let last = graph.output().0;
        let first = 1 + first.index(last as usize) as u32;
        let segment = Segment::range(LayerId(first), LayerId((first + length).min(last)));
        let height = graph.shape(segment.last()).rows as usize;
        let mut cuts = cuts.map(|cut| cut.index(height + 1) as u32);
        cuts.sort();
        cuts[2] = cuts[2].max(1);
        (graph, segment, cuts)
    })
}

proptest! {
    #[test]
    fn needed_rows_hold_all_that_is_touched((graph, segment, cuts) in cases()) {
        let rows = cuts[0].min(cuts[2] - 1)..cuts[2];
        let computed = graph.rows_needed(&segment, &rows);
        let walked = needed_by_row(graph, &segment, rows.clone());
        prop_assert!(computed.keys().eq(walked.keys()));
        let is_exact = is_exact(graph, &segment);
        for (id, touched) in walked {
            let name = &graph.layer(id).name;
            let ends = touched.first().copied().unwrap()..touched.last().copied().unwrap() + 1;
            prop_assert_eq!(&computed[&id], &ends, "{} of {}, rows {:?} of {}", name, graph.name(), &rows, &segment);
            if is_exact {
                prop_assert_eq!(computed[&id].clone().collect::<BTreeSet<u32>>(), touched, "{} of {}", name, graph.name());
            }
        }
    }

    #[test]
    fn parts_cover_what_the_whole_needs((graph, segment, cuts) in cases()) {
        let height = graph.shape(segment.last()).rows;
        let [first, second, third] = cuts;
        let parts = [0..first, first..second, second..third, third..height];
        let parts = parts.into_iter().filter(|rows| !rows.is_empty());
        let mut covered: BTreeMap<LayerId, BTreeSet<u32>> = BTreeMap::new();
        for rows in parts {
            for (id, rows) in graph.rows_needed(&segment, &rows) {
                covered.entry(id).or_default().extend(rows);
            }
        }
        prop_assert!(covered[&segment.last()].iter().copied().eq(0..height));
        for (id, touched) in needed_by_row(graph, &segment, 0..height) {
            prop_assert!(touched.is_subset(&covered[&id]), "{} of {}", graph.layer(id).name, graph.name());
        }
    }
}

#[test]
fn the_zoo_has_no_gaps_in_windows() {
    let windows = NETWORKS.iter().flat_map(|graph| graph.layers()).filter_map(|layer| match &layer.op {
        Op::Conv(Conv { rows, .. }) | Op::Pool { rows, .. } => Some(*rows),
        _ => None,
    });
    assert!(
        windows.map(|window: Window| window.dilation).all(|dilation| dilation == 1),
        "the equality of ends needs it"
    );
}
