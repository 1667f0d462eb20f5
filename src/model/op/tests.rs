//! Operators against what is counted by hand or element by element.

use std::collections::BTreeSet;

use proptest::prelude::*;

use std::ops::Range;

use super::*;
use crate::model::{Graph, Layer, LayerId};
use crate::units::Macs;

/// Rows of an input `height` rows tall from which any element of row `row` of the output is computed, by going through
/// the elements; written without the arithmetic that [`Op::rows_read`] uses.
pub(in crate::model) fn touched(op: &Op, row: u32, height: u32) -> BTreeSet<u32> {
    let input_rows = 0..height;
    let all = input_rows.clone();
    match op {
        Op::Conv(Conv { rows: window, .. }) | Op::Pool { rows: window, .. } => (0..window.size)
            .map(|tap| i64::from(row * window.stride + tap * window.dilation) - i64::from(window.pad_before))
            .filter_map(|element| u32::try_from(element).ok().filter(|element| input_rows.contains(element)))
            .collect(),
        Op::ConvTransposed { conv: Conv { rows: window, .. }, .. } => {
            let is_spread = |&input: &u32| {
                let mut outputs = (0..window.size).map(|tap| input * window.stride + tap * window.dilation);
                outputs.any(|output| output == row + window.pad_before)
            };
            input_rows.filter(is_spread).collect()
        }
        Op::SpaceToDepth { block } => input_rows.filter(|input| input / block == row).collect(),
        Op::Upsample { factor } => {
            input_rows.filter(|input| (0..*factor).any(|copy| input * factor + copy == row)).collect()
        }
        Op::Lstm { steps: Steps::All, .. } | Op::Gru { steps: Steps::All, .. } => (0..=row).collect(),
        Op::GlobalPool(_)
        | Op::Flatten
        | Op::Reshape { .. }
        | Op::Dense { .. }
        | Op::Softmax
        | Op::Lstm { .. }
        | Op::Gru { .. } => all.collect(),
        Op::Multiply if height == 1 => all.collect(),
        _ => BTreeSet::from([row]),
    }
}

const MAPS: Shape = Shape::fp32(8, 16, 12);

fn shape(op: &Op, input: Shape) -> String {
    op.shape(&[input]).unwrap().to_string()
}

fn conv(rows: Window) -> Op {
    Op::Conv(Conv { rows, cols: Window::new(1), ..Conv::square(1, 1) })
}

fn transposed(rows: Window, output_pad: u32) -> Op {
    let conv = Conv { rows, cols: Window::new(1), ..Conv::square(1, 1) };
    Op::ConvTransposed { conv, output_pad: (output_pad, 0) }
}

/// Any window that does not only see padding, and rows of the input that it fits into.
fn windows() -> impl Strategy<Value = (Window, u32)> {
    let numbers = (1..=7_u32, 1..=4_u32, 1..=3_u32, 1..=40_u32);
    numbers.prop_flat_map(|(size, stride, dilation, height)| {
        let window = Window::new(size).stride(stride).dilation(dilation);
        let pads = (0..window.extent() as u32, 0..window.extent() as u32);
        pads.prop_map(move |(pad_before, pad_after)| (Window { pad_before, pad_after, ..window }, height))
    })
}

/// Some of the rows `0..height`, at least one.
fn some_rows(height: u32) -> impl Strategy<Value = Range<u32>> {
    (0..height, 0..height).prop_map(|(one, other)| one.min(other)..one.max(other) + 1)
}

/// Checks the halo of `rows` of `op`'s output against the elements; equal if `is_exact`, else contained.
fn check_halo(op: &Op, rows: Range<u32>, height: u32, is_exact: bool) {
    let read = op.rows_read(&rows, height);
    assert!(read.start < read.end && read.end <= height, "{op:?} reads {read:?} of {height} rows");
    let touched: BTreeSet<u32> = rows.clone().flat_map(|row| touched(op, row, height)).collect();
    assert!(touched.iter().all(|row| read.contains(row)), "{op:?}, rows {rows:?}: {read:?} lacks some of {touched:?}");
    // Rows that see nothing but padding still name one.
    if is_exact && !touched.is_empty() {
        assert_eq!(touched, read.collect(), "{op:?}, rows {rows:?} of {height}");
    }
}

fn is_dense(window: &Window) -> bool {
    window.dilation == 1 && window.stride <= window.size
}

