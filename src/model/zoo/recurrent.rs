//! Stacks of recurrent layers over sequences of features, all steps of which go on to the next layer.
//!
//! `lstm-2x512` and `gru-2x512` have hidden states and time steps as DeepBench's inference set (Baidu,
//! `code/kernels/rnn_problems.h`: 512 units, 25 steps); `lstm-2x1500` is the large language model of Zaremba et al.
//! ("Recurrent neural network regularization", 2014, section 4.1: 1500 units, 35 steps) between embedding and softmax.

use super::builder::Builder;
use super::{Network, Published};
use crate::model::{Op, Shape, Steps};
use crate::units::Macs;

/// Of a layer of 512 units over 512 features, by the shapes of weights that PyTorch documents.
const fn gates_512(gates: u64) -> u64 {
    gates * 512 * (512 + 512)
}

pub(super) const NETWORKS: &[Network] = &[
    Network {
        name: "lstm-2x512",
        published: Published {
            macs: Macs(2 * 25 * gates_512(4)),
            parameters: 2 * (gates_512(4) + 2 * 4 * 512),
            source: "no count is published; weight_ih, weight_hh, bias_ih and bias_hh of torch.nn.LSTM(512, 512, 2), each \
                     weight once a step",
        },
        build: || stack(512, 25, Op::Lstm { hidden: 512, steps: Steps::All }),
    },
    Network {
        name: "gru-2x512",
        published: Published {
            macs: Macs(2 * 25 * gates_512(3)),
            parameters: 2 * (gates_512(3) + 2 * 3 * 512),
            source: "no count is published; weight_ih, weight_hh, bias_ih and bias_hh of torch.nn.GRU(512, 512, 2), each \
                     weight once a step",
        },
        build: || stack(512, 25, Op::Gru { hidden: 512, steps: Steps::All }),
    },
    Network {
        name: "lstm-2x1500",
        published: Published {
            macs: Macs(35 * 36_000_000),
            parameters: 66_000_000 - (2 * 10_000 * 1500 + 10_000),
            source: "66M parameters of LSTM (large) (Merity et al., Pointer sentinel mixture models, 2017, table 2) less \
                     embedding and softmax of 10000 words; each weight once in 35 steps",
        },
        build: || stack(1500, 35, Op::Lstm { hidden: 1500, steps: Steps::All }),
    },
];

/// Two layers, `layer1` and `layer2`.
fn stack(features: u32, steps: u32, op: Op) -> Builder {
    let mut net = Builder::new(Shape::fp32(features, steps, 1));
    let x = net.layer("layer1", op.clone(), &[net.input()]);
    net.layer("layer2", op, &[x]);
    net
}
