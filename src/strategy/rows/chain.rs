//! The front of a network as units in topological order, and the rows that groups of them need.

use std::ops::Range;

use crate::model::{Graph, LayerId, Op, Segment, units};

/// Units that boards can run, each after those that it reads.
pub(in crate::strategy) struct Chain<'a> {
    pub(super) graph: &'a Graph,
    units: Vec<ChainUnit>,
}

/// A layer with the activations that alone read it.
struct ChainUnit {
    segment: Segment,
    /// The last unit of the front that reads it. Beyond all, if something behind the front does.
    read_until: usize,
}

/// Units of a group from its end backwards: the rows of each that rows of the group's output need.
pub(super) struct Walk<'c, 'a> {
    chain: &'c Chain<'a>,
    /// The unit that was reached.
    first: usize,
    /// What the units so far read of others, and which of them reads most of it.
    open: Vec<GroupRead>,
}

/// Rows that a group reads of what is computed before it, or of an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GroupRead {
    pub(super) layer: LayerId,
    pub(super) rows: Range<u32>,
    /// The first unit that reads it.
    pub(super) reader: usize,
}

impl<'a> Chain<'a> {
    /// The units of `graph` up to the last whose output has rows to divide, and what is behind them.
    pub(super) fn new(graph: &'a Graph) -> (Chain<'a>, Option<Segment>) {
        let all = units(graph);
        let has_rows = |unit: &Segment| graph.shape(unit.last()).rows > 1;
        let length = all.iter().rposition(has_rows).map_or(0, |last| last + 1);
        let tail = Segment::new(sorted(all[length..].iter().flat_map(Segment::layers))).ok();
        (Chain::of(graph, &all, length), tail)
    }

    /// All units of `graph`, whether their outputs have rows to divide or not.
    pub(in crate::strategy) fn whole(graph: &'a Graph) -> Chain<'a> {
        let all = units(graph);
        Chain::of(graph, &all, all.len())
    }

    /// The first `length` of all units.
    fn of(graph: &'a Graph, all: &[Segment], length: usize) -> Chain<'a> {
        let reader_of = |layer: &LayerId| all.iter().position(|unit| unit.contains(*layer));
        let read_until = |unit: &Segment| {
            let last = graph.consumers(unit.last()).iter().filter_map(reader_of).max();
            last.filter(|&reader| reader < length).unwrap_or(usize::MAX)
        };
        let unit = |segment: &Segment| ChainUnit { segment: segment.clone(), read_until: read_until(segment) };
        Chain { graph, units: all[..length].iter().map(unit).collect() }
    }

    pub(in crate::strategy) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The layers of these units.
    pub(in crate::strategy) fn segment(&self, units: Range<usize>) -> Segment {
        let layers = self.units[units].iter().flat_map(|unit| unit.segment.layers());
        Segment::new(sorted(layers)).expect("a group has a unit, and no layer is in two")
    }

    /// The unit with the most multiply-accumulates; of equal ones the first.
    pub(super) fn heaviest(&self) -> Segment {
        let macs = |unit: &ChainUnit| -> u64 {
            let layers = unit.segment.layers();
            layers.map(|layer| self.graph.layer_macs(layer, &(0..self.graph.shape(layer).rows)).0).sum()
        };
        let heaviest = self.units.iter().rev().max_by_key(|unit| macs(unit));
        heaviest.expect("a front has units").segment.clone()
    }

    /// The layer whose output is that of a group that ends with `unit`.
    pub(super) fn output(&self, unit: usize) -> LayerId {
        self.units[unit].segment.last()
    }

    /// The unit with the layer called `name`.
    pub(in crate::strategy) fn unit_named(&self, name: &str) -> Option<usize> {
        let layer = self.graph.find(name)?;
        self.units.iter().position(|unit| unit.segment.contains(layer))
    }

    /// Rows of the output of a unit.
    pub(in crate::strategy) fn height(&self, unit: usize) -> u32 {
        self.graph.shape(self.output(unit)).rows
    }

    /// Whether something behind the front reads what `unit` computes, or it is the network's result.
    pub(super) fn leaves(&self, unit: usize) -> bool {
        self.units[unit].read_until == usize::MAX
    }

    /// Whether units can run as one: what all but the last compute must be read among them only.
    pub(in crate::strategy) fn is_group(&self, units: &Range<usize>) -> bool {
        let inner = &self.units[units.start..units.end - 1];
        inner.iter().all(|unit| unit.read_until < units.end)
    }

    /// Starts at `rows` of the output of a group that ends with `last`.
    pub(super) fn walk(&self, last: usize, rows: Range<u32>) -> Walk<'_, 'a> {
        let reading = GroupRead { layer: self.output(last), rows, reader: last };
        Walk { chain: self, first: last + 1, open: vec![reading] }
    }

    /// What a group reads for `rows` of its output.
    pub(super) fn readings(&self, units: &Range<usize>, rows: &Range<u32>) -> Vec<GroupRead> {
        let mut walk = self.walk(units.end - 1, rows.clone());
        while walk.first > units.start {
            walk.back();
        }
        walk.open
    }
}

impl Walk<'_, '_> {
    /// Takes one more unit into the group and says which rows of it are needed.
    pub(super) fn back(&mut self) -> Range<u32> {
        self.first -= 1;
        let Chain { graph, units } = self.chain;
        let segment = &units[self.first].segment;
        let at = self.open.iter().position(|reading| reading.layer == segment.last());
        // Where only units behind the group's end read it, the group does not need it.
        let Some(at) = at else { return 0..0 };
        let rows = self.open.swap_remove(at).rows;
        // All but the first layer of a unit read just the rows that they compute.
        let first = segment.first();
        for &layer in &graph.layer(first).inputs {
            let read = graph.rows_read(first, &rows, layer);
            match self.open.iter_mut().find(|reading| reading.layer == layer) {
                Some(reading) => {
                    reading.rows = reading.rows.start.min(read.start)..reading.rows.end.max(read.end);
                    reading.reader = self.first;
                }
                None => self.open.push(GroupRead { layer, rows: read, reader: self.first }),
            }
        }
        rows
    }

    /// What the units so far read.
    pub(super) fn open(&self) -> &[GroupRead] {
        &self.open
    }
}

fn sorted(layers: impl Iterator<Item = LayerId>) -> Vec<LayerId> {
    let mut layers: Vec<LayerId> = layers.collect();
    layers.sort_unstable();
    layers
}

/// Whether `layer` brings in samples, which only the home has.
pub(super) fn is_input(graph: &Graph, layer: LayerId) -> bool {
    matches!(graph.layer(layer).op, Op::Input(_))
}