proptest! {
    #[test]
    fn a_windows_halo_is_what_it_touches(
        (window, height, rows) in windows().prop_filter_map("fits", |(window, height)| {
            Some((window, height, window.positions(height).ok()?))
        }).prop_flat_map(|(window, height, positions)| (Just(window), Just(height), some_rows(positions)))
    ) {
        check_halo(&conv(window), rows.clone(), height, is_dense(&window));
        let pool = Op::Pool { pooling: Pooling::Max, rows: window, cols: Window::new(1) };
        check_halo(&pool, rows, height, is_dense(&window));
    }

    #[test]
    fn a_transposed_windows_halo_is_what_it_touches(
        (window, height, output_pad, rows) in (windows(), 0..3_u32).prop_filter_map("is not cut away", |(it, pad)| {
            Some((it.0, it.1, pad, it.0.spread(it.1, pad).ok()?))
        }).prop_flat_map(|(window, height, pad, output)| (Just(window), Just(height), Just(pad), some_rows(output)))
    ) {
        check_halo(&transposed(window, output_pad), rows, height, is_dense(&window));
    }

    #[test]
    fn squares_become_channels_and_back_row_by_row(
        (side, height, rows) in (1..5_u32, 1..20_u32).prop_flat_map(|(side, height)| {
            (Just(side), Just(height), some_rows(height))
        })
    ) {
        check_halo(&Op::SpaceToDepth { block: side }, rows, height * side, true);
    }

    #[test]
    fn enlarged_rows_read_their_own(
        (factor, height, rows) in (1..5_u32, 1..20_u32).prop_flat_map(|(factor, height)| {
            (Just(factor), Just(height), some_rows(height * factor))
        })
    ) {
        check_halo(&Op::Upsample { factor }, rows, height, true);
    }
}

#[test]
fn convolutions_have_the_shapes_of_the_formula() {
    let check = |conv: Conv, expected: &str| assert_eq!(shape(&Op::Conv(conv), MAPS), expected);
    check(Conv::square(4, 3), "4x14x10");
    check(Conv::square(4, 3).pad(1), "4x16x12");
    check(Conv::square(4, 3).pad(1).stride(2), "4x8x6");
    check(Conv::square(4, 5).stride(3), "4x4x3");
    let dilated = Window::new(3).dilation(2);
    check(Conv { rows: dilated, cols: dilated.pad(2), ..Conv::square(4, 3) }, "4x12x12");
    let uneven = Window { pad_after: 1, ..Window::new(3).stride(2) };
    check(Conv { rows: uneven, cols: uneven, ..Conv::square(4, 3) }, "4x8x6");
}

#[test]
fn transposed_convolutions_have_the_shapes_of_the_formula() {
    let check = |conv, output_pad, expected: &str| {
        assert_eq!(shape(&Op::ConvTransposed { conv, output_pad }, MAPS), expected);
    };
    check(Conv::square(4, 2).stride(2), (0, 0), "4x32x24");
    check(Conv::square(4, 3).stride(2).pad(1), (1, 1), "4x32x24");
    check(Conv::square(4, 3).stride(2).pad(1), (1, 0), "4x32x23");
    check(Conv::square(4, 4).stride(2).pad(1), (0, 0), "4x32x24");
    check(Conv::square(4, 3), (0, 0), "4x18x14");
}

#[test]
fn other_operators_have_the_shapes_of_their_definition() {
    let check = |op: Op, expected: &str| assert_eq!(shape(&op, MAPS), expected, "{op:?}");
    let window = Window::new(3).stride(2);
    let pool = |window| Op::Pool { pooling: Pooling::Max, rows: window, cols: window };
    check(pool(window), "8x7x5");
    check(pool(Window { pad_after: 1, ..window }), "8x8x6");
    check(Op::GlobalPool(Pooling::Average), "8x1x1");
    check(Op::BatchNorm { epsilon: 1e-5 }, "8x16x12");
    check(Op::Lrn { size: 5, alpha: 1e-4, beta: 0.75, bias: 1.0 }, "8x16x12");
    check(Op::Activation(Activation::Clip { low: 0.0, high: f32::INFINITY }), "8x16x12");
    check(Op::Softmax, "8x16x12");
    check(Op::Dropout, "8x16x12");
    check(Op::Flatten, "1536x1x1");
    check(Op::Reshape { channels: 4, rows: 24, cols: 16 }, "4x24x16");
    check(Op::Dense { units: 10, bias: true }, "10x1x1");
    check(Op::SpaceToDepth { block: 4 }, "128x4x3");
    check(Op::Upsample { factor: 3 }, "8x48x36");
    let vector = Shape::fp32(8, 1, 1);
    assert_eq!(Op::Add.shape(&[MAPS, MAPS, MAPS]), Ok(MAPS));
    assert_eq!(Op::Multiply.shape(&[vector, MAPS]), Ok(MAPS));
    assert_eq!(Op::Multiply.shape(&[MAPS, vector]), Ok(MAPS));
    assert_eq!(Op::Concat.shape(&[MAPS, Shape { channels: 3, ..MAPS }]), Ok(Shape { channels: 11, ..MAPS }));
    let sequence = Shape::fp32(8, 16, 1);
    assert_eq!(shape(&Op::Lstm { hidden: 5, steps: Steps::All }, sequence), "5x16x1");
    assert_eq!(shape(&Op::Gru { hidden: 5, steps: Steps::Last }, sequence), "5x1x1");
}

