//! How series and devices are told apart: the one place of colours, dashes, markers and hatching.
//!
//! Colours are those of Okabe and Ito, "Color universal design" (2008), which the colour-blind can tell apart. Each
//! comes with a dash and a marker, or with a hatching, which tell the same in black and white.

use plotters::style::RGBColor;

pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GREY: RGBColor = RGBColor(130, 130, 130);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);

/// Okabe and Ito (2008), with black softened and without yellow, which is faint on white. Neighbours differ in
/// lightness.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    INK,
];

/// Lengths of dashes and gaps in turn, in tenths of a millimetre.
const DASHES: [&[f64]; 7] = [
    &[],
    &[26.0, 10.0],
    &[8.0, 8.0],
    &[26.0, 8.0, 6.0, 8.0],
    &[44.0, 12.0],
    &[14.0, 8.0],
    &[26.0, 7.0, 6.0, 7.0, 6.0, 7.0],
];

/// The corners of markers, x and y in turn, in tenths of a millimetre from their middle.
const MARKERS: [&[i32]; 7] = [
    &[-4, -8, 4, -8, 8, -4, 8, 4, 4, 8, -4, 8, -8, 4, -8, -4],
    &[-7, -7, 7, -7, 7, 7, -7, 7],
    &[0, -10, 9, 8, -9, 8],
    &[0, -11, 9, 0, 0, 11, -9, 0],
    &[0, 10, 9, -8, -9, -8],
    &[-10, -4, -4, -4, -4, -10, 4, -10, 4, -4, 10, -4, 10, 4, 4, 4, 4, 10, -4, 10, -4, 4, -10, 4],
    &[-10, -7, -7, -10, 0, -4, 7, -10, 10, -7, 4, 0, 10, 7, 7, 10, 0, 4, -7, 10, -10, 7, -4, 0],
];

/// Lines that fill a box beside its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hatching {
    None,
    Rising,
    Falling,
    Level,
}

/// The colour of the series or device with this index; repeats after seven.
pub(super) fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// The dash of the series with this index, in tenths of a millimetre; empty for a solid line. Every seven series the
/// dashes go on by one, so that a colour that returns has another.
pub(super) fn dash(index: usize) -> &'static [f64] {
    DASHES[(index + index / DASHES.len()) % DASHES.len()]
}

/// The corners of the marker of the series with this index, and whether it is hollow, which it is in every second
/// seven.
pub(super) fn marker(index: usize) -> (impl Iterator<Item = (i32, i32)>, bool) {
    let corners = MARKERS[index % MARKERS.len()].chunks_exact(2).map(|corner| (corner[0], corner[1]));
    (corners, index % (2 * MARKERS.len()) >= MARKERS.len())
}

/// The hatching of the device with this index; 28 devices are distinct by it and their colour.
pub(super) fn hatching(index: usize) -> Hatching {
    [Hatching::None, Hatching::Rising, Hatching::Falling, Hatching::Level][index % 4]
}

/// The colour of a share from 0 to 1: cividis of Nuñez, Anderton and Renslow (2018), which the colour-blind see as
/// others do, and which grows lighter all the way, so that it reads in grey. Turned round: more is darker.
pub(super) fn shade(share: f64) -> RGBColor {
    const STOPS: [[f64; 3]; 9] = [
        [255.0, 234.0, 70.0],
        [221.0, 203.0, 91.0],
        [187.0, 173.0, 108.0],
        [155.0, 147.0, 118.0],
        [125.0, 124.0, 121.0],
        [98.0, 101.0, 112.0],
        [68.0, 78.0, 108.0],
        [28.0, 55.0, 109.0],
        [0.0, 32.0, 76.0],
    ];
    let place = share.clamp(0.0, 1.0) * 8.0;
    let below = (place.floor() as usize).min(7);
    let part = place - below as f64;
    let channel = |index: usize| {
        let [low, high] = [below, below + 1].map(|stop| STOPS[stop][index]);
        (low + (high - low) * part).round() as u8
    };
    RGBColor(channel(0), channel(1), channel(2))
}

/// Whether text on this colour must be white.
pub(super) fn is_dark(RGBColor(red, green, blue): RGBColor) -> bool {
    299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) <= 120_000
}

/// The colour of the series with this index as CSS has it.
pub(crate) fn colour_css(index: usize) -> String {
    let RGBColor(red, green, blue) = colour(index);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The dash of the series with this index, in pixels of a screen, which are a quarter of a millimetre.
pub(crate) fn dash_pixels(index: usize) -> Vec<f64> {
    dash(index).iter().map(|length| (length / 2.6).round()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luma(RGBColor(red, green, blue): RGBColor) -> u32 {
        299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)
    }

    #[test]
    fn more_is_darker() {
        let lumas: Vec<u32> = (0..=100).map(|percent| luma(shade(f64::from(percent) / 100.0))).collect();
        assert!(lumas.windows(2).all(|pair| pair[0] > pair[1]), "{lumas:?}");
        assert!(!is_dark(shade(0.0)) && is_dark(shade(1.0)));
    }

    #[test]
    fn fourteen_series_differ_without_colour_and_49_with_it() {
        let looks = |index| (marker(index).0.collect::<Vec<_>>(), marker(index).1);
        for first in 0..14 {
            for second in 0..first {
                assert_ne!(looks(first), looks(second), "{first} and {second}");
            }
        }
        for first in 0..49 {
            for second in 0..first {
                assert!(colour(first) != colour(second) || dash(first) != dash(second), "{first} and {second}");
            }
        }
    }
}
