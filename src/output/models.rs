//! Networks as a list: their size, and how far that is from what others have counted.

use serde::Serialize;

use super::encode::json_text;
use super::grid::{named_grid, page};
use super::record::paths_csv;
use crate::model::zoo::Published;
use crate::model::{Graph, ModelId, Op, Region, Segment, Work};
use crate::units::Macs;

/// A network, and what others have counted for it.
#[derive(Clone, Debug, PartialEq)]
pub struct CountedModel {
    /// The network.
    pub graph: Graph,
    /// Theirs, if there is any.
    pub published: Option<Published>,
}

/// The networks as lines of at most 80 columns, with a header in bold if so wanted.
pub fn models_table(models: &[CountedModel], bold: bool) -> String {
    let row = |model: &CountedModel| (model.graph.name().to_owned(), numbers(model));
    let lines = named_grid(&TITLES, models.iter().map(row).collect(), bold);
    page(lines, MEANINGS.map(str::to_owned))
}

/// The networks as CSV. What is not published is empty; deviations are fractions.
pub fn models_csv(models: &[CountedModel]) -> Vec<u8> {
    paths_csv(&COLUMNS, models.iter().map(ModelEntry::from))
}

/// The columns of the networks, and the paths of their fields.
const COLUMNS: [(&str, &str); 11] = [
    ("model", "model"),
    ("input", "input"),
    ("layer_count", "layer_count"),
    ("macs", "macs"),
    ("flops", "flops"),
    ("parameters", "parameters"),
    ("published_macs", "published.macs"),
    ("macs_deviation", "published.macs_deviation"),
    ("published_parameters", "published.parameters"),
    ("parameters_deviation", "published.parameters_deviation"),
    ("source", "published.source"),
];

/// The networks as one JSON object with a newline at its end. What is not published is `null`; deviations are fractions.
pub fn models_json(models: &[CountedModel]) -> String {
    #[derive(Serialize)]
    struct ModelsView<'a> {
        /// The networks.
        models: Vec<ModelEntry<'a>>,
    }
    json_text(&ModelsView { models: models.iter().map(ModelEntry::from).collect() })
}

/// What is said of a network in files.
#[derive(Serialize)]
pub(crate) struct ModelEntry<'a> {
    /// The network's name.
    pub(super) model: &'a str,
    /// Channels x rows x columns of its inputs.
    pub(super) input: String,
    /// How many layers it has.
    pub(super) layer_count: usize,
    /// Multiply-accumulates for one sample.
    pub(super) macs: u64,
    /// Operations for one sample, two for each multiply-accumulate.
    pub(super) flops: u64,
    /// Numbers that training sets.
    pub(super) parameters: u64,
    /// What others have counted, if that is published.
    pub(super) published: Option<PublishedEntry>,
}

/// What others have counted, and by what fraction ours is more.
#[derive(Serialize)]
pub(crate) struct PublishedEntry {
    /// Their multiply-accumulates.
    pub(super) macs: u64,
    /// By what fraction ours are more.
    pub(super) macs_deviation: f64,
    /// Their parameters.
    pub(super) parameters: u64,
    /// By what fraction ours are more.
    pub(super) parameters_deviation: f64,
    /// Where that is published.
    pub(super) source: &'static str,
}

impl<'a> From<&'a CountedModel> for ModelEntry<'a> {
    fn from(CountedModel { graph, published }: &'a CountedModel) -> ModelEntry<'a> {
        let macs = graph.whole().map_or(Macs(0), |segment| whole_macs(graph, segment));
        let parameters = graph.trained_count();
        let deviation = |counted: u64, published: u64| counted as f64 / published as f64 - 1.0;
        let published = published.map(|published| PublishedEntry {
            macs: published.macs.0,
            macs_deviation: deviation(macs.0, published.macs.0),
            parameters: published.parameters,
            parameters_deviation: deviation(parameters, published.parameters),
            source: published.source,
        });
        let (model, layer_count) = (graph.name(), graph.layers().len());
        ModelEntry { model, input: input(graph), layer_count, macs: macs.0, flops: macs.flops(), parameters, published }
    }
}

