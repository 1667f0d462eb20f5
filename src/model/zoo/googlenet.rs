//! GoogLeNet (Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1), as torchvision has it: with
//! batch-norm, 3x3 windows where the paper has 5x5, and without the auxiliary heads, which only training needs.

use super::builder::{Builder, ceil};
use super::{Network, Published};
use crate::model::{Conv, LayerId, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[Network] = &[Network {
    name: "googlenet",
    published: Some(Published {
        macs: Macs(1_498_000_000),
        parameters: 6_624_904,
        source: "torchvision 0.20, GoogLeNet_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
    }),
    build: googlenet,
}];

fn googlenet() -> Builder {
    let pool = ceil(Window::new(3).stride(2), 1);
    let mut net = Builder::new(Shape::fp32(3, 224, 224)).epsilon(1e-3);
    let mut x = net.conv_bn_relu("conv1", Conv::square(64, 7).stride(2).pad(3), net.input());
    x = net.max_pool("pool1", pool, x);
    x = net.conv_bn_relu("conv2", Conv::square(64, 1), x);
    x = net.conv_bn_relu("conv3", Conv::square(192, 3).pad(1), x);
    x = net.max_pool("pool2", pool, x);
    x = inception(&mut net, "inception3a", [64, 96, 128, 16, 32, 32], x);
    x = inception(&mut net, "inception3b", [128, 128, 192, 32, 96, 64], x);
    x = net.max_pool("pool3", pool, x);
    x = inception(&mut net, "inception4a", [192, 96, 208, 16, 48, 64], x);
    x = inception(&mut net, "inception4b", [160, 112, 224, 24, 64, 64], x);
    x = inception(&mut net, "inception4c", [128, 128, 256, 24, 64, 64], x);
    x = inception(&mut net, "inception4d", [112, 144, 288, 32, 64, 64], x);
    x = inception(&mut net, "inception4e", [256, 160, 320, 32, 128, 128], x);
    x = net.max_pool("pool4", Window::new(2).stride(2), x);
    x = inception(&mut net, "inception5a", [256, 160, 320, 32, 128, 128], x);
    x = inception(&mut net, "inception5b", [384, 192, 384, 48, 128, 128], x);
    x = net.global_average(x);
    x = net.dropout("dropout", x);
    net.dense("fc", 1000, x);
    net
}

/// `channels`: of the 1x1 branch; of the second, reduced and after; of the third, reduced and after; of the pooled one.
fn inception(net: &mut Builder, name: &str, channels: [u32; 6], x: LayerId) -> LayerId {
    let [one, three_reduced, three, five_reduced, five, pooled] = channels;
    let name = |part: &str| format!("{name}.{part}");
    let first = net.conv_bn_relu(&name("branch1"), Conv::square(one, 1), x);
    let second = net.conv_bn_relu(&name("branch2.0"), Conv::square(three_reduced, 1), x);
    let second = net.conv_bn_relu(&name("branch2.1"), Conv::square(three, 3).pad(1), second);
    let third = net.conv_bn_relu(&name("branch3.0"), Conv::square(five_reduced, 1), x);
    let third = net.conv_bn_relu(&name("branch3.1"), Conv::square(five, 3).pad(1), third);
    let fourth = net.max_pool(&name("branch4.pool"), Window::new(3).pad(1), x);
    let fourth = net.conv_bn_relu(&name("branch4.1"), Conv::square(pooled, 1), fourth);
    net.concat(name("concat"), &[first, second, third, fourth])
}
