//! `coinfer export`: a network, or a part of it, as an ONNX file for other runtimes.

use std::ops::Range;
use std::path::PathBuf;

use clap::Args;

use super::file::write_whole;
use super::network::NetworkArgs;
use super::{Error, Terminal};
use crate::model::{Graph, Segment, onnx};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer export resnet-18 -o resnet-18.onnx\n  \
                        coinfer export vgg-16 --layers conv1_1..pool2 --rows 0..28 --samples 4 -o front.onnx")]
pub(super) struct Export {
    /// Network of the zoo by name, or an ONNX file
    #[arg(value_name = "NAME|FILE.onnx")]
    name: String,
    /// Layers that follow each other, as FIRST..LAST by their names; all if absent
    #[arg(long, value_name = "FIRST..LAST")]
    layers: Option<String>,
    /// Rows of the last layer's output, as FROM..TO without TO; all if absent
    #[arg(long, value_name = "FROM..TO", value_parser = rows)]
    rows: Option<Range<u32>>,
    /// Samples of the batch; a symbolic batch N if absent
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Seed of the weights of networks of the zoo
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
}

fn rows(text: &str) -> Result<Range<u32>, String> {
    let parse = |part: &str| part.trim().parse::<u32>().map_err(|_| "write for example 0..28".to_owned());
    let (from, to) = text.split_once("..").ok_or("write for example 0..28")?;
    let rows = parse(from)?..parse(to)?;
    if rows.is_empty() { Err("these are no rows".into()) } else { Ok(rows) }
}

impl Export {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let (graph, weights, notes) = self.network.find(&self.name, self.seed)?;
        notes.iter().for_each(|note| terminal.tell(&format!("note: {note}")));
        let segment = self.segment(&graph)?;
        let height = graph.shape(segment.last()).rows;
        let written = match self.rows {
            None => onnx::write_whole(&graph, &weights, &segment, self.samples),
            Some(rows) if rows.end > height => {
                let last = &graph.layer(segment.last()).name;
                let Range { start, end } = rows;
                return Err(Error::Usage(format!("`{last}` has {height} rows, and {start}..{end} are asked for")));
            }
            Some(rows) => onnx::write(&graph, &weights, &segment, &rows, self.samples),
        };
        write_whole(&self.output, &written.map_err(|error| Error::Usage(format!("{}: {error}", graph.name())))?)?;
        terminal.print(format!("{}\n", self.output.display()))?;
        Ok(())
    }

    fn segment(&self, graph: &Graph) -> Result<Segment, Error> {
        let Some(layers) = &self.layers else {
            let nothing = || Error::Usage(format!("{} has nothing to compute", graph.name()));
            return graph.whole().ok_or_else(nothing);
        };
        graph.find_segment(layers).ok_or_else(|| {
            let name = graph.name();
            Error::Usage(format!(
                "{name} does not compute `{layers}`, as FIRST..LAST in this order; `coinfer models {}` lists its layers",
                self.name
            ))
        })
    }
}
