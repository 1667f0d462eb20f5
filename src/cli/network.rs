//! Networks as arguments: of the zoo by name, or in ONNX files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use prost::bytes::Bytes;

use super::Error;
use super::file::read_up_to;
use crate::model::{Graph, Weights, onnx, zoo};
use crate::scenario::NETWORK_BYTES_MAX;
use crate::scenario::likely;

/// A network and the values of its symbolic dimensions.
#[derive(Clone, Debug, Args)]
pub(super) struct NetworkArgs {
    /// Value of a symbolic dimension of an ONNX file other than the batch
    #[arg(long = "dim", value_name = "NAME=VALUE", value_parser = dimension)]
    dims: Vec<(String, u32)>,
}

fn dimension(text: &str) -> Result<(String, u32), String> {
    let (name, value) = text.split_once('=').ok_or("write for example height=224")?;
    let value = value.trim().parse().ok().filter(|&value| value > 0);
    Ok((name.trim().to_owned(), value.ok_or("a dimension is a whole number from 1")?))
}

impl NetworkArgs {
    /// Networks of the zoo have no open dimensions.
    pub(super) fn check_absent(&self) -> Result<(), Error> {
        match self.dims.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::Usage(format!("`--dim {name}` is for ONNX files; remove it"))),
        }
    }

    /// The network called `name` in the zoo, or in the file `name` if that ends with `.onnx`, with its weights and
    /// what a user should know of it. Weights of the zoo are drawn from `seed`.
    pub(super) fn find(&self, name: &str, seed: u64) -> Result<(Graph, Arc<Weights>, Vec<String>), Error> {
        if !name.ends_with(".onnx") {
            let graph = zoo::graph(name).ok_or_else(|| Error::Usage(unknown(name)))?;
            self.check_absent()?;
            return Ok((graph, Arc::new(Weights::Seeded(seed)), Vec::new()));
        }
        let path = Path::new(name);
        let bytes = read_up_to(path, NETWORK_BYTES_MAX).map_err(Error::Usage)?;
        let dims: BTreeMap<String, u32> = self.dims.iter().cloned().collect();
        let stem = path.file_stem().map_or_else(|| "network".into(), |stem| stem.to_string_lossy().into_owned());
        match onnx::read(&stem, Bytes::from(bytes), &dims) {
            Ok(imported) => Ok((imported.graph, imported.weights, imported.notes)),
            Err(faults) => {
                let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
                Err(Error::Usage(format!("`{name}` cannot be read:{}", lines.concat())))
            }
        }
    }
}

fn unknown(name: &str) -> String {
    match likely(name, &Vec::from_iter(zoo::names())) {
        Some(best) => format!("there is no model `{name}`; did you mean `{best}`?"),
        None => format!("there is no model `{name}`; `coinfer models` lists all, and names of files end with `.onnx`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_for_a_network_of_the_zoo_is_refused() {
        let network = NetworkArgs { dims: vec![("height".into(), 224)] };
        let Err(Error::Usage(message)) = network.find("lstm-2x512", 0) else { panic!("it is refused") };
        assert_eq!(message, "`--dim height` is for ONNX files; remove it");
        assert!(network.check_absent().is_err());
    }
}
