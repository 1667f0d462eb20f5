//! Known networks, built in code by the names that traces use, with the counts that others have published for them.
//!
//! All are for fp32 and one sample. Batch-norm, activation and dropout are layers of their own, and a convolution that
//! batch-norm follows has no bias. None ends in a softmax: outputs are logits, so that what split runs compute can be
//! compared with what a whole run does. Biases, batch-norm and pooling are not among the multiply-accumulates.

mod alexnet;
mod builder;
mod densenet;
mod googlenet;
#[cfg(test)]
mod halo_tests;
mod inception;
mod mobilenet;
mod recurrent;
mod resnet;
mod squeezenet;
mod vgg;
mod yolo;

use super::Graph;
use crate::units::Macs;

/// What others have counted for a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Multiply-accumulates of convolutions, fully connected and recurrent layers for one sample.
    pub macs: Macs,
    /// Numbers that training sets: weights, biases, and scale and shift of batch-norm.
    pub parameters: u64,
    /// Where the counts are from. What torchvision calls GFLOPS (`_ops` in its source, with three decimals) are
    /// multiply-accumulates in thousands of millions. fvcore counts the same; tools that also count batch-norm and
    /// pooling, such as thop, give more.
    pub source: &'static str,
}

/// Names of all networks, those of a family together.
pub fn names() -> impl Iterator<Item = &'static str> {
    networks().map(|network| network.name)
}

/// The network of this name, which becomes the graph's.
pub fn graph(name: &str) -> Option<Graph> {
    find(name).map(|network| (network.build)().graph(network.name))
}

/// What is published about the network of this name, if anything is.
pub fn published(name: &str) -> Option<Published> {
    find(name).and_then(|network| network.published)
}

struct ZooNetwork {
    name: &'static str,
    published: Option<Published>,
    build: fn() -> builder::GraphBuilder,
}

const FAMILIES: [&[ZooNetwork]; 10] = [
    alexnet::NETWORKS,
    vgg::NETWORKS,
    squeezenet::NETWORKS,
    googlenet::NETWORKS,
    inception::NETWORKS,
    resnet::NETWORKS,
    densenet::NETWORKS,
    mobilenet::NETWORKS,
    yolo::NETWORKS,
    recurrent::NETWORKS,
];

fn networks() -> impl Iterator<Item = &'static ZooNetwork> {
    FAMILIES.into_iter().flatten()
}

fn find(name: &str) -> Option<&'static ZooNetwork> {
    networks().find(|network| network.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use crate::model::{ModelId, Region, Work};

    pub(super) fn macs(graph: &Graph) -> Macs {
        let segment = graph.whole().unwrap();
        let region = Region { samples: 0..1, rows: 0..graph.shape(graph.output()).rows };
        graph.macs(&Work { model: ModelId(0), segment, region })
    }

    #[test]
    fn counts_are_within_a_percent_of_the_published_ones() {
        for network in networks() {
            let Some(published) = network.published else { continue };
            let graph = graph(network.name).unwrap();
            let check = |what: &str, counted: u64, published: u64| {
                let deviation = counted as f64 / published as f64 - 1.0;
                let name = network.name;
                assert!(deviation.abs() < 0.01, "{name}: {counted} {what}, {published} published");
            };
            check("MACs", macs(&graph).0, published.macs.0);
            check("parameters", graph.trained_count(), published.parameters);
        }
    }

    #[test]
    fn names_are_unique_and_become_the_graphs() {
        let all: BTreeSet<&str> = names().collect();
        assert_eq!(all.len(), names().count());
        for name in names() {
            assert_eq!(graph(name).unwrap().name(), name);
        }
        assert_eq!(graph("resnet"), None);
    }

    #[test]
    fn every_network_of_the_traces_is_there() {
        let traces = ["densenet-121", "inception_v3", "mobilenet", "resnet-34", "resnet-50"];
        for name in traces.into_iter().chain(["squeezenet_v1.1", "vgg-16", "vgg-19"]) {
            assert!(graph(name).is_some(), "{name}");
        }
    }

    #[test]
    fn maps_have_the_sizes_of_the_papers() {
        let check = |name: &str, layer: &str, expected: &str| {
            let graph = graph(name).unwrap();
            assert_eq!(graph.shape(graph.find(layer).unwrap()).to_string(), expected, "{layer} of {name}");
        };
        check("alexnet", "conv1", "64x55x55");
        check("alexnet", "pool5", "256x6x6");
        check("alexnet-caffe", "conv1", "96x55x55");
        check("alexnet-caffe", "pool5", "256x6x6");
        check("vgg-16", "pool5", "512x7x7");
        check("squeezenet_v1.0", "pool4", "256x27x27");
        check("squeezenet_v1.0", "pool8", "512x13x13");
        check("squeezenet_v1.1", "fire9.concat", "512x13x13");
        check("googlenet", "pool1", "64x56x56");
        check("googlenet", "inception3b.concat", "480x28x28");
        check("googlenet", "inception5b.concat", "1024x7x7");
        check("googlenet-caffe", "pool2", "192x28x28");
        check("googlenet-caffe", "inception5b.concat", "1024x7x7");
        check("inception_v3", "mixed5d.concat", "288x35x35");
        check("inception_v3", "mixed6e.concat", "768x17x17");
        check("inception_v3", "mixed7c.concat", "2048x8x8");
        check("resnet-18", "layer4.1.relu", "512x7x7");
        check("resnet-50", "layer2.0.conv2", "128x28x28");
        check("densenet-121", "block1.6.concat", "256x56x56");
        check("densenet-121", "final.relu", "1024x7x7");
        check("mobilenet", "conv0", "32x112x112");
        check("mobilenet", "conv13.pointwise", "1024x7x7");
        check("mobilenet_v2", "block17.project", "320x7x7");
        check("yolov2", "reorg", "256x13x13");
        check("yolov2", "route", "1280x13x13");
        check("yolov2", "conv23", "425x13x13");
        check("lstm-2x512", "layer2", "512x25x1");
    }

    #[test]
    fn outputs_are_logits() {
        for name in names().filter(|name| !name.contains("-2x") && *name != "yolov2") {
            let graph = graph(name).unwrap();
            assert_eq!(graph.shape(graph.output()).to_string(), "1000x1x1", "{name}");
            assert_ne!(graph.layer(graph.output()).op, crate::model::Op::Softmax);
        }
    }
}
