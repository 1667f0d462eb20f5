//! Shapes and text in pixels on an SVG, with the marks by which figures tell series apart.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A point in pixels from the upper left corner.
pub(super) type Pixel = (i32, i32);

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Frame {
    pub(super) fn width(self) -> i32 {
        self.right - self.left
    }

    pub(super) fn height(self) -> i32 {
        self.bottom - self.top
    }

    pub(super) fn middle(self) -> Pixel {
        ((self.left + self.right) / 2, (self.top + self.bottom) / 2)
    }
}

/// Which part of a text is at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The middle of its left side.
    Left,
    /// The middle.
    Center,
    /// The middle of its right side.
    Right,
    /// The middle, with the text turned to read upwards.
    Upward,
    /// The middle, with the text turned to read downwards.
    Downward,
}

pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GREY: RGBColor = RGBColor(150, 150, 150);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);
pub(super) const TEXT: i32 = 13;
pub(super) const TITLE: i32 = 16;
/// Height of a line of the legend.
pub(super) const LINE: i32 = 20;

/// Okabe and Ito, "Color universal design" (2008), with black softened and without yellow, which is faint on white.
/// Neighbours differ in lightness.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    INK,
];

/// The colour of the series or device with this index.
pub(super) fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// An SVG in the making.
pub(super) struct Canvas<'a> {
    svg: SVGBackend<'a>,
}

/// An SVG of this size that `paint` fills.
pub(super) fn draw((width, height): Pixel, paint: impl FnOnce(&mut Canvas<'_>)) -> String {
    let mut text = String::new();
    let mut canvas = Canvas { svg: SVGBackend::with_string(&mut text, (width.unsigned_abs(), height.unsigned_abs())) };
    canvas.fill(Frame { left: 0, top: 0, right: width, bottom: height }, WHITE);
    paint(&mut canvas);
    written(canvas.svg.present());
    drop(canvas);
    text
}

/// Nothing is written to but a string.
fn written<E>(result: Result<(), E>) {
    assert!(result.is_ok(), "an SVG in memory can be written");
}

impl Canvas<'_> {
    pub(super) fn line(&mut self, from: Pixel, to: Pixel, colour: RGBColor, width: u32) {
        written(self.svg.draw_line(from, to, &colour.stroke_width(width)));
    }

    pub(super) fn path(&mut self, points: Vec<Pixel>, colour: RGBColor, width: u32) {
        if points.len() > 1 {
            written(self.svg.draw_path(points, &colour.stroke_width(width)));
        }
    }

    /// A path of dashes and gaps, each so many pixels long.
    pub(super) fn dashes(&mut self, points: &[Pixel], colour: RGBColor, (dash, gap): (f64, f64)) {
        for piece in dashed(points, dash, gap) {
            self.path(piece, colour, 1);
        }
    }

    pub(super) fn polygon(&mut self, corners: &[Pixel], colour: RGBColor) {
        written(self.svg.fill_polygon(corners.iter().copied(), &colour));
    }

    pub(super) fn fill(&mut self, frame: Frame, colour: RGBColor) {
        self.rectangle(frame, colour, true);
    }

    pub(super) fn outline(&mut self, frame: Frame, colour: RGBColor) {
        self.rectangle(frame, colour, false);
    }

    fn rectangle(&mut self, frame: Frame, colour: RGBColor, is_filled: bool) {
        written(self.svg.draw_rect((frame.left, frame.top), (frame.right, frame.bottom), &colour, is_filled));
    }

    /// A filled frame in the colour and hatching of the device with this index; 28 are distinct.
    pub(super) fn device_box(&mut self, frame: Frame, index: usize) {
        self.fill(frame, colour(index));
        let lines = match index % 4 {
            0 => return,
            1 => hatching(frame, 7),
            2 => hatching(frame, 7).into_iter().map(|(x, y)| (x, frame.top + frame.bottom - y)).collect(),
            _ => rungs(frame, 6),
        };
        self.path(lines, WHITE, 1);
    }

    /// A frame with grey hatching.
    pub(super) fn hatched_box(&mut self, frame: Frame) {
        self.fill(frame, GRID);
        self.path(hatching(frame, 5), INK, 1);
        self.outline(frame, INK);
    }

    /// The marker of the series with this index; its shape repeats after seven, and is then hollow.
    pub(super) fn marker(&mut self, (x, y): Pixel, index: usize) {
        // The corners, x and y in turn.
        let corners: &[i32] = match index % 7 {
            0 => &[-2, -4, 2, -4, 4, -2, 4, 2, 2, 4, -2, 4, -4, 2, -4, -2],
            1 => &[-4, -4, 4, -4, 4, 4, -4, 4],
            2 => &[0, -5, 5, 4, -5, 4],
            3 => &[0, -6, 5, 0, 0, 6, -5, 0],
            4 => &[0, 5, 5, -4, -5, -4],
            5 => &[-5, -2, -2, -2, -2, -5, 2, -5, 2, -2, 5, -2, 5, 2, 2, 2, 2, 5, -2, 5, -2, 2, -5, 2],
            _ => &[-5, -4, -3, -5, 0, -2, 3, -5, 5, -4, 2, 0, 5, 4, 3, 5, 0, 2, -3, 5, -5, 4, -2, 0],
        };
        let points: Vec<Pixel> = corners.chunks_exact(2).map(|corner| (x + corner[0], y + corner[1])).collect();
        let is_hollow = index % 14 >= 7;
        let (fill, edge) = if is_hollow { (WHITE, colour(index)) } else { (colour(index), WHITE) };
        written(self.svg.fill_polygon(points.iter().copied(), &fill));
        let closed = points.iter().chain(points.first()).copied().collect();
        self.path(closed, edge, 1);
    }

    /// Text of at most `room` pixels; what does not fit ends in an ellipsis.
    pub(super) fn text(&mut self, text: &str, at: Pixel, anchor: Anchor, size: i32, colour: RGBColor, room: i32) {
        // The backend centres lower-case letters; capitals and digits are taller.
        let (position, turn, lowered) = match anchor {
            Anchor::Left => (HPos::Left, FontTransform::None, 1),
            Anchor::Center => (HPos::Center, FontTransform::None, 1),
            Anchor::Right => (HPos::Right, FontTransform::None, 1),
            Anchor::Upward => (HPos::Center, FontTransform::Rotate270, 0),
            Anchor::Downward => (HPos::Center, FontTransform::Rotate90, 0),
        };
        let at = (at.0, at.1 + lowered);
        // The backend divides by this again.
        let font = ("sans-serif", f64::from(size) * 1.24).into_font().transform(turn);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(position, VPos::Center));
        written(self.svg.draw_text(&fitted(text, size, room), &style, at));
    }

    /// Says that a figure has nothing to show.
    pub(super) fn no_data(&mut self, frame: Frame) {
        self.text("no data", frame.middle(), Anchor::Center, TEXT, INK, frame.width());
    }

    /// The figure's title.
    pub(super) fn title(&mut self, title: &str, width: i32) {
        self.text(title, (width / 2, 22), Anchor::Center, TITLE, INK, width - 40);
    }
}

