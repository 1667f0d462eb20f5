//! SqueezeNet (Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016, table 1), and the
//! authors' version 1.1 of less computation.

use super::builder::{GraphBuilder, ceil};
use super::{Published, ZooNetwork};
use crate::model::{Conv, LayerId, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[
    ZooNetwork {
        name: "squeezenet_v1.0",
        published: Some(Published {
            macs: Macs(819_000_000),
            parameters: 1_248_424,
            source: "torchvision 0.20, SqueezeNet1_0_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: squeezenet_1_0,
    },
    ZooNetwork {
        name: "squeezenet_v1.1",
        published: Some(Published {
            macs: Macs(349_000_000),
            parameters: 1_235_496,
            source: "torchvision 0.20, SqueezeNet1_1_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: squeezenet_1_1,
    },
];

const POOL: Window = Window::new(3).stride(2);

fn squeezenet_1_0() -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224));
    let mut x = net.conv_relu("conv1", Conv::square(96, 7).stride(2), net.input());
    x = net.max_pool("pool1", POOL, x);
    x = fires(&mut net, 2, &[16, 16, 32], x);
    x = net.max_pool("pool4", ceil(POOL, 1), x);
    x = fires(&mut net, 5, &[32, 48, 48, 64], x);
    x = net.max_pool("pool8", POOL, x);
    x = fires(&mut net, 9, &[64], x);
    classifier(net, x)
}

fn squeezenet_1_1() -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224));
    let mut x = net.conv_relu("conv1", Conv::square(64, 3).stride(2), net.input());
    x = net.max_pool("pool1", POOL, x);
    x = fires(&mut net, 2, &[16, 16], x);
    x = net.max_pool("pool3", POOL, x);
    x = fires(&mut net, 4, &[32, 32], x);
    x = net.max_pool("pool5", POOL, x);
    x = fires(&mut net, 6, &[48, 48, 64, 64], x);
    classifier(net, x)
}

/// Modules `fire<first>` and on: each squeezes to as many channels as `squeezed` says and expands to eight times that,
/// half by 1x1 and half by 3x3 windows.
fn fires(net: &mut GraphBuilder, first: u32, squeezed: &[u32], mut x: LayerId) -> LayerId {
    for (fire, &squeezed) in (first..).zip(squeezed) {
        let name = |part: &str| format!("fire{fire}.{part}");
        x = net.conv_relu(&name("squeeze"), Conv::square(squeezed, 1), x);
        let one = net.conv_relu(&name("expand1x1"), Conv::square(4 * squeezed, 1), x);
        let three = net.conv_relu(&name("expand3x3"), Conv::square(4 * squeezed, 3).pad(1), x);
        x = net.concat(name("concat"), &[one, three]);
    }
    x
}

fn classifier(mut net: GraphBuilder, x: LayerId) -> GraphBuilder {
    let x = net.dropout("dropout", x);
    let x = net.conv_relu("conv10", Conv::square(1000, 1), x);
    net.global_average(x);
    net
}
