//! Regions as sets of cells: what two share, and what several leave uncovered.

use std::ops::Range;

use crate::model::Region;

/// What both cover, if anything.
pub(super) fn intersection(a: &Region, b: &Region) -> Option<Region> {
    let both = |a: &Range<u32>, b: &Range<u32>| a.start.max(b.start)..a.end.min(b.end);
    let region = Region { samples: both(&a.samples, &b.samples), rows: both(&a.rows, &b.rows) };
    (!region.is_empty()).then_some(region)
}

/// A part of `wanted` that none of `parts` covers, if there is one.
pub(super) fn uncovered(wanted: &Region, parts: &[&Region]) -> Option<Region> {
    let whole = |part: &&&Region| intersection(wanted, part).as_ref() == Some(wanted);
    if parts.iter().find(whole).is_some() {
        return None;
    }
    // Between two neighbouring ends of parts, the set of parts is the same for every sample.
    let inside = |sample: &u32| wanted.samples.contains(sample);
    let ends = parts.iter().flat_map(|part| [part.samples.start, part.samples.end]).filter(inside);
    let mut cuts: Vec<u32> = ends.chain([wanted.samples.start, wanted.samples.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut parts: Vec<&&Region> = parts.iter().filter(|part| intersection(wanted, part).is_some()).collect();
    parts.sort_by_key(|part| part.samples.start);
    let mut next = 0;
    let mut open: Vec<&Region> = Vec::new();
    for cut in cuts.windows(2) {
        open.retain(|part| part.samples.end > cut[0]);
        while next < parts.len() && parts[next].samples.start <= cut[0] {
            open.push(parts[next]);
            next += 1;
        }
        open.retain(|part| part.samples.end > cut[0]);
        open.sort_by_key(|part| part.rows.start);
        let mut reached = wanted.rows.start;
        for part in &open {
            if part.rows.start <= reached {
                reached = reached.max(part.rows.end);
            }
        }
        if reached < wanted.rows.end {
            let end = open.iter().map(|part| part.rows.start).filter(|&start| start > reached).min();
            let rows = reached..end.unwrap_or(wanted.rows.end).min(wanted.rows.end);
            return Some(Region { samples: cut[0]..cut[1], rows });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(samples: Range<u32>, rows: Range<u32>) -> Region {
        Region { samples, rows }
    }

    fn check(parts: &[Region], expected: Option<Region>) {
        assert_eq!(uncovered(&region(0..4, 0..4), &parts.iter().collect::<Vec<_>>()), expected);
    }

    #[test]
    fn parts_that_touch_or_overlap_cover_the_whole() {
        check(&[region(0..4, 0..4)], None);
        check(&[region(0..2, 0..9), region(2..4, 0..3), region(1..4, 2..4)], None);
    }

    #[test]
    fn a_hole_is_found_where_it_is() {
        check(&[], Some(region(0..4, 0..4)));
        check(&[region(0..4, 0..2), region(0..4, 3..4)], Some(region(0..4, 2..3)));
        check(&[region(0..4, 0..2), region(0..3, 2..4)], Some(region(3..4, 2..4)));
    }
}
