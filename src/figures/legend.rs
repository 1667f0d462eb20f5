//! The legend below a figure, in as many columns as fit.

use super::canvas::{Anchor, Canvas, Frame, LINE, MARGIN, Point, Width, text_width};

/// Names with what shows them in the figure.
#[derive(Default)]
pub(super) struct Legend<'a> {
    entries: Vec<Sign<'a>>,
}

struct Sign<'a> {
    name: String,
    sample: Box<Sample<'a>>,
}

/// Draws what shows an entry, 60 by 24, about a point.
type Sample<'a> = dyn Fn(&mut Canvas<'_>, Point) + 'a;

/// Width of a sample.
pub(super) const SAMPLE: i32 = 60;
/// A sample of a box about a point.
pub(super) fn sample_box((x, y): Point) -> Frame {
    Frame { left: x - 26, top: y - 11, right: x + 26, bottom: y + 11 }
}

/// Between a sample, its name and the next entry.
const GAP: i32 = 14;
/// Longer names are shortened, so that there are two columns on a page.
const NAME_MAX: i32 = 740;

impl<'a> Legend<'a> {
    /// Adds an entry whose `sample` draws about a point.
    pub(super) fn add(&mut self, name: impl Into<String>, sample: impl Fn(&mut Canvas<'_>, Point) + 'a) {
        self.entries.push(Sign { name: name.into(), sample: Box::new(sample) });
    }

    /// Number of columns and their width.
    fn columns(&self, width: Width) -> (i32, i32) {
        let room = width.units() - 2 * MARGIN;
        let name = self.entries.iter().map(|entry| text_width(&entry.name)).max().unwrap_or(0).min(NAME_MAX);
        let entry = (SAMPLE + 3 * GAP + name).min(room);
        let count = (room / entry).clamp(1, self.entries.len().max(1) as i32);
        (count, entry)
    }

    /// How high it is.
    pub(super) fn height(&self, width: Width) -> i32 {
        let (count, _) = self.columns(width);
        (self.entries.len() as i32 + count - 1) / count * LINE
    }

    /// Draws it below `top`.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, top: i32, width: Width) {
        let (count, entry_width) = self.columns(width);
        let left = (width.units() - count * entry_width) / 2;
        for (index, entry) in self.entries.iter().enumerate() {
            let (line, column) = (index as i32 / count, index as i32 % count);
            let (x, y) = (left + column * entry_width, top + line * LINE + LINE / 2);
            (entry.sample)(canvas, (x + SAMPLE / 2, y));
            canvas.text(&entry.name, (x + SAMPLE + GAP, y), Anchor::Left, entry_width - SAMPLE - 2 * GAP);
        }
    }
}
