//! How much of a sample the rows of a step are worth: what bounds need to add up work that is split.

use std::cell::OnceCell;

use super::{Graph, LayerId};

/// The part of a sample that rows of each layer of a network are worth at most.
///
/// Each row of the network's output is worth the same, one in all. Going backwards, each row of a layer hands what it is
/// worth to rows that it is computed from, of one of the layers that read one another on the way to the output. A step is
/// worth, in a layer, what those of its rows are worth that the output is computed from along these ways: if several steps
/// compute a row, then the one counts whose result was read. Summed over the steps of a sound plan that is one in each layer
/// for each sample, whatever rows are chosen; the ones here spread worth evenly where they can, so that a row is worth one
/// part in as many as there are.
///
/// Where a step splits rows, only its last layer is read outside, and all that it is worth passes through it: it is worth
/// the same in all its layers.
///
/// It is found out when it is first asked for.
#[derive(Clone, Debug)]
pub struct Coverage<'a> {
    graph: &'a Graph,
    /// By layer, what a row of it is worth at most.
    row_max: OnceCell<Vec<f64>>,
}

impl Coverage<'_> {
    /// What rows of the layers of `graph` are worth.
    pub fn of(graph: &Graph) -> Coverage<'_> {
        Coverage { graph, row_max: OnceCell::new() }
    }

    /// The most that so many rows of a layer are worth.
    pub fn of_rows(&self, layer: LayerId, rows: f64) -> f64 {
        (self.row_max(layer) * rows).min(1.0)
    }

    /// How many rows of a layer are worth a sample, if each is worth the most.
    pub fn rows(&self, layer: LayerId) -> f64 {
        1.0 / self.row_max(layer)
    }

    fn row_max(&self, layer: LayerId) -> f64 {
        self.row_max.get_or_init(|| row_max(self.graph))[layer.0 as usize]
    }
}

/// By layer, what a row of it is worth at most.
fn row_max(graph: &Graph) -> Vec<f64> {
    let most = |rows: &Vec<f64>| rows.iter().copied().fold(0.0, f64::max);
    let mut worth: Vec<Vec<f64>> = graph.layer_ids().map(|_| Vec::new()).collect();
    for id in graph.layer_ids().rev() {
        let readers = graph.consumers(id).iter();
        let handed = readers.map(|&reader| hand_down(graph, reader, &worth[reader.0 as usize], id));
        let evenest = handed.min_by(|a, b| most(a).total_cmp(&most(b)));
        let height = graph.shape(id).rows as usize;
        worth[id.0 as usize] = evenest.unwrap_or_else(|| vec![1.0 / height as f64; height]);
    }
    worth.iter().map(most).collect()
}

/// What rows of `reader` are worth, handed to the rows of `input` that each reads: from the first on, no more to each than
/// an even share, as far as there is room.
fn hand_down(graph: &Graph, reader: LayerId, worth: &[f64], input: LayerId) -> Vec<f64> {
    let mut handed = vec![0.0; graph.shape(input).rows as usize];
    let read = |row: usize| {
        let read = graph.rows_read(reader, &(row as u32..row as u32 + 1), input);
        // No window is all padding.
        debug_assert!(!read.is_empty(), "a row is computed from a row of every layer that is read");
        read.start as usize..read.end as usize
    };
    let owners = || (0..worth.len()).filter(|&row| worth[row] > 0.0);
    let (mut count, mut end) = (0, 0);
    for rows in owners().map(read) {
        count += rows.end.saturating_sub(rows.start.max(end));
        end = end.max(rows.end);
    }
    let even = worth.iter().sum::<f64>() / count as f64;
    let mut free = 0;
    for row in owners() {
        let rows = read(row);
        let mut left = worth[row];
        for (at, handed) in handed.iter_mut().enumerate().take(rows.end).skip(rows.start.max(free)) {
            let taken = (even - *handed).clamp(0.0, left);
            *handed += taken;
            left -= taken;
            if left <= 0.0 {
                break;
            }
            free = at + 1;
        }
        let each = left / rows.len() as f64;
        handed[rows].iter_mut().for_each(|at| *at += each);
    }
    handed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conv, Layer, Op, Pooling, Shape, Window, zoo};

    fn graph(height: u32, ops: &[Op]) -> Graph {
        let input = Layer { name: "input".into(), op: Op::Input(Shape::fp32(4, height, 8)), inputs: vec![] };
        let layer = |(index, op): (usize, &Op)| Layer {
            name: format!("l{index}"),
            op: op.clone(),
            inputs: vec![LayerId(index as u32)],
        };
        Graph::new("net", std::iter::once(input).chain(ops.iter().enumerate().map(layer)).collect()).unwrap()
    }

    fn pool(size: u32, stride: u32, pad: u32) -> Op {
        let rows = Window::new(size).stride(stride).pad(pad);
        Op::Pool { pooling: Pooling::Max, rows, cols: Window::new(1) }
    }

    fn check(height: u32, ops: &[Op], rows: f64) {
        let graph = graph(height, ops);
        let found = Coverage::of(&graph).rows(LayerId(0));
        assert!((found - rows).abs() < 1e-9, "{found} rows of the input are worth a sample, not {rows}");
    }

    #[test]
    fn rows_are_worth_the_same_where_windows_overlap_or_meet() {
        check(8, &[pool(3, 1, 1)], 8.0);
        check(8, &[pool(3, 1, 1), pool(2, 2, 0), pool(3, 1, 1)], 8.0);
        check(11, &[pool(3, 2, 0)], 11.0);
        check(8, &[Op::Conv(Conv::square(4, 3).pad(1)), Op::Flatten], 8.0);
    }

    #[test]
    fn rows_that_nobody_reads_are_worth_nothing() {
        check(8, &[pool(1, 2, 0)], 4.0);
        check(7, &[pool(2, 2, 0)], 6.0);
    }

    #[test]
    fn a_row_at_an_edge_is_worth_more_if_it_is_read_alone() {
        // Rows 0, 1..3, 3..5, 5..7 and 7: each of the five is worth a fifth, and the first reads one row only.
        check(8, &[pool(2, 2, 1)], 5.0);
    }

    #[test]
    fn rows_of_known_networks_are_worth_the_same() {
        for name in zoo::names() {
            let graph = zoo::graph(name).unwrap();
            let coverage = Coverage::of(&graph);
            for id in graph.layer_ids().filter(|&id| !graph.is_input(id)) {
                let (rows, height) = (coverage.rows(id), f64::from(graph.shape(id).rows));
                assert!((rows / height - 1.0).abs() < 1e-9, "{name} {}", graph.layer(id).name);
            }
        }
    }
}
