//! Pictures for people to read: heads, and the plates of all but the vehicle in question, made unrecognisable.
//!
//! Invariant: of what is hidden nothing is left but the mean colour of squares as large as its shorter side; the original is only read.

use huong_types::{Act, BoundingBox, Detection, EvidenceFrame, Problems};
use serde::{Deserialize, Serialize};
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::record::{Picture, Record};

/// No face finder is here: where heads and plates are follows from the boxes of people and vehicles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlurConfig {
    /// The upper part of a person's or rider's box that is hidden, 0 to 1.
    pub head: f32,
    /// How much of the box's height is hidden above it as well.
    pub above: f32,
    /// The lower part of another vehicle's box that is hidden where its plate was not found, 0 to 1.
    pub plate: f32,
}

impl Default for BlurConfig {
    /// A head is 1/7.5 of a standing person (the canon of drawing; DIN 33402-2 has 0.13 of the stature); a helmet on who sits on a motorbike
    /// is some 0.27 m of 1.5 m, the wheels included. 0.3 is twice that and 0.1 what boxes are cut too low, as these boxes are loose
    /// (`models/vehicles.md`). 0.6: plates hang below the windows. Choices of this project.
    fn default() -> Self {
        Self { head: 0.3, above: 0.1, plate: 0.6 }
    }
}

impl BlurConfig {
    /// Adds every mistake to `problems`.
    pub(crate) fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        for (name, share) in [("head", self.head), ("above", self.above), ("plate", self.plate)] {
            if !(0.0..=1.0).contains(&share) {
                problems.add(file, format!("{path}.{name}"), format!("`{share}`"), "0 to 1");
            }
        }
    }

    fn head_of(&self, bbox: &BoundingBox) -> BoundingBox {
        BoundingBox { y: bbox.y - self.above * bbox.height, height: (self.head + self.above) * bbox.height, ..*bbox }
    }
}

/// What is hidden in a picture, and what is shown although something hidden covers it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Regions {
    pub(crate) hidden: Vec<BoundingBox>,
    shown: Vec<BoundingBox>,
}

const PEOPLE: [&str; 2] = ["person", "motorbike"];
const VEHICLES: [&str; 4] = ["car", "bus", "truck", "motorbike"];

impl Regions {
    /// Of a picture of `record`.
    pub(crate) fn of(record: &Record, picture: &Picture, config: &BlurConfig) -> Regions {
        let own = Detection { label: record.label.clone(), score: 1.0, bbox: picture.bbox };
        let mut regions = Regions::default();
        match &picture.others {
            Some(others) => {
                let people = others.iter().chain([&own]).filter(|one| PEOPLE.contains(&one.label.as_str()));
                regions.hidden.extend(people.map(|one| config.head_of(&one.bbox)));
                regions.hidden.extend(plates(others, config));
            }
            // Nobody wrote down who else is in it.
            None => {
                regions.hidden.push(BoundingBox { x: 0.0, y: 0.0, width: f32::MAX, height: f32::MAX });
                regions.shown.push(picture.bbox);
            }
        }
        let read = record.plate.as_ref().and_then(|plate| plate.crop).filter(|(at, _)| *at == picture.at.millis);
        regions.shown.extend(read.map(|(_, plate)| plate));
        // Where the bare head is the offence, it is what the picture shows.
        if record.act == Act::NoHelmet {
            regions.shown.push(config.head_of(&picture.bbox));
        }
        regions
    }
}

