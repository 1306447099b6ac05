//! Windows of a frame that cost no more to look at than they must: sides that a model takes as they are, near ones in one.
//!
//! Invariant: a window lies in the frame and holds what it was laid around, unless that is larger than the model's largest picture.

use huong_types::BoundingBox;

use crate::InputSpec;

/// The windows of a frame at one resolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lattice {
    pub(crate) input: InputSpec,
    pub(crate) frame: (u32, u32),
    /// Pixels of the input for one of the frame.
    pub(crate) scale: f32,
    /// Pixels of the input that are seen on each side of a thing.
    pub(crate) margin: f32,
}

impl Lattice {
    /// Windows that hold all these things, two things in one window as long as that costs no more.
    pub(crate) fn windows(&self, mut things: Vec<BoundingBox>) -> Vec<BoundingBox> {
        let mut first = 0;
        while first < things.len() {
            let joined = (first + 1..things.len()).find_map(|second| {
                let both = things[first].union(&things[second]);
                let cheaper = self.fits(&both) && self.cost(&both) <= self.cost(&things[first]) + self.cost(&things[second]);
                cheaper.then_some((second, both))
            });
            match joined {
                Some((second, both)) => {
                    things.swap_remove(second);
                    things[first] = both;
                    // What was too far from the smaller one may be near now.
                    first = 0;
                }
                None => first += 1,
            }
        }
        things.iter().map(|thing| self.around(thing)).collect()
    }

    /// What it costs to look at a thing, in pixels of the input.
    pub(crate) fn cost(&self, thing: &BoundingBox) -> f32 {
        let (width, height) = self.input.holding(self.needs(thing));
        width as f32 * height as f32
    }

    /// Width and height of the input that a thing takes.
    fn needs(&self, thing: &BoundingBox) -> (u32, u32) {
        let length = |side: f32| (side * self.scale + 2.0 * self.margin).ceil() as u32;
        (length(thing.width), length(thing.height))
    }

    fn fits(&self, thing: &BoundingBox) -> bool {
        let (width, height) = self.needs(thing);
        width <= self.input.width && height <= self.input.height
    }

    /// The smallest window around a thing.
    fn around(&self, thing: &BoundingBox) -> BoundingBox {
        let input = self.input.holding(self.needs(thing));
        let laid = |start: f32, side: f32, input: u32, most: u32| {
            let wide = (input as f32 / self.scale).floor().min(most as f32);
            ((start + side / 2.0 - wide / 2.0).clamp(0.0, most as f32 - wide).floor(), wide)
        };
        let (x, width) = laid(thing.x, thing.width, input.0, self.frame.0);
        let (y, height) = laid(thing.y, thing.height, input.1, self.frame.1);
        BoundingBox { x, y, width, height }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ChannelOrder;

    const FLUID: InputSpec = InputSpec { width: 576, height: 448, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114, step: Some(32) };
    const HALF: Lattice = Lattice { input: FLUID, frame: (1280, 720), scale: 0.5, margin: 16.0 };

    fn thing(x: f32, y: f32, width: f32, height: f32) -> BoundingBox {
        BoundingBox { x, y, width, height }
    }

    #[test]
    fn a_window_is_as_large_as_it_must_be_and_lies_in_the_frame() {
        let one = |lattice: &Lattice, x, y, w, h| lattice.windows(vec![thing(x, y, w, h)]);
        assert_eq!(one(&HALF, 600.0, 300.0, 40.0, 30.0), [thing(556.0, 251.0, 128.0, 128.0)]);
        assert_eq!(one(&HALF, 0.0, 700.0, 40.0, 20.0), [thing(0.0, 592.0, 128.0, 128.0)]);
        assert_eq!(HALF.cost(&thing(600.0, 300.0, 40.0, 30.0)), 64.0 * 64.0);
        let fixed = Lattice { input: InputSpec { step: None, ..FLUID }, scale: 1.0, ..HALF };
        assert_eq!(one(&fixed, 600.0, 300.0, 8.0, 8.0), [thing(316.0, 80.0, 576.0, 448.0)], "of a model of one size: all of it");
        let two = fixed.windows(vec![thing(600.0, 300.0, 8.0, 8.0), thing(800.0, 400.0, 8.0, 8.0), thing(10.0, 10.0, 8.0, 8.0)]);
        assert_eq!(two.len(), 2, "which takes in as many as fit: {two:?}");
    }

    #[test]
    fn near_things_are_looked_at_together_and_far_ones_are_not() {
        let windows =
            HALF.windows(vec![thing(100.0, 100.0, 40.0, 40.0), thing(1100.0, 100.0, 40.0, 40.0), thing(150.0, 110.0, 40.0, 40.0)]);
        assert_eq!(windows.len(), 2, "{windows:?}");
    }

    proptest! {
        #[test]
        fn whatever_moved_is_in_a_window_and_together_costs_no_more_than_apart(
            things in proptest::collection::vec((0.0f32..1200.0, 0.0f32..680.0, 8.0f32..80.0, 8.0f32..40.0), 1..20),
            scale in 0.3f32..1.0,
        ) {
            let lattice = Lattice { scale, ..HALF };
            let things: Vec<BoundingBox> = things.iter().map(|&(x, y, w, h)| thing(x, y, w, h)).collect();
            let apart: f32 = things.iter().map(|thing| lattice.cost(thing)).sum();
            let windows = lattice.windows(things.clone());
            let area: f32 = windows.iter().map(|window| window.area() * scale * scale).sum();
            prop_assert!(area <= apart * 1.001, "{area} {apart}");
            for thing in &things {
                prop_assert!(windows.iter().any(|window| thing.share_in(window) > 0.999), "{thing:?} {windows:?}");
            }
            for window in &windows {
                prop_assert!(window.x >= 0.0 && window.y >= 0.0 && window.x + window.width <= 1280.0 && window.y + window.height <= 720.0);
                prop_assert!(window.width * scale <= 576.0 && window.height * scale <= 448.0);
            }
        }
    }
}
