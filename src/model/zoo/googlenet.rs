//! GoogLeNet (Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1), without the auxiliary heads, which only
//! training needs: as torchvision has it, with batch-norm and 3x3 windows where the paper has 5x5, and as Caffe has it, with
//! local response normalisation.

use super::builder::{GraphBuilder, ceil};
use super::{Published, ZooNetwork};
use crate::model::{Conv, LayerId, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[
    ZooNetwork {
        name: "googlenet",
        published: Some(Published {
            macs: Macs(1_498_000_000),
            parameters: 6_624_904,
            source: "torchvision 0.20, GoogLeNet_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params",
        }),
        build: || googlenet(Edition::Torchvision),
    },
    ZooNetwork { name: "googlenet-caffe", published: None, build: || googlenet(Edition::Caffe) },
];

/// Whose GoogLeNet it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edition {
    Torchvision,
    Caffe,
}

impl Edition {
    /// A convolution and what follows it.
    fn conv(self, net: &mut GraphBuilder, name: &str, conv: Conv, x: LayerId) -> LayerId {
        match self {
            Edition::Torchvision => net.conv_bn_relu(name, conv, x),
            Edition::Caffe => net.conv_relu(name, conv, x),
        }
    }

    fn lrn(self, net: &mut GraphBuilder, name: &str, x: LayerId) -> LayerId {
        if self == Edition::Caffe { net.lrn(name, x) } else { x }
    }
}

fn googlenet(kind: Edition) -> GraphBuilder {
    let pool = ceil(Window::new(3).stride(2), 1);
    let mut net = GraphBuilder::new(Shape::fp32(3, 224, 224)).epsilon(1e-3);
    let mut x = kind.conv(&mut net, "conv1", Conv::square(64, 7).stride(2).pad(3), LayerId(0));
    x = net.max_pool("pool1", pool, x);
    x = kind.lrn(&mut net, "norm1", x);
    x = kind.conv(&mut net, "conv2", Conv::square(64, 1), x);
    x = kind.conv(&mut net, "conv3", Conv::square(192, 3).pad(1), x);
    x = kind.lrn(&mut net, "norm2", x);
    x = net.max_pool("pool2", pool, x);
    x = inception(kind, &mut net, "inception3a", [64, 96, 128, 16, 32, 32], x);
    x = inception(kind, &mut net, "inception3b", [128, 128, 192, 32, 96, 64], x);
    x = net.max_pool("pool3", pool, x);
    x = inception(kind, &mut net, "inception4a", [192, 96, 208, 16, 48, 64], x);
    x = inception(kind, &mut net, "inception4b", [160, 112, 224, 24, 64, 64], x);
    x = inception(kind, &mut net, "inception4c", [128, 128, 256, 24, 64, 64], x);
    x = inception(kind, &mut net, "inception4d", [112, 144, 288, 32, 64, 64], x);
    x = inception(kind, &mut net, "inception4e", [256, 160, 320, 32, 128, 128], x);
    let last_pool = if kind == Edition::Caffe { pool } else { Window::new(2).stride(2) };
    x = net.max_pool("pool4", last_pool, x);
    x = inception(kind, &mut net, "inception5a", [256, 160, 320, 32, 128, 128], x);
    x = inception(kind, &mut net, "inception5b", [384, 192, 384, 48, 128, 128], x);
    x = net.global_average(x);
    x = net.dropout("dropout", x);
    net.dense("fc", 1000, x);
    net
}

/// `channels`: of the 1x1 branch; of the second, reduced and after; of the third, reduced and after; of the pooled one.
fn inception(kind: Edition, net: &mut GraphBuilder, name: &str, channels: [u32; 6], x: LayerId) -> LayerId {
    let [one, three_reduced, three, five_reduced, five, pooled] = channels;
    let name = |part: &str| format!("{name}.{part}");
    let window = match kind {
        Edition::Torchvision => Conv::square(five, 3).pad(1),
        Edition::Caffe => Conv::square(five, 5).pad(2),
    };
    let first = kind.conv(net, &name("branch1"), Conv::square(one, 1), x);
    let second = kind.conv(net, &name("branch2.0"), Conv::square(three_reduced, 1), x);
    let second = kind.conv(net, &name("branch2.1"), Conv::square(three, 3).pad(1), second);
    let third = kind.conv(net, &name("branch3.0"), Conv::square(five_reduced, 1), x);
    let third = kind.conv(net, &name("branch3.1"), window, third);
    let fourth = net.max_pool(&name("branch4.pool"), Window::new(3).pad(1), x);
    let fourth = kind.conv(net, &name("branch4.1"), Conv::square(pooled, 1), fourth);
    net.concat(name("concat"), &[first, second, third, fourth])
}

#[cfg(test)]
mod tests {
    use super::super::{graph, tests::macs};

    #[test]
    fn the_network_of_caffe_is_as_large_as_its_file_says() {
        let graph = graph("googlenet-caffe").unwrap();
        // Weights and biases of bvlc_googlenet without the auxiliary heads.
        assert_eq!(graph.trained_count(), 6_998_552);
        assert_eq!(macs(&graph).0, 1_582_671_872);
    }
}
