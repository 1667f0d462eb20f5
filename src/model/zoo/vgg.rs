//! VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015, table 1).

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Conv, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[
    ZooNetwork {
        name: "vgg-16",
        published: Some(Published {
            macs: Macs(15_470_000_000),
            parameters: 138_357_544,
            source: "torchvision 0.20, VGG16_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: || vgg([2, 2, 3, 3, 3]),
    },
    ZooNetwork {
        name: "vgg-19",
        published: Some(Published {
            macs: Macs(19_632_000_000),
            parameters: 143_667_240,
            source: "torchvision 0.20, VGG19_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: || vgg([2, 2, 4, 4, 4]),
    },
];

/// Five blocks of 3x3 convolutions, without batch-norm. Layers are called as in the authors' Caffe model.
fn vgg(convs: [u32; 5]) -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224));
    let mut x = net.input();
    for (block, (filters, count)) in (1..).zip([64, 128, 256, 512, 512].into_iter().zip(convs)) {
        for conv in 1..=count {
            x = net.conv_relu(&format!("conv{block}_{conv}"), Conv::square(filters, 3).pad(1), x);
        }
        x = net.max_pool(&format!("pool{block}"), Window::new(2).stride(2), x);
    }
    x = net.flatten(x);
    for name in ["fc6", "fc7"] {
        x = net.dense(name, 4096, x);
        x = net.relu(name, x);
        x = net.dropout(&format!("{name}.dropout"), x);
    }
    net.dense("fc8", 1000, x);
    net
}
