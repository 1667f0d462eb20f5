//! MobileNet (Howard et al., 2017) and MobileNetV2 (Sandler et al., CVPR 2018), both of width 1.0 for 224 x 224.

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Activation, Conv, LayerId, Op, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[
    ZooNetwork {
        name: "mobilenet",
        published: Some(Published {
            macs: Macs(569_000_000),
            parameters: 4_240_000,
            source: "TensorFlow research/slim/nets/mobilenet_v1.md: MobileNet_v1_1.0_224 (the paper's table 8 has 569 \
                     million mult-adds and 4.2 million)",
        }),
        build: mobilenet,
    },
    ZooNetwork {
        name: "mobilenet_v2",
        published: Some(Published {
            macs: Macs(301_000_000),
            parameters: 3_504_872,
            source: "torchvision 0.20, MobileNet_V2_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: mobilenet_v2,
    },
];

const RELU6: Activation = Activation::Clip { low: 0.0, high: 6.0 };

/// As TensorFlow has it: ReLU6, and padding `SAME`, which is uneven where the stride is 2.
fn mobilenet() -> GraphBuilder {
    // Output channels and stride of each depthwise separable block (table 1 of the paper).
    const BLOCKS: [(u32, u32); 13] = [
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (1024, 2),
        (1024, 1),
    ];
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224)).activation(RELU6).epsilon(1e-3);
    let mut x = net.conv_bn_relu("conv0", same(32, 2), net.input());
    let mut channels = 32;
    for (block, (filters, stride)) in (1..).zip(BLOCKS) {
        x = net.conv_bn_relu(&format!("conv{block}.depthwise"), same(channels, stride).groups(channels), x);
        x = net.conv_bn_relu(&format!("conv{block}.pointwise"), Conv::square(filters, 1), x);
        channels = filters;
    }
    x = net.global_average(x);
    x = net.dropout("dropout", x);
    net.dense("fc", 1000, x);
    net
}

/// A 3x3 convolution of maps with an even number of rows and columns.
const fn same(filters: u32, stride: u32) -> Conv {
    let window = Window::new(3).stride(stride);
    let window = if stride == 1 { window.pad(1) } else { Window { pad_after: 1, ..window } };
    Conv { rows: window, cols: window, ..Conv::square(filters, 3) }
}

/// As torchvision has it: symmetric padding.
fn mobilenet_v2() -> GraphBuilder {
    // Expansion, output channels, blocks, and stride of the first (table 2 of the paper).
    const STAGES: [(u32, u32, u32, u32); 7] =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224)).activation(RELU6);
    let mut x = net.conv_bn_relu("conv0", Conv::square(32, 3).stride(2).pad(1), net.input());
    let (mut channels, mut block) = (32, 0);
    for (expansion, filters, blocks, first_stride) in STAGES {
        for index in 0..blocks {
            block += 1;
            let stride = if index == 0 { first_stride } else { 1 };
            x = inverted_residual(&mut net, &format!("block{block}"), [channels, expansion, filters, stride], x);
            channels = filters;
        }
    }
    x = net.conv_bn_relu("conv18", Conv::square(1280, 1), x);
    x = net.global_average(x);
    x = net.dropout("dropout", x);
    net.dense("fc", 1000, x);
    net
}

fn inverted_residual(
    net: &mut GraphBuilder,
    name: &str,
    [channels, expansion, filters, stride]: [u32; 4],
    x: LayerId,
) -> LayerId {
    let name = |part: &str| format!("{name}.{part}");
    let hidden = channels * expansion;
    let mut y = x;
    if expansion > 1 {
        y = net.conv_bn_relu(&name("expand"), Conv::square(hidden, 1), y);
    }
    y = net.conv_bn_relu(&name("depthwise"), Conv::square(hidden, 3).stride(stride).pad(1).groups(hidden), y);
    y = net.conv_bn(&name("project"), Conv::square(filters, 1), y);
    if stride == 1 && channels == filters { net.layer(name("add"), Op::Add, &[x, y]) } else { y }
}
