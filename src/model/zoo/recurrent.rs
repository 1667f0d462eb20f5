//! Stacks of recurrent layers over sequences of features, all steps of which go on to the next layer.
//!
//! `lstm-2x512` and `gru-2x512` have hidden states and time steps as DeepBench's inference set (Baidu,
//! `code/kernels/rnn_problems.h`: 512 units, 25 steps); `lstm-2x1500` is the large language model of Zaremba et al.
//! ("Recurrent neural network regularization", 2014, section 4.1: 1500 units, 35 steps) between embedding and softmax.

use super::builder::GraphBuilder;
use super::{Published, ZooNetwork};
use crate::model::{Op, Shape, Steps};
use crate::units::Macs;

pub(super) const NETWORKS: &[ZooNetwork] = &[
    ZooNetwork {
        name: "lstm-2x512",
        published: None,
        build: || stack(512, 25, Op::Lstm { hidden: 512, steps: Steps::All }),
    },
    ZooNetwork {
        name: "gru-2x512",
        published: None,
        build: || stack(512, 25, Op::Gru { hidden: 512, steps: Steps::All }),
    },
    ZooNetwork {
        name: "lstm-2x1500",
        published: Some(Published {
            macs: Macs(35 * 36_000_000),
            parameters: 66_000_000 - (2 * 10_000 * 1500 + 10_000),
            source: "66M parameters of LSTM (large) (Merity et al., Pointer sentinel mixture models, 2017, Penn Treebank) less \
                     embedding and softmax of 10000 words; the 36 million weights once in each of 35 steps",
        }),
        build: || stack(1500, 35, Op::Lstm { hidden: 1500, steps: Steps::All }),
    },
];

/// Two layers, `layer1` and `layer2`.
fn stack(features: u32, steps: u32, op: Op) -> GraphBuilder {
    let mut net = GraphBuilder::new(Shape::fp32(features, steps, 1));
    let x = net.layer("layer1", op.clone(), &[net.input()]);
    net.layer("layer2", op, &[x]);
    net
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer has a matrix for the features and one for the state for each gate, and two biases each, as PyTorch
    /// documents `weight_ih_l`, `weight_hh_l`, `bias_ih_l` and `bias_hh_l`; the matrices are used once a step.
    fn check(name: &str, gates: u64, hidden: u64, steps: u64) {
        let graph = super::super::graph(name).unwrap();
        let weights = 2 * gates * hidden * (hidden + hidden);
        assert_eq!(graph.trained_count(), weights + 2 * gates * 2 * hidden);
        assert_eq!(super::super::tests::macs(&graph), Macs(weights * steps));
    }

    #[test]
    fn stacks_have_the_weights_that_pytorch_documents() {
        check("lstm-2x512", 4, 512, 25);
        check("gru-2x512", 3, 512, 25);
        check("lstm-2x1500", 4, 1500, 35);
    }
}
