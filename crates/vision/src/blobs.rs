//! Regions of marked cells that touch.
//!
//! Invariant: every marked cell is in at most one region, and a region's box holds all of its cells.

use huong_types::BoundingBox;

/// The boxes, in cells, around groups of at least `least` marked cells that touch by a side or a corner; largest group first, of
/// equal ones the upper left. `cells` is row by row, `width` a row.
pub(crate) fn blobs(cells: &[bool], width: usize, least: usize) -> Vec<BoundingBox> {
    let mut seen = vec![false; cells.len()];
    let mut found: Vec<(usize, BoundingBox)> = Vec::new();
    let mut open = Vec::new();
    for start in 0..cells.len() {
        if !cells[start] || seen[start] {
            continue;
        }
        let (mut count, mut left, mut right, mut top, mut bottom) = (0, usize::MAX, 0, usize::MAX, 0);
        seen[start] = true;
        open.push(start);
        while let Some(cell) = open.pop() {
            let (x, y) = (cell % width, cell / width);
            count += 1;
            (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
            for y in y.saturating_sub(1)..=y + 1 {
                for x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let near = y * width + x;
                    if near < cells.len() && cells[near] && !seen[near] {
                        seen[near] = true;
                        open.push(near);
                    }
                }
            }
        }
        if count >= least {
            let (width, height) = ((right - left + 1) as f32, (bottom - top + 1) as f32);
            found.push((count, BoundingBox { x: left as f32, y: top as f32, width, height }));
        }
    }
    found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    found.into_iter().map(|(_, bbox)| bbox).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_is_one_region_and_specks_are_none() {
        let picture = ["##......", "..#....#", "........", "#.......", ".....###", ".....#.#"];
        let cells: Vec<bool> = picture.iter().flat_map(|row| row.bytes().map(|cell| cell == b'#')).collect();
        let bbox = |x: f32, y: f32, width: f32, height: f32| BoundingBox { x, y, width, height };
        let large = [bbox(5.0, 4.0, 3.0, 2.0), bbox(0.0, 0.0, 3.0, 2.0)];
        assert_eq!(blobs(&cells, 8, 2), large);
        // With the specks: right edge and left edge of neighbouring rows do not touch.
        assert_eq!(blobs(&cells, 8, 1), [&large[..], &[bbox(7.0, 1.0, 1.0, 1.0), bbox(0.0, 3.0, 1.0, 1.0)]].concat());
        assert!(blobs(&cells, 8, 6).is_empty() && blobs(&[], 8, 1).is_empty());
    }
}
