//! AlexNet (Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014): one tower.

use super::builder::Builder;
use super::{Network, Published};
use crate::model::{Conv, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[Network] = &[Network {
    name: "alexnet",
    published: Some(Published {
        macs: Macs(714_000_000),
        parameters: 61_100_840,
        source: "torchvision 0.20, AlexNet_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
    }),
    build: alexnet,
}];

fn alexnet() -> Builder {
    let mut net = Builder::new(Shape::fp32(3, 224, 224));
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