#[test]
fn halves_keep_the_size_of_an_element() {
    let half = Shape { element_bytes: 2, ..MAPS };
    for op in [Op::Conv(Conv::square(4, 3)), Op::Dense { units: 4, bias: false }, Op::Flatten] {
        assert_eq!(op.shape(&[half]).unwrap().element_bytes, 2, "{op:?}");
    }
}

#[test]
fn operators_count_their_parameters() {
    let check = |op: Op, input, trained: u64, all: u64| {
        let parameters = op.parameters(input);
        let of = |weights: &mut dyn Iterator<Item = &Parameter>| weights.map(Parameter::elements).sum::<u64>();
        assert_eq!(of(&mut parameters.iter().filter(|weight| weight.is_trained)), trained, "{op:?}");
        assert_eq!(of(&mut parameters.iter()), all, "{op:?}");
    };
    check(Op::Conv(Conv::square(4, 3)), MAPS, 4 * 8 * 9, 4 * 8 * 9);
    check(Op::Conv(Conv::square(4, 3).bias()), MAPS, 4 * 8 * 9 + 4, 4 * 8 * 9 + 4);
    check(Op::Conv(Conv::square(16, 3).groups(8)), MAPS, 16 * 9, 16 * 9);
    let deconv = Conv::square(4, 3).groups(2).bias();
    check(Op::ConvTransposed { conv: deconv, output_pad: (0, 0) }, MAPS, 8 * 2 * 9 + 4, 8 * 2 * 9 + 4);
    check(Op::BatchNorm { epsilon: 1e-5 }, MAPS, 16, 32);
    check(Op::Dense { units: 10, bias: false }, MAPS, 15_360, 15_360);
    check(Op::Dense { units: 10, bias: true }, MAPS, 15_370, 15_370);
    let sequence = Shape::fp32(8, 16, 1);
    let (lstm, gru) = (4 * 5 * (8 + 5 + 2), 3 * 5 * (8 + 5 + 2));
    check(Op::Lstm { hidden: 5, steps: Steps::All }, sequence, lstm, lstm);
    check(Op::Gru { hidden: 5, steps: Steps::Last }, sequence, gru, gru);
    for op in [Op::GlobalPool(Pooling::Max), Op::Add, Op::Flatten, Op::Upsample { factor: 2 }] {
        check(op, MAPS, 0, 0);
    }
}

#[test]
fn operators_count_their_multiply_accumulates() {
    let check = |op: Op, input: Shape, rows: Range<u32>, expected: u64| {
        let output = op.shape(&[input]).unwrap();
        assert_eq!(op.macs(input, output, &rows), Macs(expected), "{op:?}");
    };
    check(Op::Conv(Conv::square(4, 3).bias()), MAPS, 0..14, 4 * 14 * 10 * 8 * 9);
    check(Op::Conv(Conv::square(4, 3)), MAPS, 5..7, 4 * 2 * 10 * 8 * 9);
    check(Op::Conv(Conv::square(8, 3).pad(1).groups(8)), MAPS, 0..16, 8 * 16 * 12 * 9);
    let deconv = Op::ConvTransposed { conv: Conv::square(4, 2).stride(2), output_pad: (0, 0) };
    check(deconv.clone(), MAPS, 0..32, 8 * 16 * 12 * 4 * 4);
    check(deconv, MAPS, 0..16, 8 * 8 * 12 * 4 * 4);
    check(Op::Dense { units: 10, bias: true }, MAPS, 0..1, 10 * 8 * 16 * 12);
    let sequence = Shape::fp32(8, 16, 1);
    check(Op::Lstm { hidden: 5, steps: Steps::All }, sequence, 0..16, 16 * 4 * 5 * 13);
    check(Op::Lstm { hidden: 5, steps: Steps::All }, sequence, 3..6, 6 * 4 * 5 * 13);
    check(Op::Gru { hidden: 5, steps: Steps::Last }, sequence, 0..1, 16 * 3 * 5 * 13);
    let window = Window::new(2);
    check(Op::Pool { pooling: Pooling::Average, rows: window, cols: window }, MAPS, 0..15, 0);
    check(Op::BatchNorm { epsilon: 1e-5 }, MAPS, 0..16, 0);
}

#[test]
fn barriers_are_what_needs_the_whole_input() {
    let barriers = [Op::GlobalPool(Pooling::Max), Op::Flatten, Op::Dense { units: 1, bias: false }, Op::Softmax];
    assert!(barriers.iter().all(Op::is_barrier));
    let steps = |steps| Op::Lstm { hidden: 1, steps };
    assert!(steps(Steps::Last).is_barrier() && !steps(Steps::All).is_barrier());
    assert!(![Op::Conv(Conv::square(1, 7)), Op::Add, Op::Multiply, Op::Concat].iter().any(Op::is_barrier));
}