/// About how many pixels wide `text` is; fonts differ.
pub(super) fn text_width(text: &str, size: i32) -> i32 {
    let ems: f64 = text.chars().map(|c| if c < '\u{1100}' { 0.58 } else { 1.0 }).sum();
    (ems * f64::from(size)).ceil() as i32
}

/// How many pixels the widest of `names` takes.
pub(super) fn widest<'a>(names: impl IntoIterator<Item = &'a str>) -> i32 {
    names.into_iter().map(|name| text_width(name, TEXT)).max().unwrap_or(0)
}

/// The text, or what of it fits into `room` pixels and an ellipsis.
fn fitted(text: &str, size: i32, room: i32) -> String {
    let mut fitted = text.replace(char::is_control, " ");
    if text_width(&fitted, size) <= room {
        return fitted;
    }
    while !fitted.is_empty() && text_width(&fitted, size) + size > room {
        fitted.pop();
    }
    fitted.trim_end().to_owned() + "…"
}

/// One path that crosses the frame in diagonals `distance` pixels apart, turning at the edges.
fn hatching(frame: Frame, distance: i32) -> Vec<Pixel> {
    let (width, height) = (frame.width(), frame.height());
    if width < 3 || height < 3 {
        return Vec::new();
    }
    let offsets = (-height..width).step_by(distance as usize).skip(1);
    zigzag(offsets.map(|offset| {
        let (first, last) = (offset.max(0), (offset + height).min(width));
        [first, last].map(|x| (frame.left + x, frame.bottom - (x - offset)))
    }))
}

/// One path that crosses the frame from side to side every `distance` pixels, turning at the edges.
fn rungs(frame: Frame, distance: i32) -> Vec<Pixel> {
    let heights = (frame.top..frame.bottom).step_by(distance as usize).skip(1);
    zigzag(heights.map(|y| [(frame.left, y), (frame.right, y)]))
}

/// One path over all lines, every second backwards.
fn zigzag(lines: impl Iterator<Item = [Pixel; 2]>) -> Vec<Pixel> {
    let turned = |(index, [from, to]): (usize, [Pixel; 2])| if index % 2 == 1 { [to, from] } else { [from, to] };
    lines.enumerate().flat_map(turned).collect()
}

/// The pieces of a path that dashes cover.
fn dashed(points: &[Pixel], dash: f64, gap: f64) -> Vec<Vec<Pixel>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Pixel> = points.first().copied().into_iter().collect();
    let (mut is_dash, mut left) = (true, dash);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = dx.hypot(dy);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (from.0 + (dx * done / length).round() as i32, from.1 + (dy * done / length).round() as i32);
            if is_dash {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            is_dash = !is_dash;
            left = if is_dash { dash } else { gap };
        }
        left -= length - done;
        if is_dash {
            piece.push(to);
        }
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(fitted("greedy", 13, 100), "greedy");
        assert_eq!(fitted("a strategy with a long name", 13, 100), "a strategy…");
        assert_eq!(fitted("anything", 13, 0), "…");
        assert_eq!(fitted("two\nlines\u{1}", 13, 100), "two lines ");
    }

    #[test]
    fn dashes_follow_the_path_round_its_corners() {
        let pieces = dashed(&[(0, 0), (10, 0), (10, 10)], 6.0, 2.0);
        assert_eq!(pieces, [vec![(0, 0), (6, 0)], vec![(8, 0), (10, 0), (10, 4)], vec![(10, 6), (10, 10)]]);
        assert_eq!(dashed(&[], 6.0, 2.0), [vec![]]);
    }

    #[test]
    fn hatching_stays_inside_its_frame() {
        for (right, bottom) in [(0, 0), (3, 3), (100, 10), (4, 200)] {
            let frame = Frame { left: 0, top: 0, right, bottom };
            let points = hatching(frame, 7).into_iter().chain(rungs(frame, 6));
            for (x, y) in points {
                assert!((0..=right).contains(&x) && (0..=bottom).contains(&y), "({x}, {y}) in {frame:?}");
            }
        }
    }

    #[test]
    fn text_is_escaped() {
        let svg = draw((100, 100), |canvas| canvas.text("a<b & \u{0}c", (0, 0), Anchor::Left, TEXT, INK, 100));
        assert!(svg.contains("a&lt;b &amp;  c"), "{svg}");
    }
}
