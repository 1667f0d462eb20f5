//! ResNet (He et al., "Deep residual learning for image recognition", CVPR 2016, table 1).
//!
//! As in torchvision, a bottleneck has its stride in the 3x3 convolution, which is known as version 1.5.

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Conv, LayerId, Op, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[
    ZooNetwork {
        name: "resnet-18",
        published: Some(Published {
            macs: Macs(1_814_000_000),
            parameters: 11_689_512,
            source: "torchvision 0.20, ResNet18_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: || resnet([2, 2, 2, 2], basic, 1),
    },
    ZooNetwork {
        name: "resnet-34",
        published: Some(Published {
            macs: Macs(3_664_000_000),
            parameters: 21_797_672,
            source: "torchvision 0.20, ResNet34_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: || resnet([3, 4, 6, 3], basic, 1),
    },
    ZooNetwork {
        name: "resnet-50",
        published: Some(Published {
            macs: Macs(4_089_000_000),
            parameters: 25_557_032,
            source: "torchvision 0.20, ResNet50_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: || resnet([3, 4, 6, 3], bottleneck, 4),
    },
];

/// Adds the convolutions of a block of this name, channels and stride.
type Block = fn(&mut GraphBuilder, &str, u32, u32, LayerId) -> LayerId;

/// Four stages of `blocks` blocks, which put out `expansion` times the channels that they compute on.
fn resnet(blocks: [u32; 4], block: Block, expansion: u32) -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224));
    let mut x = net.conv_bn_relu("conv1", Conv::square(64, 7).stride(2).pad(3), net.input());
    x = net.max_pool("maxpool", Window::new(3).stride(2).pad(1), x);
    let mut channels = 64;
    for (stage, (width, count)) in (1..).zip([64, 128, 256, 512].into_iter().zip(blocks)) {
        for index in 0..count {
            let name = format!("layer{stage}.{index}");
            let stride = if index == 0 && stage > 1 { 2 } else { 1 };
            let filters = width * expansion;
            let y = block(&mut net, &name, width, stride, x);
            if stride > 1 || channels != filters {
                x = net.conv_bn(&format!("{name}.downsample"), Conv::square(filters, 1).stride(stride), x);
            }
            x = net.layer(format!("{name}.add"), Op::Add, &[y, x]);
            x = net.relu(&name, x);
            channels = filters;
        }
    }
    x = net.global_average(x);
    net.dense("fc", 1000, x);
    net
}

fn basic(net: &mut GraphBuilder, name: &str, width: u32, stride: u32, x: LayerId) -> LayerId {
    let y = net.conv_bn_relu(&format!("{name}.conv1"), Conv::square(width, 3).stride(stride).pad(1), x);
    net.conv_bn(&format!("{name}.conv2"), Conv::square(width, 3).pad(1), y)
}

fn bottleneck(net: &mut GraphBuilder, name: &str, width: u32, stride: u32, x: LayerId) -> LayerId {
    let y = net.conv_bn_relu(&format!("{name}.conv1"), Conv::square(width, 1), x);
    let y = net.conv_bn_relu(&format!("{name}.conv2"), Conv::square(width, 3).stride(stride).pad(1), y);
    net.conv_bn(&format!("{name}.conv3"), Conv::square(4 * width, 1), y)
}
