//! The layers of one network: what each computes, what it costs, and what splitting its rows makes it read twice.

use serde::{Deserialize, Serialize};

use super::encode::json_text;
use super::grid::{NAME_BREAKS, columns, grid, page, room, wrap};
use super::models::{CountedModel, ModelEntry, percent, whole_macs};
use super::record::records_csv;
use crate::model::{Activation, Conv, Graph, LayerId, Op, Pooling, Segment, Window};

/// The layers as lines of at most 80 columns, with a header in bold if so wanted; below it totals and published counts.
pub fn layers_table(model: &CountedModel, bold: bool) -> String {
    let layers = entries(&model.graph);
    let numbers: Vec<[String; 4]> = layers.iter().map(numbers).collect();
    let left = room(&TITLES, numbers.iter().map(<[String; 4]>::as_slice));
    let width = |texts: &mut dyn Iterator<Item = &str>| texts.map(columns).max().unwrap_or(0).max(NARROWEST);
    let names_width = width(&mut layers.iter().map(|layer| layer.name));
    let operators_width = width(&mut layers.iter().map(|layer| layer.operator.as_str()));
    // Operators get what the names leave, but at least half of what they want to share.
    let operators_width = operators_width.min(left.saturating_sub(names_width).max(left / 2));
    let names_width = names_width.min(left.saturating_sub(operators_width)).max(NARROWEST);
    let line = |(layer, numbers): (&LayerEntry<'_>, [String; 4])| {
        let name = wrap(layer.name, names_width, "", &NAME_SEPARATORS).join("\n");
        let operator = wrap(&layer.operator, operators_width, "", NAME_BREAKS).join("\n");
        [name, operator].into_iter().chain(numbers).collect()
    };
    let lines = grid(&TITLES, 2, layers.iter().zip(numbers).map(line), bold);
    page(lines, captions(model))
}

/// The layers as CSV.
pub fn layers_csv(model: &CountedModel) -> Vec<u8> {
    records_csv(entries(&model.graph))
}

/// The network and its layers as one JSON object with a newline at its end.
pub fn layers_json(model: &CountedModel) -> String {
    #[derive(Serialize)]
    struct LayersView<'a> {
        #[serde(flatten)]
        total: ModelEntry<'a>,
        layers: Vec<LayerEntry<'a>>,
    }
    json_text(&LayersView { total: model.into(), layers: entries(&model.graph) })
}

/// What is said of a layer in files.
#[derive(Serialize, Deserialize)]
struct LayerEntry<'a> {
    /// Its place in topological order, by which plans refer to it.
    layer: u32,
    /// Its name.
    name: &'a str,
    /// What it computes.
    operator: String,
    /// Channels of its output.
    channels: u32,
    /// Rows of its output.
    rows: u32,
    /// Columns of its output.
    cols: u32,
    /// Multiply-accumulates for one sample.
    macs: u64,
    /// Operations for one sample, two for each multiply-accumulate.
    flops: u64,
    /// Numbers that training sets.
    parameters: u64,
    /// Rows of an input that both halves of the output need; of the input of which these are the most.
    halo_rows: u32,
    #[serde(skip)]
    is_barrier: bool,
}

fn entries(graph: &Graph) -> Vec<LayerEntry<'_>> {
    let entry = |id: LayerId| {
        let (layer, shape) = (graph.layer(id), graph.shape(id));
        let macs = whole_macs(graph, Segment::range(id, id));
        let trained = graph.weights(id).into_iter().filter(|weight| weight.is_trained);
        LayerEntry {
            layer: id.0,
            name: &layer.name,
            operator: operator(&layer.op),
            channels: shape.channels,
            rows: shape.rows,
            cols: shape.cols,
            macs: macs.0,
            flops: macs.flops(),
            parameters: trained.map(|weight| weight.elements()).sum(),
            halo_rows: halo_rows(graph, id),
            is_barrier: layer.op.is_barrier(),
        }
    };
    graph.layer_ids().map(entry).collect()
}

fn halo_rows(graph: &Graph, id: LayerId) -> u32 {
    let layer = graph.layer(id);
    let rows = graph.shape(id).rows;
    let shared = |&input: &LayerId| {
        if layer.op.is_barrier() {
            return graph.shape(input).rows;
        }
        if rows < 2 {
            return 0;
        }
        let [upper, lower] = [0..rows / 2, rows / 2..rows].map(|part| graph.rows_read(id, &part, input));
        upper.end.saturating_sub(lower.start)
    };
    layer.inputs.iter().map(shared).max().unwrap_or(0)
}

/// Each column's title and unit.
const TITLES: [(&str, &str); 6] =
    [("layer", ""), ("operator", ""), ("output", ""), ("MACs", "10^6"), ("parameters", ""), ("halo", "rows")];