fn misfit(op: Op, inputs: &[Shape]) -> String {
    let input = |(index, &shape)| Layer { name: format!("in{index}"), op: Op::Input(shape), inputs: vec![] };
    let mut layers: Vec<Layer> = inputs.iter().enumerate().map(input).collect();
    let inputs = (0..inputs.len() as u32).map(LayerId).collect();
    layers.push(Layer { name: "x".into(), op, inputs });
    Graph::new("net", layers).unwrap_err().to_string()
}

#[test]
fn windows_that_do_not_fit_are_refused() {
    let check = |op: Op, expected: &str| assert_eq!(misfit(op, &[MAPS]), expected);
    let zero = "layer `x` has a dimension, window size, stride or dilation of zero";
    check(Op::Conv(Conv::square(1, 0)), zero);
    check(Op::Conv(Conv::square(1, 1).stride(0)), zero);
    check(conv(Window::new(2).dilation(0)), zero);
    check(transposed(Window::new(0), 0), zero);
    check(Op::Conv(Conv::square(1, 15)), "layer `x` has a window over 15 elements where there are 12");
    check(conv(Window::new(9).dilation(2)), "layer `x` has a window over 17 elements where there are 16");
    check(transposed(Window::new(1).pad(8), 0), "layer `x` cuts 16 elements of padding from 16");
    let pool = |rows| Op::Pool { pooling: Pooling::Max, rows, cols: Window::new(1) };
    check(pool(Window::new(2).pad(2)), "layer `x` has as much padding as its window is large");
    let groups = "layer `x` divides 8 channels and 6 filters into 4 groups";
    check(Op::Conv(Conv::square(6, 1).groups(4)), groups);
    check(Op::Conv(Conv::square(6, 1).groups(0)), "layer `x` divides 8 channels and 6 filters into 0 groups");
    check(Op::ConvTransposed { conv: Conv::square(6, 1).groups(4), output_pad: (0, 0) }, groups);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let flat = Shape::fp32(8, 16, 1);
    let check = |op: Op, inputs: &[Shape], expected: &str| assert_eq!(misfit(op, inputs), expected);
    check(Op::Add, &[MAPS, flat], "layer `x` adds 8x16x12 and 8x16x1");
    check(Op::Multiply, &[MAPS, flat], "layer `x` multiplies 8x16x12 by 8x16x1");
    check(Op::Multiply, &[MAPS, Shape::fp32(4, 1, 1)], "layer `x` multiplies 8x16x12 by 4x1x1");
    check(Op::Concat, &[MAPS, flat], "layer `x` joins channels of 8x16x12 and 8x16x1");
    check(Op::Reshape { channels: 1, rows: 2, cols: 3 }, &[MAPS], "layer `x` makes 1x2x3 of 8x16x12");
    check(Op::SpaceToDepth { block: 3 }, &[MAPS], "layer `x` cuts 8x16x12 into squares of 3");
    check(Op::SpaceToDepth { block: 0 }, &[MAPS], "layer `x` cuts 8x16x12 into squares of 0");
    let lrn = Op::Lrn { size: 0, alpha: 1e-4, beta: 0.75, bias: 1.0 };
    check(lrn, &[MAPS], "layer `x` normalises over no channel");
    let sequence = "layer `x` reads a sequence, which has one column, and 8x16x12 is none";
    check(Op::Lstm { hidden: 1, steps: Steps::All }, &[MAPS], sequence);
    check(Op::Gru { hidden: 1, steps: Steps::All }, &[MAPS], sequence);
    check(Op::Upsample { factor: 0 }, &[MAPS], "layer `x` has a dimension of zero");
    let wide = Op::Upsample { factor: 2000 };
    check(wide, &[MAPS], "layer `x` has 8x32000x24000 elements a sample, more than 2^32");
    let wide = Op::Dense { units: 3_000_000, bias: true };
    check(wide, &[MAPS], "layer `x` has 4611000000 weights, more than 2^32");
}

#[test]
fn numbers_that_are_none_are_refused() {
    let lrn = |alpha, beta, bias| Op::Lrn { size: 5, alpha, beta, bias };
    for op in [
        Op::BatchNorm { epsilon: f32::NAN },
        Op::Activation(Activation::Clip { low: f32::NAN, high: 6.0 }),
        Op::Activation(Activation::LeakyRelu { slope: f32::INFINITY }),
        lrn(f32::NAN, 0.0, 0.0),
        lrn(0.0, f32::NAN, 0.0),
        lrn(0.0, 0.0, f32::INFINITY),
    ] {
        assert_eq!(misfit(op, &[MAPS]), "layer `x` has a number that is not finite");
    }
}
