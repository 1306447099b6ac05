//! Pictures and what is found in them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Name, Timestamp};

/// One JPEG of one camera, undecoded. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Frame {
    pub camera: Name,
    /// Capture time as told by the camera, else by the broker's arrival.
    pub at: Timestamp,
    pub received: Timestamp,
    pub jpeg: Bytes,
}

/// A box in pixels of the full frame, origin top left; `x`, `y` is its top left corner.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundingBox {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

/// One object found in one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The model's label, e.g. `motorbike`.
    pub label: Name,
    /// 0 to 1.
    pub score: f32,
    pub bbox: BoundingBox,
}

impl BoundingBox {
    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// Intersection over union, 0 to 1; 0 when either is empty.
    pub fn iou(&self, other: &BoundingBox) -> f32 {
        let shared = self.shared(other);
        if shared > 0.0 { shared / (self.area() + other.area() - shared) } else { 0.0 }
    }

    /// The share of this box that lies in the other, 0 to 1; 0 when either is empty.
    pub fn share_in(&self, other: &BoundingBox) -> f32 {
        let shared = self.shared(other);
        if shared > 0.0 { shared / self.area() } else { 0.0 }
    }

    /// The area that both cover.
    pub fn shared(&self, other: &BoundingBox) -> f32 {
        let w = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let h = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        w.max(0.0) * h.max(0.0)
    }

    /// The smallest box around both.
    pub fn union(&self, other: &BoundingBox) -> BoundingBox {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let (right, bottom) = ((self.x + self.width).max(other.x + other.width), (self.y + self.height).max(other.y + other.height));
        BoundingBox { x, y, width: right - x, height: bottom - y }
    }

    /// Where the object stands on the ground: the middle of the lower edge. Zones are tested with it.
    pub fn foot(&self) -> (f32, f32) {
        (self.x + self.width / 2.0, self.y + self.height)
    }
}
