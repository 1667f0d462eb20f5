//! `coinfer models`: the networks that are known by name, and the layers of one.

use clap::Args;

use super::run::Format;
use super::{Error, Terminal};
use crate::model::zoo;
use crate::report::{CountedModel, layers_csv, layers_json, layers_table, models_csv, models_json, models_table};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer models\n  coinfer models vgg-16\n  \
                        coinfer models resnet-50 --format csv > resnet-50.csv")]
pub(super) struct Models {
    /// Network whose layers to list; all networks are listed if absent
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Models {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let bold = terminal.is_bold();
        let text = match self.name {
            Some(name) => {
                let model = find(&name)?;
                match self.format {
                    Format::Table => layers_table(&model, bold).into_bytes(),
                    Format::Csv => layers_csv(&model),
                    Format::Json => layers_json(&model).into_bytes(),
                }
            }
            None => {
                let models = zoo::names().map(find).collect::<Result<Vec<CountedModel>, Error>>()?;
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

fn find(name: &str) -> Result<CountedModel, Error> {
    let graph = zoo::graph(name).ok_or_else(|| Error::Usage(unknown(name)))?;
    Ok(CountedModel { graph, published: zoo::published(name) })
}

fn unknown(name: &str) -> String {
    let lower = name.to_lowercase();
    let rated = zoo::names().map(|known| (strsim::jaro_winkler(&lower, known), known));
    let best = rated.filter(|&(likeness, _)| likeness >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((_, best)) => format!("there is no model `{name}`; did you mean `{best}`?"),
        None => format!("there is no model `{name}`; `coinfer models` lists all"),
    }
}
