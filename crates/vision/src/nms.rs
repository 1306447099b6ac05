//! Non-maximum suppression: one box per object.
//!
//! Invariant: the result depends on the boxes alone, not on their order; ties go to the earlier row of the model's output.

use huong_types::BoundingBox;

/// A box before it has a name: in whatever pixels the model speaks of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) class: usize,
    pub(crate) score: f32,
    pub(crate) bbox: BoundingBox,
    /// Its row in the model's output.
    pub(crate) row: usize,
}

/// Keeps, per class, the best boxes that overlap no better one by more than `iou` (0 to 1); best first.
///
/// Per class, because a rider's motorbike in front of a car is two objects in almost one place.
pub(crate) fn suppress(candidates: &mut Vec<Candidate>, iou: f32) {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    let mut kept = 0;
    for i in 0..candidates.len() {
        let candidate = candidates[i];
        let covered = candidates[..kept].iter().any(|better| better.class == candidate.class && better.bbox.iou(&candidate.bbox) > iou);
        if !covered {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(row: usize, class: usize, score: f32, x: f32) -> Candidate {
        Candidate { class, score, bbox: BoundingBox { x, y: 0.0, width: 10.0, height: 10.0 }, row }
    }

    fn rows_kept(mut candidates: Vec<Candidate>, iou: f32) -> Vec<usize> {
        suppress(&mut candidates, iou);
        candidates.iter().map(|c| c.row).collect()
    }

    #[test]
    fn the_best_of_each_heap_stays() {
        // Boxes 10 wide, shifted by 2: IoU 80/120 = 0.67; by 6: 40/160 = 0.25.
        let heap = vec![candidate(0, 0, 0.6, 0.0), candidate(1, 0, 0.9, 2.0), candidate(2, 0, 0.7, 8.0), candidate(3, 1, 0.5, 2.0)];
        assert_eq!(rows_kept(heap.clone(), 0.45), vec![1, 2, 3], "another class is never suppressed");
        assert_eq!(rows_kept(heap.clone(), 0.2), vec![1, 3]);
        assert_eq!(rows_kept(heap, 0.7), vec![1, 2, 0, 3]);
        assert_eq!(rows_kept(vec![candidate(5, 0, 0.5, 0.0), candidate(4, 0, 0.5, 0.0)], 0.5), vec![4], "a tie goes to the earlier row");
        assert_eq!(rows_kept(Vec::new(), 0.5), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn kept_boxes_do_not_overlap_and_dropped_ones_do(
            boxes in prop::collection::vec((0usize..3, 0.0f32..1.0, 0.0f32..50.0), 0..60), iou in 0.1f32..0.9,
        ) {
            let all: Vec<Candidate> = boxes.iter().enumerate().map(|(row, &(class, score, x))| candidate(row, class, score, x)).collect();
            let mut kept = all.clone();
            suppress(&mut kept, iou);
            prop_assert!(kept.windows(2).all(|pair| pair[0].score >= pair[1].score));
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(kept[..i].iter().all(|b| a.class != b.class || a.bbox.iou(&b.bbox) <= iou));
            }
            for lost in all.iter().filter(|c| !kept.contains(c)) {
                prop_assert!(kept.iter().any(|k| k.class == lost.class && k.score >= lost.score && k.bbox.iou(&lost.bbox) > iou));
            }
            let mut reversed: Vec<Candidate> = all.into_iter().rev().collect();
            suppress(&mut reversed, iou);
            prop_assert_eq!(reversed, kept);
        }
    }
}