/// Names and operators are wrapped to no less than this.
const NARROWEST: usize = 9;
/// Names of layers are broken after these.
const NAME_SEPARATORS: [char; 5] = ['.', '/', ' ', '_', '-'];

fn numbers(layer: &LayerEntry<'_>) -> [String; 4] {
    let LayerEntry { channels, rows, cols, .. } = layer;
    let millions = format!("{:.3}", layer.macs as f64 / 1e6);
    [
        format!("{channels}x{rows}x{cols}"),
        if layer.macs == 0 { "0".to_owned() } else { millions },
        layer.parameters.to_string(),
        if layer.is_barrier { "all".to_owned() } else { layer.halo_rows.to_string() },
    ]
}

fn captions(model: &CountedModel) -> Vec<String> {
    let ModelEntry { model, layer_count, macs, flops, parameters, published, .. } = model.into();
    let mut captions = vec![format!(
        "{model}: {layer_count} layers, {macs} MACs, {flops} FLOPs (two for each MAC), {parameters} parameters"
    )];
    if let Some(published) = published {
        let of_macs = format!("{} MACs ({} %)", published.macs, percent(published.macs_deviation));
        let of_parameters =
            format!("{} parameters ({} %)", published.parameters, percent(published.parameters_deviation));
        captions.push(format!("published: {of_macs}, {of_parameters}"));
        captions.push(format!("source: {}", published.source));
    }
    captions.push("halo: rows of its input that both halves of a layer's output need".to_owned());
    captions
}

/// What a layer computes, in a few words.
fn operator(op: &Op) -> String {
    match op {
        Op::Input(_) => "input".to_owned(),
        Op::Opaque { .. } => "opaque".to_owned(),
        Op::Conv(conv) => format!("conv {}", filters(conv)),
        Op::ConvTransposed { conv, .. } => format!("transposed conv {}", filters(conv)),
        Op::Pool { pooling, rows, cols } => format!("{} pool {}", pooled(*pooling), windows(rows, cols)),
        Op::GlobalPool(pooling) => format!("global {} pool", pooled(*pooling)),
        Op::BatchNorm { .. } => "batch norm".to_owned(),
        Op::Activation(activation) => activated(activation).to_owned(),
        Op::Add => "add".to_owned(),
        Op::Multiply => "multiply".to_owned(),
        Op::Concat => "concat".to_owned(),
        Op::Flatten => "flatten".to_owned(),
        Op::Reshape { .. } => "reshape".to_owned(),
        Op::Dense { .. } => "dense".to_owned(),
        Op::Softmax => "softmax".to_owned(),
        Op::Lrn { .. } => "local response norm".to_owned(),
        Op::Dropout => "dropout".to_owned(),
        Op::SpaceToDepth { block } => format!("space to depth {block}"),
        Op::Upsample { factor } => format!("upsample {factor}"),
        Op::Lstm { .. } => "lstm".to_owned(),
        Op::Gru { .. } => "gru".to_owned(),
    }
}

fn pooled(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Max => "max",
        Pooling::Average | Pooling::AverageWithPadding => "average",
    }
}

fn activated(activation: &Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::Clip { .. } => "clip",
        Activation::LeakyRelu { .. } => "leaky relu",
        Activation::Sigmoid => "sigmoid",
        Activation::Tanh => "tanh",
        Activation::HardSwish => "hard swish",
        Activation::Silu => "silu",
    }
}

fn filters(conv: &Conv) -> String {
    let groups = if conv.groups > 1 { format!(", {} groups", conv.groups) } else { String::new() };
    windows(&conv.rows, &conv.cols) + &groups
}

