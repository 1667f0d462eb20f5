//! DenseNet (Huang et al., "Densely connected convolutional networks", CVPR 2017, table 1).

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Conv, Pooling, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[ZooNetwork {
    name: "densenet-121",
    published: Some(Published {
        macs: Macs(2_834_000_000),
        parameters: 7_978_856,
        source: "torchvision 0.20, DenseNet121_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
    }),
    build: densenet_121,
}];

/// Channels that each layer adds.
const GROWTH: u32 = 32;

/// What all earlier layers of a block put out is joined anew after each, which is the same as joining it all for each.
fn densenet_121() -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224));
    let mut x = net.conv_bn_relu("conv0", Conv::square(64, 7).stride(2).pad(3), net.input());
    x = net.max_pool("pool0", Window::new(3).stride(2).pad(1), x);
    let mut channels = 64;
    for (block, layers) in (1..).zip([6, 12, 24, 16]) {
        for layer in 1..=layers {
            let name = |part: &str| format!("block{block}.{layer}.{part}");
            let y = net.bn_relu_conv(&name("conv1"), Conv::square(4 * GROWTH, 1), x);
            let y = net.bn_relu_conv(&name("conv2"), Conv::square(GROWTH, 3).pad(1), y);
            x = net.concat(name("concat"), &[x, y]);
        }
        channels += layers * GROWTH;
        if block < 4 {
            channels /= 2;
            x = net.bn_relu_conv(&format!("transition{block}.conv"), Conv::square(channels, 1), x);
            x = net.pool(&format!("transition{block}.pool"), Pooling::Average, Window::new(2).stride(2), x);
        }
    }
    x = net.bn("final", x);
    x = net.relu("final", x);
    x = net.global_average(x);
    net.dense("fc", 1000, x);
    net
}
