//! Inception-v3 (Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, table 1), as
//! torchvision has it, for 299 x 299 and without the auxiliary head, which only training needs.

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Conv, LayerId, Pooling, Shape, Window};
use crate::units::Macs;

/// Parameters of the auxiliary head, by its layers in torchvision: 1x1 to 128 and 5x5 to 768 channels, both with
/// batch-norm, and 1000 classes. The published count has them.
const AUXILIARY: u64 = (768 * 128 + 2 * 128) + (128 * 768 * 25 + 2 * 768) + (768 * 1000 + 1000);

pub(super) const NETWORKS: &[ZooNetwork] = &[ZooNetwork {
    name: "inception_v3",
    published: Some(Published {
        macs: Macs(5_713_000_000),
        parameters: 27_161_264 - AUXILIARY,
        source: "torchvision 0.20, Inception_V3_Weights.IMAGENET1K_V1: GFLOPS (MACs), num_params less the 3326696 of \
                 the auxiliary head",
    }),
    build: inception_v3,
}];

fn inception_v3() -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(3, 299, 299)).epsilon(1e-3);
    let mut x = net.conv_bn_relu("conv1a", Conv::square(32, 3).stride(2), net.input());
    x = net.conv_bn_relu("conv2a", Conv::square(32, 3), x);
    x = net.conv_bn_relu("conv2b", Conv::square(64, 3).pad(1), x);
    x = net.max_pool("pool1", REDUCE, x);
    x = net.conv_bn_relu("conv3b", Conv::square(80, 1), x);
    x = net.conv_bn_relu("conv4a", Conv::square(192, 3), x);
    x = net.max_pool("pool2", REDUCE, x);
    for (name, pooled) in [("mixed5b", 32), ("mixed5c", 64), ("mixed5d", 64)] {
        x = mixed_a(&mut Module { net: &mut net, name }, pooled, x);
    }
    x = mixed_b(&mut Module { net: &mut net, name: "mixed6a" }, x);
    for (name, width) in [("mixed6b", 128), ("mixed6c", 160), ("mixed6d", 160), ("mixed6e", 192)] {
        x = mixed_c(&mut Module { net: &mut net, name }, width, x);
    }
    x = mixed_d(&mut Module { net: &mut net, name: "mixed7a" }, x);
    for name in ["mixed7b", "mixed7c"] {
        x = mixed_e(&mut Module { net: &mut net, name }, x);
    }
    x = net.global_average(x);
    x = net.dropout("dropout", x);
    net.dense("fc", 1000, x);
    net
}

/// Halves the rows and columns.
const REDUCE: Window = Window::new(3).stride(2);

/// A convolution whose windows have these rows and columns, padded so that the maps keep their size.
const fn wide(filters: u32, rows: u32, cols: u32) -> Conv {
    let conv = Conv::square(filters, 1);
    Conv { rows: Window::new(rows).pad(rows / 2), cols: Window::new(cols).pad(cols / 2), ..conv }
}

/// A part of the network whose layers' names begin with its own.
struct Module<'a> {
    net: &'a mut GraphBuilder,
    name: &'a str,
}

impl Module<'_> {
    /// Convolutions one after the other, called `branch.1` and on.
    fn branch(&mut self, branch: &str, convs: &[Conv], mut x: LayerId) -> LayerId {
        for (index, &conv) in (1..).zip(convs) {
            x = self.net.conv_bn_relu(&format!("{}.{branch}.{index}", self.name), conv, x);
        }
        x
    }

    /// The mean of the surroundings, padding included, and a 1x1 convolution.
    fn averaged(&mut self, filters: u32, x: LayerId) -> LayerId {
        let name = format!("{}.average.pool", self.name);
        let x = self.net.pool(&name, Pooling::AverageWithPadding, Window::new(3).pad(1), x);
        self.branch("average", &[Conv::square(filters, 1)], x)
    }

    fn max_pool(&mut self, x: LayerId) -> LayerId {
        self.net.max_pool(&format!("{}.pool", self.name), REDUCE, x)
    }

    fn concat(&mut self, branch: &str, inputs: &[LayerId]) -> LayerId {
        self.net.concat(format!("{}{branch}.concat", self.name), inputs)
    }
}

fn mixed_a(module: &mut Module<'_>, pooled: u32, x: LayerId) -> LayerId {
    let one = module.branch("1x1", &[Conv::square(64, 1)], x);
    let five = module.branch("5x5", &[Conv::square(48, 1), wide(64, 5, 5)], x);
    let three = module.branch("3x3", &[Conv::square(64, 1), wide(96, 3, 3), wide(96, 3, 3)], x);
    let average = module.averaged(pooled, x);
    module.concat("", &[one, five, three, average])
}

fn mixed_b(module: &mut Module<'_>, x: LayerId) -> LayerId {
    let three = module.branch("3x3", &[Conv::square(384, 3).stride(2)], x);
    let double = [Conv::square(64, 1), wide(96, 3, 3), Conv::square(96, 3).stride(2)];
    let double = module.branch("3x3double", &double, x);
    let pool = module.max_pool(x);
    module.concat("", &[three, double, pool])
}

fn mixed_c(module: &mut Module<'_>, width: u32, x: LayerId) -> LayerId {
    let one = module.branch("1x1", &[Conv::square(192, 1)], x);
    let seven = module.branch("7x7", &[Conv::square(width, 1), wide(width, 1, 7), wide(192, 7, 1)], x);
    let double = [Conv::square(width, 1), wide(width, 7, 1), wide(width, 1, 7), wide(width, 7, 1), wide(192, 1, 7)];
    let double = module.branch("7x7double", &double, x);
    let average = module.averaged(192, x);
    module.concat("", &[one, seven, double, average])
}

fn mixed_d(module: &mut Module<'_>, x: LayerId) -> LayerId {
    let three = module.branch("3x3", &[Conv::square(192, 1), Conv::square(320, 3).stride(2)], x);
    let seven = [Conv::square(192, 1), wide(192, 1, 7), wide(192, 7, 1), Conv::square(192, 3).stride(2)];
    let seven = module.branch("7x7", &seven, x);
    let pool = module.max_pool(x);
    module.concat("", &[three, seven, pool])
}

fn mixed_e(module: &mut Module<'_>, x: LayerId) -> LayerId {
    let one = module.branch("1x1", &[Conv::square(320, 1)], x);
    let three = module.branch("3x3", &[Conv::square(384, 1)], x);
    let three = forked(module, "3x3", three);
    let double = module.branch("3x3double", &[Conv::square(448, 1), wide(384, 3, 3)], x);
    let double = forked(module, "3x3double", double);
    let average = module.averaged(192, x);
    module.concat("", &[one, three, double, average])
}

/// A window of one row and one of one column side by side.
fn forked(module: &mut Module<'_>, branch: &str, x: LayerId) -> LayerId {
    let flat = module.branch(&format!("{branch}.flat"), &[wide(384, 1, 3)], x);
    let tall = module.branch(&format!("{branch}.tall"), &[wide(384, 3, 1)], x);
    module.concat(&format!(".{branch}"), &[flat, tall])
}