/// Rows x columns, and after a slash the stride if it is not 1.
fn windows(rows: &Window, cols: &Window) -> String {
    let stride = match (rows.stride, cols.stride) {
        (1, 1) => String::new(),
        (down, across) if down == across => format!("/{down}"),
        (down, across) => format!("/{down}x{across}"),
    };
    let dilation = match (rows.dilation, cols.dilation) {
        (1, 1) => String::new(),
        (down, across) if down == across => format!(", dilation {down}"),
        (down, across) => format!(", dilation {down}x{across}"),
    };
    format!("{}x{}{stride}{dilation}", rows.size, cols.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::{Shape, zoo};

    fn model(name: &str) -> CountedModel {
        CountedModel { graph: zoo::graph(name).unwrap(), published: zoo::published(name) }
    }

    #[test]
    fn layers_have_their_costs_and_halos() {
        insta::assert_snapshot!(layers_table(&model("alexnet"), false), @"
        layer        operator           output     MACs  parameters  halo
                                                   10^6              rows
        -----------------------------------------------------------------
        input        input           3x224x224        0           0     0
        conv1        conv 11x11/4     64x55x55   70.277       23296     7
        conv1.relu   relu             64x55x55        0           0     0
        pool1        max pool 3x3/2   64x27x27        0           0     1
        conv2        conv 5x5        192x27x27  223.949      307392     4
        conv2.relu   relu            192x27x27        0           0     0
        pool2        max pool 3x3/2  192x13x13        0           0     1
        conv3        conv 3x3        384x13x13  112.140      663936     2
        conv3.relu   relu            384x13x13        0           0     0
        conv4        conv 3x3        256x13x13  149.520      884992     2
        conv4.relu   relu            256x13x13        0           0     0
        conv5        conv 3x3        256x13x13   99.680      590080     2
        conv5.relu   relu            256x13x13        0           0     0
        pool5        max pool 3x3/2    256x6x6        0           0     1
        flatten      flatten          9216x1x1        0           0   all
        fc6.dropout  dropout          9216x1x1        0           0     0
        fc6          dense            4096x1x1   37.749    37752832   all
        fc6.relu     relu             4096x1x1        0           0     0
        fc7.dropout  dropout          4096x1x1        0           0     0
        fc7          dense            4096x1x1   16.777    16781312   all
        fc7.relu     relu             4096x1x1        0           0     0
        fc8          dense            1000x1x1    4.096     4097000   all

        alexnet: 22 layers, 714188480 MACs, 1428376960 FLOPs (two for each MAC),
          61100840 parameters
        published: 714000000 MACs (+0.03 %), 61100840 parameters (+0.00 %)
        source: torchvision 0.20, AlexNet_Weights.IMAGENET1K_V1: GFLOPS (MACs),
          num_params
        halo: rows of its input that both halves of a layer's output need
        ");
        insta::assert_snapshot!(layers_table(&model("gru-2x512"), false), @"
        layer   operator    output    MACs  parameters  halo
                                      10^6              rows
        ----------------------------------------------------
        input   input     512x25x1       0           0     0
        layer1  gru       512x25x1  39.322     1575936    12
        layer2  gru       512x25x1  39.322     1575936    12

        gru-2x512: 3 layers, 78643200 MACs, 157286400 FLOPs (two for each MAC), 3151872
          parameters
        halo: rows of its input that both halves of a layer's output need
        ");
    }

    #[test]
    fn files_have_exact_numbers_and_indices() {
        insta::assert_snapshot!(String::from_utf8(layers_csv(&model("gru-2x512"))).unwrap(), @"
        layer,name,operator,channels,rows,cols,macs,flops,parameters,halo_rows
        0,input,input,512,25,1,0,0,0,0
        1,layer1,gru,512,25,1,39321600,78643200,1575936,12
        2,layer2,gru,512,25,1,39321600,78643200,1575936,12
        ");
        insta::assert_snapshot!(layers_json(&model("gru-2x512")), @r#"
        {
          "model": "gru-2x512",
          "input": "512x25x1",
          "layer_count": 3,
          "macs": 78643200,
          "flops": 157286400,
          "parameters": 3151872,
          "published": null,
          "layers": [
            {
              "layer": 0,
              "name": "input",
              "operator": "input",
              "channels": 512,
              "rows": 25,
              "cols": 1,
              "macs": 0,
              "flops": 0,
              "parameters": 0,
              "halo_rows": 0
            },
            {
              "layer": 1,
              "name": "layer1",
              "operator": "gru",
              "channels": 512,
              "rows": 25,
              "cols": 1,
              "macs": 39321600,
              "flops": 78643200,
              "parameters": 1575936,
              "halo_rows": 12
            },
            {
              "layer": 2,
              "name": "layer2",
              "operator": "gru",
              "channels": 512,
              "rows": 25,
              "cols": 1,
              "macs": 39321600,
              "flops": 78643200,
              "parameters": 1575936,
              "halo_rows": 12
            }
          ]
        }
        "#);
    }

    #[test]
    fn every_line_fits_the_terminal() {
        for name in zoo::names() {
            for line in layers_table(&model(name), false).lines() {
                assert!(columns(line) <= 80, "{line}");
            }
        }
    }

    #[test]
    fn operators_say_what_windows_do() {
        let check = |op: Op, expected: &str| assert_eq!(operator(&op), expected);
        check(Op::Input(Shape::flat(1)), "input");
        check(Op::Conv(Conv::square(8, 3).stride(2).groups(4)), "conv 3x3/2, 4 groups");
        let rows = Window::new(3).dilation(2);
        check(Op::Conv(Conv { rows, ..Conv::square(8, 1) }), "conv 3x1, dilation 2x1");
        let conv = Conv { rows: Window::new(2).stride(2), ..Conv::square(8, 1) };
        check(Op::ConvTransposed { conv, output_pad: (0, 0) }, "transposed conv 2x1/2x1");
        check(Op::GlobalPool(Pooling::Average), "global average pool");
    }
}
