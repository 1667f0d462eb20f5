//! YOLOv2 (Redmon and Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017), by Darknet's `cfg/yolov2.cfg`: the
//! network for COCO, up to the maps that its region layer reads.

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Activation, Conv, LayerId, Op, Shape, Window};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[ZooNetwork {
    name: "yolov2",
    published: Some(Published {
        // Every layer has a part of the input's elements, so that counts go with the square of the side.
        macs: Macs(62_940_000_000 / 2 * (416 * 416) / (608 * 608)),
        parameters: 50_950_000,
        source: "pjreddie.com/darknet/yolov2: 62.94 Bn FLOPs at 608 x 608, halved and scaled to 416 x 416; OpenVINO \
                 open_model_zoo yolo-v2-tf: 50.95 MParams",
    }),
    build: yolov2,
}];

/// Convolutions between two poolings: filters and window.
type Stage = &'static [(u32, u32)];

/// Darknet-19 without its classifier; the last two layers are those that detection adds.
const STAGES: [Stage; 6] = [
    &[(32, 3)],
    &[(64, 3)],
    &[(128, 3), (64, 1), (128, 3)],
    &[(256, 3), (128, 1), (256, 3)],
    &[(512, 3), (256, 1), (512, 3), (256, 1), (512, 3)],
    &[(1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3), (1024, 3), (1024, 3)],
];

/// Five anchors, each with four coordinates, objectness and 80 classes.
const OUTPUTS: u32 = 5 * (4 + 1 + 80);

fn yolov2() -> GraphBuilder {
    let leaky = Activation::LeakyRelu { slope: 0.1 };
    let mut net = GraphBuilder::new(Shape::fp32(3, 416, 416)).activation(leaky).epsilon(1e-6);
    let mut index = 0;
    let mut conv = |net: &mut GraphBuilder, filters, size, x| {
        index += 1;
        net.conv_bn_relu(&format!("conv{index}"), Conv::square(filters, size).pad(size / 2), x)
    };
    let mut x = net.input();
    let mut ends: Vec<LayerId> = Vec::new();
    for (pool, stage) in STAGES.iter().enumerate() {
        if pool > 0 {
            x = net.max_pool(&format!("pool{pool}"), Window::new(2).stride(2), x);
        }
        for &(filters, size) in *stage {
            x = conv(&mut net, filters, size, x);
        }
        ends.push(x);
    }
    let mut passed = conv(&mut net, 64, 1, ends[4]);
    passed = net.layer("reorg", Op::SpaceToDepth { block: 2 }, &[passed]);
    x = net.concat("route", &[passed, x]);
    x = conv(&mut net, 1024, 3, x);
    net.conv("conv23", Conv::square(OUTPUTS, 1).bias(), x);
    net
}