/// Plates that were found, and the lower part of vehicles where none was.
fn plates<'a>(others: &'a [Detection], config: &'a BlurConfig) -> impl Iterator<Item = BoundingBox> + 'a {
    let found = || others.iter().filter(|one| one.label == *EvidenceFrame::PLATE).map(|one| one.bbox);
    let within = |vehicle: &BoundingBox, plate: &BoundingBox| {
        let (x, y) = (plate.x + plate.width / 2.0, plate.y + plate.height / 2.0);
        (vehicle.x..vehicle.x + vehicle.width).contains(&x) && (vehicle.y..vehicle.y + vehicle.height).contains(&y)
    };
    let vehicles = others.iter().filter(|one| VEHICLES.contains(&one.label.as_str())).map(|one| one.bbox);
    let unread = vehicles.filter(move |vehicle| !found().any(|plate| within(vehicle, &plate)));
    let lower = |b: BoundingBox| BoundingBox { y: b.y + (1.0 - config.plate) * b.height, height: config.plate * b.height, ..b };
    found().chain(unread.map(lower))
}

/// Of a picture that is encoded anew.
const QUALITY: i32 = 90;

/// The picture with the regions hidden. Empty when it is no picture: what cannot be hidden is not shown.
pub(crate) fn hide(jpeg: &[u8], regions: &Regions) -> Vec<u8> {
    redrawn(jpeg, regions).unwrap_or_default()
}

fn redrawn(jpeg: &[u8], regions: &Regions) -> turbojpeg::Result<Vec<u8>> {
    let whole = turbojpeg::decompress(jpeg, PixelFormat::RGB)?;
    let mut hidden = whole.clone();
    let clip = |bbox: &BoundingBox| Rect::of(bbox, whole.width, whole.height);
    regions.hidden.iter().filter_map(clip).for_each(|rect| rect.coarsen(&mut hidden));
    for rect in regions.shown.iter().filter_map(clip) {
        for y in rect.top..rect.bottom {
            let row = y * whole.pitch + rect.left * 3..y * whole.pitch + rect.right * 3;
            hidden.pixels[row.clone()].copy_from_slice(&whole.pixels[row]);
        }
    }
    Ok(turbojpeg::compress(hidden.as_deref(), QUALITY, Subsamp::Sub2x2)?.to_vec())
}

/// Whole pixels of a picture, at least one.
struct Rect {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Rect {
    fn of(bbox: &BoundingBox, width: usize, height: usize) -> Option<Rect> {
        // `as` cuts off at both ends what is no number of pixels.
        let (left, top) = (bbox.x.max(0.0).floor() as usize, bbox.y.max(0.0).floor() as usize);
        let (right, bottom) = (((bbox.x + bbox.width).ceil() as usize).min(width), ((bbox.y + bbox.height).ceil() as usize).min(height));
        (left < right && top < bottom).then_some(Rect { left, top, right, bottom })
    }

