//! Counts of vehicles per class and zone, as fields of a reading.
//!
//! Invariant: a field exists only for what the model can see, so a zero means "looked, none there".

use huong_types::{Camera, Detection, Field, Name};

use crate::judge::VEHICLES;
use crate::zone::contains;

/// How one camera's objects are counted; `total` is their sum. Of the labels of a street's model only vehicles count: a person or a
/// signal head is a detection but no traffic.
///
/// A vehicle is where its foot point is. A camera without zones counts the whole picture. With zones, `car`, `total` and the
/// others count what stands in any of them (once, however many overlap), because a zone is drawn to leave the rest out; and
/// each zone has fields of its own, `zone_<zone>_car` .. `zone_<zone>_total`. No zone name has a special meaning.
pub(crate) struct Counter {
    classes: Vec<Name>,
    /// Per area (the whole first, then the zones) one name per class and the total's.
    names: Vec<Name>,
    zones: Vec<Vec<(f32, f32)>>,
}

impl Counter {
    /// Of the vehicles among the model's `labels`.
    pub(crate) fn of_vehicles(camera: &Camera, labels: &[Name]) -> Self {
        let classes = VEHICLES.iter().filter_map(|vehicle| labels.iter().find(|label| **label == **vehicle)).cloned().collect();
        Self::of(camera, classes)
    }

    /// Of everything that the model knows.
    pub(crate) fn of_all(camera: &Camera, labels: &[Name]) -> Self {
        Self::of(camera, labels.to_vec())
    }

    fn of(camera: &Camera, classes: Vec<Name>) -> Self {
        let prefixes = std::iter::once(String::new()).chain(camera.zones.keys().map(|zone| format!("zone_{zone}_")));
        let of_area = |prefix: String| {
            classes.iter().map(Name::as_str).chain(["total"]).map(move |name| Name::from(format!("{prefix}{name}"))).collect::<Vec<_>>()
        };
        let names = prefixes.flat_map(of_area).collect();
        Self { names, zones: camera.zones.values().cloned().collect(), classes }
    }

    /// False when the model knows no vehicles at all: there is nothing to report then, not even zero.
    pub(crate) fn counts_anything(&self) -> bool {
        !self.classes.is_empty()
    }

    /// The fields of one reading from the detections in a frame of `size` pixels.
    pub(crate) fn fields(&self, detections: &[Detection], size: (u32, u32)) -> impl Iterator<Item = Field> {
        let per_area = self.classes.len() + 1;
        let mut counts = vec![0u32; self.names.len()];
        let mut add = |area: usize, class: usize| {
            counts[area * per_area + class] += 1;
            counts[area * per_area + per_area - 1] += 1;
        };
        for detection in detections {
            let Some(class) = self.classes.iter().position(|class| *class == detection.label) else {
                continue;
            };
            let foot = relative(detection.bbox.foot(), size);
            let mut in_any = self.zones.is_empty();
            for (zone, polygon) in self.zones.iter().enumerate() {
                if contains(polygon, foot) {
                    add(zone + 1, class);
                    in_any = true;
                }
            }
            if in_any {
                add(0, class);
            }
        }
        self.names.iter().cloned().zip(counts).map(|(name, count)| Field::ok(name, f64::from(count)))
    }
}

/// As a part of width and height, just short of 1: a box cut at the lower edge of the picture has its foot on that edge, which
/// a zone drawn down to it must hold.
fn relative(point: (f32, f32), size: (u32, u32)) -> (f32, f32) {
    let below_one = 1.0 - f32::EPSILON;
    ((point.0 / size.0 as f32).min(below_one), (point.1 / size.1 as f32).min(below_one))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use huong_types::{BoundingBox, Span};

    use super::*;

    fn camera(zones: &[(&str, [(f32, f32); 4])]) -> Camera {
        Camera {
            id: "cam-1".into(),
            name: "Cầu Trường Tiền".to_owned(),
            name_en: "Truong Tien bridge".to_owned(),
            lat: 16.47,
            lon: 107.59,
            ward: None,
            heading: None,
            period: Span::from_secs(1),
            levels: BTreeMap::new(),
            labels: BTreeMap::new(),
            links: BTreeMap::new(),
            zones: zones.iter().map(|(name, corners)| (Name::new(name), corners.to_vec())).collect(),
        }
    }

    /// A vehicle of 20x20 pixels whose foot is at (x, y).
    fn vehicle(label: &str, x: f32, y: f32) -> Detection {
        Detection { label: label.into(), score: 0.9, bbox: BoundingBox { x: x - 10.0, y: y - 20.0, width: 20.0, height: 20.0 } }
    }

    fn counted(counter: &Counter, detections: &[Detection]) -> Vec<(String, f64)> {
        counter.fields(detections, (1000, 500)).map(|f| (f.name.to_string(), f.number().expect("a count"))).collect()
    }

    fn labels(text: &[&str]) -> Vec<Name> {
        text.iter().map(|label| Name::new(label)).collect()
    }

    #[test]
    fn the_whole_picture_counts_without_zones() {
        let counter = Counter::of_vehicles(&camera(&[]), &labels(&["motorbike", "person", "car", "bus"]));
        let seen = [
            vehicle("car", 10.0, 500.0),
            vehicle("person", 50.0, 50.0),
            vehicle("motorbike", 900.0, 20.0),
            vehicle("motorbike", 500.0, 30.0),
        ];
        let expected = [("car", 1.0), ("bus", 0.0), ("motorbike", 2.0), ("total", 3.0)];
        assert_eq!(
            counted(&counter, &seen),
            expected.map(|(name, n)| (name.to_owned(), n)),
            "no field for trucks, which this model cannot see"
        );
        assert!(!Counter::of_vehicles(&camera(&[]), &labels(&["helmet"])).counts_anything());
    }

    #[test]
    fn zones_count_feet_and_their_union_is_the_total() {
        let left = ("a", [(0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (0.0, 1.0)]);
        let overlapping = ("b", [(0.4, 0.5), (1.0, 0.5), (1.0, 1.0), (0.4, 1.0)]);
        let counter = Counter::of_vehicles(&camera(&[left, overlapping]), &labels(&["car", "bus"]));
        let seen = [
            vehicle("car", 450.0, 400.0), // in both
            vehicle("bus", 800.0, 500.0), // foot on the lower edge of the picture
            vehicle("car", 100.0, 249.0), // above the zones
            vehicle("car", 100.0, 251.0), // most of it above, its foot inside
        ];
        let expected = [
            ("car", 2.0),
            ("bus", 1.0),
            ("total", 3.0),
            ("zone_a_car", 2.0),
            ("zone_a_bus", 0.0),
            ("zone_a_total", 2.0),
            ("zone_b_car", 1.0),
            ("zone_b_bus", 1.0),
            ("zone_b_total", 2.0),
        ];
        assert_eq!(counted(&counter, &seen), expected.map(|(name, n)| (name.to_owned(), n)));
    }
}
