//! Shapes and text on an SVG, in tenths of a millimetre.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::strokes::{dashed, hatches};
use super::style::{self, GRID, Hatching, INK, colour, hatching};

/// A point in tenths of a millimetre from the upper left corner.
pub(super) type Point = (i32, i32);

/// How wide a figure is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// A column of a page with two: 88 mm, 3.5 inches.
    Column,
    /// A page: 180 mm, 7 inches.
    #[default]
    Page,
}

impl Width {
    /// Tenths of a millimetre.
    pub(super) fn units(self) -> i32 {
        match self {
            Width::Column => 880,
            Width::Page => 1800,
        }
    }
}

/// A rectangle.
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

    pub(super) fn middle(self) -> Point {
        ((self.left + self.right) / 2, (self.top + self.bottom) / 2)
    }

    /// Where a share of the width is, from the left.
    pub(super) fn x(self, share: f64) -> i32 {
        self.left + (f64::from(self.width()) * share).round() as i32
    }

    /// Where a share of the height is, from below.
    pub(super) fn y(self, share: f64) -> i32 {
        self.bottom - (f64::from(self.height()) * share).round() as i32
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
}

/// Height of letters: 7.1 points.
pub(super) const TEXT: i32 = 25;
/// Height of the title's letters: 8.2 points.
const TITLE: i32 = 29;
/// From line to line of text.
pub(super) const LINE: i32 = 36;
/// Width of lines that show data: 1.1 points.
pub(super) const STROKE: u32 = 4;
/// Width of axes and outlines: 0.6 points.
pub(super) const THIN: u32 = 2;
/// What stays free at the edges of a figure.
pub(super) const MARGIN: i32 = 16;
/// The upper edge of what is below the title.
pub(super) const BELOW_TITLE: i32 = 64;

/// An SVG in the making.
pub(super) struct Canvas<'a> {
    svg: SVGBackend<'a>,
    width: i32,
}

/// An SVG of this width and height that `paint` fills.
pub(super) fn draw(width: Width, height: i32, paint: impl FnOnce(&mut Canvas<'_>)) -> String {
    let width = width.units();
    let mut text = String::new();
    let svg = SVGBackend::with_string(&mut text, (width.unsigned_abs(), height.unsigned_abs()));
    let mut canvas = Canvas { svg, width };
    canvas.fill(Frame { left: 0, top: 0, right: width, bottom: height }, WHITE);
    paint(&mut canvas);
    written(canvas.svg.present());
    drop(canvas);
    // The backend knows pixels only.
    let pixels = format!("width=\"{width}\" height=\"{height}\"");
    let millimetres = |units: i32| f64::from(units) / 10.0;
    let size = format!("width=\"{}mm\" height=\"{}mm\"", millimetres(width), millimetres(height));
    text.replacen(&pixels, &size, 1)
}

/// Nothing is written to but a string.
fn written<E>(result: Result<(), E>) {
    assert!(result.is_ok(), "an SVG in memory can be written");
}

impl Canvas<'_> {
    pub(super) fn line(&mut self, from: Point, to: Point, colour: RGBColor, width: u32) {
        written(self.svg.draw_line(from, to, &colour.stroke_width(width)));
    }

    pub(super) fn path(&mut self, points: Vec<Point>, colour: RGBColor, width: u32) {
        if points.len() > 1 {
            written(self.svg.draw_path(points, &colour.stroke_width(width)));
        }
    }

    /// A path of dashes and gaps, their lengths in turn; a solid one if there are none.
    pub(super) fn dashes(&mut self, points: &[Point], lengths: &[f64], colour: RGBColor, width: u32) {
        if lengths.is_empty() {
            return self.path(points.to_vec(), colour, width);
        }
        for piece in dashed(points, lengths) {
            self.path(piece, colour, width);
        }
    }

    pub(super) fn polygon(&mut self, corners: &[Point], colour: RGBColor) {
        written(self.svg.fill_polygon(corners.iter().copied(), &colour));
    }

    /// A polygon through which others show.
    pub(super) fn veil(&mut self, corners: &[Point], colour: RGBColor) {
        written(self.svg.fill_polygon(corners.iter().copied(), &colour.mix(0.2)));
    }

    pub(super) fn fill(&mut self, frame: Frame, colour: RGBColor) {
        written(self.svg.draw_rect((frame.left, frame.top), (frame.right, frame.bottom), &colour, true));
    }

    pub(super) fn outline(&mut self, frame: Frame, colour: RGBColor) {
        let style = colour.stroke_width(THIN);
        written(self.svg.draw_rect((frame.left, frame.top), (frame.right, frame.bottom), &style, false));
    }

    /// A filled frame with white hatching.
    pub(super) fn hatched_box(&mut self, frame: Frame, fill: RGBColor, lines: Hatching) {
        self.fill(frame, fill);
        let ink = if style::is_dark(fill) || fill != GRID { WHITE } else { INK };
        self.path(hatches(frame, lines), ink, THIN);
    }

    /// A filled frame in the colour and hatching of the device with this index.
    pub(super) fn device_box(&mut self, frame: Frame, index: usize) {
        self.hatched_box(frame, colour(index), hatching(index));
    }

    /// The marker of the series with this index.
    pub(super) fn marker(&mut self, (x, y): Point, index: usize) {
        let (corners, is_hollow) = style::marker(index);
        let points: Vec<Point> = corners.map(|(dx, dy)| (x + dx, y + dy)).collect();
        match is_hollow {
            true => self.edged(points, WHITE, colour(index), THIN + 1),
            false => self.edged(points, colour(index), WHITE, 1),
        }
    }

    /// The dark outline of the marker of the series with this index, in percent of its size.
    pub(super) fn open_marker(&mut self, (x, y): Point, index: usize, percent: i32) {
        let (corners, _) = style::marker(index);
        let points = corners.map(|(dx, dy)| (x + dx * percent / 100, y + dy * percent / 100)).collect();
        self.edged(points, WHITE, INK, THIN + 1);
    }

    fn edged(&mut self, corners: Vec<Point>, fill: RGBColor, edge: RGBColor, width: u32) {
        self.polygon(&corners, fill);
        let closed = corners.iter().chain(corners.first()).copied().collect();
        self.path(closed, edge, width);
    }

    /// Text of at most `room`; what does not fit ends in an ellipsis.
    pub(super) fn text(&mut self, text: &str, at: Point, anchor: Anchor, room: i32) {
        self.written_text(text, at, anchor, (TEXT, INK), room);
    }

    /// White text of at most `room`.
    pub(super) fn white_text(&mut self, text: &str, at: Point, anchor: Anchor, room: i32) {
        self.written_text(text, at, anchor, (TEXT, WHITE), room);
    }

    fn written_text(&mut self, text: &str, at: Point, anchor: Anchor, (size, ink): (i32, RGBColor), room: i32) {
        // The backend centres lower-case letters; capitals and digits are taller.
        let (position, turn, lowered) = match anchor {
            Anchor::Left => (HPos::Left, FontTransform::None, 2),
            Anchor::Center => (HPos::Center, FontTransform::None, 2),
            Anchor::Right => (HPos::Right, FontTransform::None, 2),
            Anchor::Upward => (HPos::Center, FontTransform::Rotate270, 0),
        };
        let at = (at.0, at.1 + lowered);
        // The backend divides by this again.
        let font = ("sans-serif", f64::from(size) * 1.24).into_font().transform(turn);
        let style = TextStyle::from(font).color(&ink).pos(Pos::new(position, VPos::Center));
        written(self.svg.draw_text(&fitted(text, size, room), &style, at));
    }

    /// Says that a figure has nothing to show.
    pub(super) fn no_data(&mut self, frame: Frame) {
        self.text("no data", frame.middle(), Anchor::Center, frame.width());
    }

    /// The figure's title.
    pub(super) fn title(&mut self, title: &str) {
        let at = (self.width / 2, MARGIN + TITLE / 2 + 4);
        self.written_text(title, at, Anchor::Center, (TITLE, INK), self.width - 2 * MARGIN);
    }
}

