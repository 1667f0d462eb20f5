//! Paths that hatch a frame, and the dashes of a path.

use super::canvas::{Frame, Point};
use super::style::Hatching;

/// One path that hatches the frame.
pub(super) fn hatches(frame: Frame, lines: Hatching) -> Vec<Point> {
    match lines {
        Hatching::None => Vec::new(),
        Hatching::Rising => diagonals(frame, 14),
        Hatching::Falling => diagonals(frame, 14).into_iter().map(|(x, y)| (x, frame.top + frame.bottom - y)).collect(),
        Hatching::Level => rungs(frame, 12),
    }
}

/// One path that crosses the frame in diagonals `distance` apart, turning at the edges.
fn diagonals(frame: Frame, distance: i32) -> Vec<Point> {
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

/// One path that crosses the frame from side to side every `distance`, turning at the edges.
fn rungs(frame: Frame, distance: i32) -> Vec<Point> {
    let heights = (frame.top..frame.bottom).step_by(distance as usize).skip(1);
    zigzag(heights.map(|y| [(frame.left, y), (frame.right, y)]))
}

/// One path over all lines, every second backwards.
fn zigzag(lines: impl Iterator<Item = [Point; 2]>) -> Vec<Point> {
    let turned = |(index, [from, to]): (usize, [Point; 2])| if index % 2 == 1 { [to, from] } else { [from, to] };
    lines.enumerate().flat_map(turned).collect()
}

/// The pieces of a path that dashes cover; `lengths` are those of dashes and gaps in turn.
pub(super) fn dashed(points: &[Point], lengths: &[f64]) -> Vec<Vec<Point>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Point> = points.first().copied().into_iter().collect();
    let (mut index, mut left) = (0, lengths[0]);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = dx.hypot(dy);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (from.0 + (dx * done / length).round() as i32, from.1 + (dy * done / length).round() as i32);
            if index % 2 == 0 {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            index += 1;
            left = lengths[index % lengths.len()];
        }
        left -= length - done;
        if index % 2 == 0 {
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
    fn dashes_follow_the_path_round_its_corners() {
        let pieces = dashed(&[(0, 0), (10, 0), (10, 10)], &[6.0, 2.0]);
        assert_eq!(pieces, [vec![(0, 0), (6, 0)], vec![(8, 0), (10, 0), (10, 4)], vec![(10, 6), (10, 10)]]);
        assert_eq!(dashed(&[], &[6.0, 2.0]), [vec![]]);
    }

    #[test]
    fn hatching_stays_inside_its_frame() {
        for (right, bottom) in [(0, 0), (3, 3), (100, 10), (4, 200)] {
            let frame = Frame { left: 0, top: 0, right, bottom };
            for lines in [Hatching::Rising, Hatching::Falling, Hatching::Level] {
                for (x, y) in hatches(frame, lines) {
                    assert!((0..=right).contains(&x) && (0..=bottom).contains(&y), "({x}, {y}) in {frame:?}");
                }
            }
        }
    }
}