/// Multiply-accumulates of all of the segment's output for one sample.
pub(crate) fn whole_macs(graph: &Graph, segment: Segment) -> Macs {
    let rows = 0..graph.shape(segment.last()).rows;
    graph.macs(&Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows } })
}

/// A fraction in percent with its sign.
pub(crate) fn percent(deviation: f64) -> String {
    let percent = format!("{:+.2}", deviation * 100.0);
    if percent == "-0.00" { "+0.00".to_owned() } else { percent }
}

/// Each column's title and unit.
const TITLES: [(&str, &str); 8] = [
    ("model", ""),
    ("input", ""),
    ("layers", ""),
    ("MACs", "10^9"),
    ("off", "%"),
    ("FLOPs", "10^9"),
    ("parameters", ""),
    ("off", "%"),
];
/// What the titles mean.
const MEANINGS: [&str; 3] = [
    "MACs: of convolutions, fully connected and recurrent layers for one sample; FLOPs are two for each",
    "parameters: all that training sets",
    "off: ours from the count that is published; `coinfer models NAME` says where",
];

/// Shapes of all inputs.
fn input(graph: &Graph) -> String {
    let shape = |op: &Op| if let Op::Input(shape) = op { Some(shape.to_string()) } else { None };
    graph.layers().iter().filter_map(|layer| shape(&layer.op)).collect::<Vec<_>>().join(" ")
}

fn numbers(model: &CountedModel) -> Vec<String> {
    let entry = ModelEntry::from(model);
    let off = |of: fn(&PublishedEntry) -> f64| {
        entry.published.as_ref().map_or_else(|| "-".to_owned(), |published| percent(of(published)))
    };
    let billions = |count: u64| format!("{:.3}", count as f64 / 1e9);
    vec![
        entry.input.replace(' ', "\n"),
        entry.layer_count.to_string(),
        billions(entry.macs),
        off(|published| published.macs_deviation),
        billions(entry.flops),
        entry.parameters.to_string(),
        off(|published| published.parameters_deviation),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::zoo;
    use crate::units::Bytes;

    fn models() -> Vec<CountedModel> {
        let of = |name: &str| CountedModel { graph: zoo::graph(name).unwrap(), published: zoo::published(name) };
        let opaque = Graph::opaque("a network of no family that anyone knows", 4, 4, Bytes(4), Bytes(8)).unwrap();
        vec![of("yolov2"), of("lstm-2x512"), CountedModel { graph: opaque, published: None }]
    }

    #[test]
    fn a_network_without_published_counts_has_no_deviation() {
        insta::assert_snapshot!(models_table(&models(), false), @"
        model                   input  layers    MACs    off   FLOPs  parameters    off
                                                 10^9      %    10^9                  %
        -------------------------------------------------------------------------------
        yolov2              3x416x416      75  14.732  +0.00  29.464    50962889  +0.03
        lstm-2x512           512x25x1       3   0.105      -   0.210     4202496      -
        a network of no         4x1x1       2   0.000      -   0.000           0      -
        family that anyone
        knows

        MACs: of convolutions, fully connected and recurrent layers for one sample;
          FLOPs are two for each
        parameters: all that training sets
        off: ours from the count that is published; `coinfer models NAME` says where
        ");
        insta::assert_snapshot!(String::from_utf8(models_csv(&models())).unwrap(), @r#"
        model,input,layer_count,macs,flops,parameters,published_macs,macs_deviation,published_parameters,parameters_deviation,source
        yolov2,3x416x416,75,14732084224,29464168448,50962889,14732493074,-0.000027751582705404232,50950000,0.0002529735034346725,"pjreddie.com/darknet/yolov2: 62.94 Bn FLOPs at 608 x 608, halved and scaled to 416 x 416; OpenVINO open_model_zoo yolo-v2-tf: 50.95 MParams"
        lstm-2x512,512x25x1,3,104857600,209715200,4202496,,,,,
        a network of no family that anyone knows,4x1x1,2,0,0,0,,,,,
        "#);
        insta::assert_snapshot!(models_json(&models()[2..]), @r#"
        {
          "models": [
            {
              "model": "a network of no family that anyone knows",
              "input": "4x1x1",
              "layer_count": 2,
              "macs": 0,
              "flops": 0,
              "parameters": 0,
              "published": null
            }
          ]
        }
        "#);
    }
}