/// About how wide `text` is; fonts differ.
pub(super) fn text_width(text: &str) -> i32 {
    width_at(text, TEXT)
}

fn width_at(text: &str, size: i32) -> i32 {
    let ems: f64 = text.chars().map(|c| if c < '\u{1100}' { 0.58 } else { 1.0 }).sum();
    (ems * f64::from(size)).ceil() as i32
}

/// How much the widest of `names` takes.
pub(super) fn widest<'a>(names: impl IntoIterator<Item = &'a str>) -> i32 {
    names.into_iter().map(text_width).max().unwrap_or(0)
}

/// The text, or what of it fits into `room` and an ellipsis.
fn fitted(text: &str, size: i32, room: i32) -> String {
    let mut fitted = text.replace(char::is_control, " ");
    if width_at(&fitted, size) <= room {
        return fitted;
    }
    while !fitted.is_empty() && width_at(&fitted, size) + size > room {
        fitted.pop();
    }
    fitted.trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_wide_as_a_column_or_a_page() {
        let header = |width| draw(width, 605, |_| {}).lines().next().unwrap().to_owned();
        assert!(header(Width::Column).starts_with(r#"<svg width="88mm" height="60.5mm" viewBox="0 0 880 605""#));
        assert!(header(Width::Page).starts_with(r#"<svg width="180mm" height="60.5mm" viewBox="0 0 1800 605""#));
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(fitted("greedy", 13, 100), "greedy");
        assert_eq!(fitted("a strategy with a long name", 13, 100), "a strategy…");
        assert_eq!(fitted("anything", 13, 0), "…");
        assert_eq!(fitted("two\nlines\u{1}", 13, 100), "two lines ");
    }

    #[test]
    fn text_is_escaped() {
        let svg = draw(Width::Column, 100, |canvas| canvas.text("a<b & \u{0}c", (0, 0), Anchor::Left, 200));
        assert!(svg.contains("a&lt;b &amp;  c"), "{svg}");
    }
}