    /// Gives each square the mean of its pixels.
    fn coarsen(&self, image: &mut Image<Vec<u8>>) {
        let side = (self.right - self.left).min(self.bottom - self.top);
        for top in (self.top..self.bottom).step_by(side) {
            for left in (self.left..self.right).step_by(side) {
                let (right, bottom) = ((left + side).min(self.right), (top + side).min(self.bottom));
                let pixels = (bottom - top) * (right - left);
                for channel in 0..3 {
                    let places = || (top..bottom).flat_map(|y| (left..right).map(move |x| (y, x)));
                    let sum: usize = places().map(|(y, x)| usize::from(image.pixels[y * image.pitch + x * 3 + channel])).sum();
                    let mean = u8::try_from(sum / pixels).unwrap_or(u8::MAX);
                    places().for_each(|(y, x)| image.pixels[y * image.pitch + x * 3 + channel] = mean);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use huong_types::Span;

    use super::*;
    use crate::Decision;
    use crate::archive::Source;
    use crate::testing::{NOON, folder, picture, violation};

    fn at(x: f32, y: f32, width: f32, height: f32) -> BoundingBox {
        BoundingBox { x, y, width, height }
    }

    fn other(label: &str, bbox: BoundingBox) -> Detection {
        Detection { label: label.into(), score: 0.8, bbox }
    }

    /// How far the greenest pixel of a part is from its least green one: 0 in one colour.
    fn spread(jpeg: &[u8], part: &BoundingBox) -> u8 {
        let image = turbojpeg::decompress(jpeg, PixelFormat::RGB).expect("a picture");
        let rect = Rect::of(part, image.width, image.height).expect("inside");
        let green = |y: usize, x: usize| image.pixels[y * image.pitch + x * 3 + 1];
        let values: Vec<u8> = (rect.top..rect.bottom).flat_map(|y| (rect.left..rect.right).map(move |x| green(y, x))).collect();
        values.iter().max().expect("one") - values.iter().min().expect("one")
    }

    #[test]
    fn plates_that_were_found_and_where_one_must_hang() {
        let config = BlurConfig { plate: 0.5, ..BlurConfig::default() };
        let others = [
            other("car", at(0.0, 0.0, 100.0, 100.0)),
            other(EvidenceFrame::PLATE, at(40.0, 70.0, 20.0, 6.0)),
            other("bus", at(200.0, 0.0, 100.0, 100.0)),
            other("person", at(400.0, 0.0, 40.0, 100.0)),
        ];
        let hidden: Vec<BoundingBox> = plates(&others, &config).collect();
        assert_eq!(hidden, [at(40.0, 70.0, 20.0, 6.0), at(200.0, 50.0, 100.0, 50.0)]);
    }

    #[test]
    fn a_part_is_one_colour_a_square_and_the_rest_is_as_it_was() {
        let original = picture(160, 96, 5);
        let part = at(32.0, 16.0, 64.0, 32.0);
        let regions = Regions { hidden: vec![part], shown: vec![at(80.0, 32.0, 8.0, 8.0)] };
        let hidden = hide(&original, &regions);
        assert!(spread(&original, &at(32.0, 16.0, 32.0, 32.0)) > 100);
        // Blocks of the JPEG lie on the edges of the squares: each holds one colour.
        assert!(spread(&hidden, &at(32.0, 16.0, 32.0, 32.0)) < 8, "the first square");
        assert!(spread(&hidden, &at(64.0, 16.0, 12.0, 32.0)) < 8, "the second, up to the blocks with what is shown in it");
        assert!(spread(&hidden, &at(80.0, 32.0, 8.0, 8.0)) > 20, "shown");
        let (a, b) = (turbojpeg::decompress(&original, PixelFormat::RGB), turbojpeg::decompress(&hidden, PixelFormat::RGB));
        let (a, b) = (a.expect("a picture"), b.expect("a picture"));
        let row = |image: &Image<Vec<u8>>| image.pixels[80 * image.pitch..][..160 * 3].to_vec();
        let off: u64 = row(&a).iter().zip(row(&b)).map(|(a, b)| u64::from(a.abs_diff(b))).sum();
        assert!(off / (160 * 3) < 12, "a row that was not hidden is off by {off}");
        assert_eq!(hide(b"no picture", &regions), Vec::<u8>::new());
        let outside = Regions { hidden: vec![at(-50.0, -50.0, 20.0, 20.0), at(f32::NAN, 0.0, 5.0, 5.0)], shown: Vec::new() };
        assert!(!hide(&original, &outside).is_empty(), "nothing of it is in the picture");
    }
    /// The JPEGs that a PDF holds, which stand in it as they are.
    fn pictures(pdf: &[u8]) -> Vec<Vec<u8>> {
        let find = |part: &[u8], from: usize| pdf[from..].windows(part.len()).position(|window| window == part).map(|at| from + at);
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(begin) = find(&[0xff, 0xd8, 0xff], from) {
            let end = find(b"endstream", begin).expect("a stream ends");
            found.push(pdf[begin..end].to_vec());
            from = end;
        }
        found
    }

    #[test]
    fn a_sheet_shows_the_vehicle_and_its_plate_and_nobody_else() {
        let mut folder = folder();
        folder.config.blur.plate = 0.5;
        let mut records = folder.open();
        let mut candidate = violation(1);
        let original = picture(192, 128, 3);
        let (person, car, plate) = (at(128.0, 16.0, 48.0, 96.0), at(0.0, 0.0, 32.0, 64.0), at(96.0, 112.0, 32.0, 16.0));
        let read = at(64.0, 80.0, 32.0, 16.0);
        let frame = &mut candidate.frames[1];
        frame.jpeg = original.clone().into();
        frame.bbox = at(48.0, 32.0, 64.0, 72.0);
        frame.others = vec![other("person", person), other("car", car), other(EvidenceFrame::PLATE, plate)];
        let when = frame.at;
        candidate.plate.as_mut().expect("it has one").crop = Some((when, read));
        let id = folder.keep(&mut records, &candidate);
        records.decide(&id, "lan", Decision::Accept, None, NOON + Span::from_mins(1)).expect("new");
        let source = Source::open(&folder.export(&mut records, NOON + Span::from_mins(2))).expect("readable").expect("a container");
        let file = |name: &str| source.read(name).expect("readable").expect("there").expect("whole");
        assert_eq!(file(&format!("records/{id}/picture-2.jpg")), original, "the original is the camera's bytes");
        let shown = pictures(&file(&format!("records/{id}/sheet.pdf")));
        assert_eq!(shown.len(), 4, "the plate cut out, and three pictures");
        let sheet = &shown[2];
        for (part, what) in [
            (at(128.0, 16.0, 32.0, 16.0), "a head"),
            (at(0.0, 32.0, 32.0, 32.0), "the lower part of a car"),
            (at(96.0, 112.0, 16.0, 16.0), "a plate"),
        ] {
            assert!(spread(&original, &part) > 60, "there is something to see in {what}");
            assert!(spread(sheet, &part) < 8, "{what} is hidden: {}", spread(sheet, &part));
        }
        for (part, what) in [
            (at(144.0, 64.0, 32.0, 32.0), "the rest of a person"),
            (read, "the plate in question"),
            (at(48.0, 32.0, 32.0, 32.0), "the vehicle"),
        ] {
            assert!(spread(sheet, &part) > 60, "{what} is shown: {}", spread(sheet, &part));
        }
        let manifest: serde_json::Value = serde_json::from_slice(&file("manifest.json")).expect("JSON");
        assert_eq!(manifest["hidden"]["places"][&*id]["picture-2.jpg"], 3, "{manifest}");
        assert_eq!(manifest["hidden"]["places"][&*id]["picture-1.jpg"], 0, "nobody else is in it");
        assert!(manifest["hidden"]["what"].as_str().is_some_and(|what| what.contains("sheet.pdf")));
    }

    #[test]
    fn riders_and_what_nobody_wrote_down() {
        let folder = folder();
        let mut records = folder.open();
        let mut candidate = violation(1);
        (candidate.label, candidate.act, candidate.plate) = ("motorbike".into(), Act::NoHelmet, None);
        let id = folder.keep(&mut records, &candidate);
        let (mut record, _) = records.read(&id).expect("readable");
        let config = BlurConfig { head: 0.25, above: 0.25, plate: 0.5 };
        let of = |record: &Record| Regions::of(record, &record.pictures[0], &config);
        let head = at(20.0, -2.0, 48.0, 20.0);
        assert_eq!(of(&record), Regions { hidden: vec![head], shown: vec![head] }, "the bare head is the offence");
        record.act = Act::RedLight;
        assert_eq!(of(&record), Regions { hidden: vec![head], shown: Vec::new() });
        record.pictures[0].others = None;
        let regions = of(&record);
        assert_eq!(regions.shown, [record.pictures[0].bbox], "of a record that does not say who is in it, the vehicle alone");
        let hidden = hide(&picture(96, 64, 3), &regions);
        assert!(spread(&hidden, &at(80.0, 0.0, 16.0, 64.0)) < 8 && spread(&hidden, &at(32.0, 16.0, 32.0, 16.0)) > 60);
    }
}
