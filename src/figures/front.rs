//! Which points no other beats in both of two quantities, and the step line along them.

use super::canvas::Point;

/// Which values of what is drawn upwards are better. To the right, less always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

/// The points that no other beats in both, from left to right.
pub(super) fn front(points: &[(f64, f64)], better: Better) -> Vec<(f64, f64)> {
    let order = |first: f64, second: f64| match better {
        Better::More => second.total_cmp(&first),
        Better::Less => first.total_cmp(&second),
    };
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(order(a.1, b.1)));
    let mut front: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if front.last().is_none_or(|last| order(point.1, last.1).is_lt()) {
            front.push(point);
        }
    }
    front
}

/// The corners of a step line: further to the right, what was reached before stays until the next point.
pub(super) fn steps(front: &[Point]) -> Vec<Point> {
    let mut corners: Vec<Point> = Vec::new();
    for &(x, y) in front {
        if let Some(&(_, before)) = corners.last() {
            corners.push((x, before));
        }
        corners.push((x, y));
    }
    corners
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_front_has_what_no_other_point_beats() {
        let points = [(1.0, 5.0), (2.0, 4.0), (2.0, 9.0), (3.0, 9.0), (4.0, 10.0), (1.0, 5.0)];
        assert_eq!(front(&points, Better::More), [(1.0, 5.0), (2.0, 9.0), (4.0, 10.0)]);
        assert_eq!(front(&points, Better::Less), [(1.0, 5.0), (2.0, 4.0)]);
    }

    proptest! {
        #[test]
        fn every_point_is_on_the_front_or_beaten_by_one_there(cells in proptest::collection::vec((0u8..9, 0u8..9), 1..30)) {
            let points: Vec<(f64, f64)> = cells.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).collect();
            let front = front(&points, Better::More);
            for point in &points {
                prop_assert!(front.iter().any(|best| best.0 <= point.0 && best.1 >= point.1));
            }
            for best in &front {
                prop_assert!(!points.iter().any(|p| p.0 <= best.0 && p.1 >= best.1 && p != best));
            }
        }
    }
}
