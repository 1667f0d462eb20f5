//! `coinfer models`: the networks that are known by name, and the layers of one.

use clap::Args;

use super::network::NetworkArgs;
use super::run::Format;
use super::{Error, Terminal};
use crate::model::zoo;
use crate::output::{CountedModel, layers_csv, layers_json, layers_table, models_csv, models_json, models_table};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer models\n  coinfer models vgg-16\n  \
                        coinfer models net.onnx --dim height=224 --dim width=224\n  \
                        coinfer models resnet-50 --format csv > resnet-50.csv")]
pub(super) struct Models {
    /// Network whose layers to list, by name or as an ONNX file; all networks with a name are listed if absent
    #[arg(value_name = "NAME|FILE.onnx")]
    name: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Models {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let bold = terminal.is_bold();
        let text = match self.name {
            Some(name) => {
                let (graph, _, notes) = self.network.find(&name, 0)?;
                notes.iter().for_each(|note| terminal.tell(&format!("note: {note}")));
                let model = CountedModel { graph, published: zoo::published(&name) };
                match self.format {
                    Format::Table => layers_table(&model, bold).into_bytes(),
                    Format::Csv => layers_csv(&model),
                    Format::Json => layers_json(&model).into_bytes(),
                }
            }
            None => {
                self.network.check_absent()?;
                let models = zoo::names().filter_map(of_zoo).collect::<Vec<CountedModel>>();
                match self.format {
                    Format::Table => models_table(&models, bold).into_bytes(),
                    Format::Csv => models_csv(&models),
                    Format::Json => models_json(&models).into_bytes(),
                }
            }
        };
        Ok(terminal.print(text)?)
    }
}

fn of_zoo(name: &str) -> Option<CountedModel> {
    Some(CountedModel { graph: zoo::graph(name)?, published: zoo::published(name) })
}
