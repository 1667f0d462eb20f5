//! The smallest parts of a network that are measured: a layer with what every runtime fuses into it.

use super::{Graph, LayerId, Op, Segment};

/// The network's layers in parts that follow each other: each layer together with the batch-norms, activations and
/// dropouts that alone read it.
pub fn units(graph: &Graph) -> Vec<Segment> {
    let mut chains: Vec<Vec<LayerId>> = Vec::new();
    for id in graph.layer_ids().filter(|&id| !graph.is_input(id)) {
        let layer = graph.layer(id);
        let joins = matches!(layer.op, Op::BatchNorm { .. } | Op::Activation(_) | Op::Dropout);
        let before = layer.inputs.first().filter(|&&input| joins && graph.consumers(input).len() == 1);
        match before.and_then(|&input| chains.iter_mut().find(|chain| chain.last() == Some(&input))) {
            Some(chain) => chain.push(id),
            None => chains.push(vec![id]),
        }
    }
    chains.into_iter().map(|chain| Segment::new(chain).expect("layers of a chain ascend")).collect()
}

/// What traces call a part of a network: its only layer, or `first..last`.
pub fn unit_name(graph: &Graph, segment: &Segment) -> String {
    let name = |id: LayerId| graph.layer(id).name.as_str();
    let (first, last) = (segment.first(), segment.last());
    if first == last { name(first).to_owned() } else { format!("{}..{}", name(first), name(last)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::zoo;

    fn names(network: &str) -> Vec<String> {
        let graph = zoo::graph(network).unwrap();
        units(&graph).iter().map(|unit| unit_name(&graph, unit)).collect()
    }

    #[test]
    fn activations_belong_to_the_layer_that_they_follow() {
        assert_eq!(names("vgg-16").len(), 13 + 5 + 1 + 3, "convolutions, poolings, a flattening and dense layers");
    }

    #[test]
    fn every_layer_is_in_one_unit_and_each_unit_waits_for_earlier_ones_only() {
        for network in zoo::names() {
            let graph = zoo::graph(network).unwrap();
            let units = units(&graph);
            let mut layers: Vec<LayerId> = units.iter().flat_map(|unit| unit.layers().collect::<Vec<_>>()).collect();
            layers.sort();
            assert_eq!(layers, graph.whole().unwrap().layers().collect::<Vec<_>>(), "{network}");
            for (index, unit) in units.iter().enumerate() {
                assert_eq!(graph.hole(unit), None, "{network}");
                for input in unit.layers().flat_map(|layer| graph.layer(layer).inputs.clone()) {
                    let maker = units.iter().position(|unit| unit.contains(input));
                    assert!(maker.is_none_or(|maker| maker <= index), "{network}: {}", unit_name(&graph, unit));
                }
            }
        }
    }
}
