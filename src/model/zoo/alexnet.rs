//! AlexNet: in one tower (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014), and in two
//! that meet at the third convolution (Krizhevsky et al., NIPS 2012), as Caffe has it.

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Conv, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[
    ZooNetwork {
        name: "alexnet",
        published: Some(Published {
            macs: Macs(714_000_000),
            parameters: 61_100_840,
            source: "torchvision 0.20, AlexNet_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: alexnet,
    },
    ZooNetwork {
        name: "alexnet-caffe",
        published: Some(Published {
            macs: Macs(727_000_000),
            parameters: 233 * (1 << 20) / 4,
            source: "github.com/albanie/convnet-burden, alexnet: 727 MFLOPS (MACs), 233 MB",
        }),
        build: alexnet_caffe,
    },
];

fn alexnet() -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224));
    let pool = Window::new(3).stride(2);
    let mut x = net.conv_relu("conv1", Conv::square(64, 11).stride(4).pad(2), net.input());
    x = net.max_pool("pool1", pool, x);
    x = net.conv_relu("conv2", Conv::square(192, 5).pad(2), x);
    x = net.max_pool("pool2", pool, x);
    x = net.conv_relu("conv3", Conv::square(384, 3).pad(1), x);
    x = net.conv_relu("conv4", Conv::square(256, 3).pad(1), x);
    x = net.conv_relu("conv5", Conv::square(256, 3).pad(1), x);
    x = net.max_pool("pool5", pool, x);
    x = net.flatten(x);
    for name in ["fc6", "fc7"] {
        x = net.dropout(&format!("{name}.dropout"), x);
        x = net.dense(name, 4096, x);
        x = net.relu(name, x);
    }
    net.dense("fc8", 1000, x);
    net
}

fn alexnet_caffe() -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 227, 227));
    let pool = Window::new(3).stride(2);
    let mut x = net.conv_relu("conv1", Conv::square(96, 11).stride(4), net.input());
    x = net.lrn("norm1", x);
    x = net.max_pool("pool1", pool, x);
    x = net.conv_relu("conv2", Conv::square(256, 5).pad(2).groups(2), x);
    x = net.lrn("norm2", x);
    x = net.max_pool("pool2", pool, x);
    x = net.conv_relu("conv3", Conv::square(384, 3).pad(1), x);
    x = net.conv_relu("conv4", Conv::square(384, 3).pad(1).groups(2), x);
    x = net.conv_relu("conv5", Conv::square(256, 3).pad(1).groups(2), x);
    x = net.max_pool("pool5", pool, x);
    x = net.flatten(x);
    for name in ["fc6", "fc7"] {
        x = net.dense(name, 4096, x);
        x = net.relu(name, x);
        x = net.dropout(&format!("{name}.dropout"), x);
    }
    net.dense("fc8", 1000, x);
    net
}
