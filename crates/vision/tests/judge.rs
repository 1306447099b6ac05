//! From JPEG bytes to a candidate of a violation with its plate, through models that really look at the pixels.

use std::sync::Arc;

use bytes::Bytes;
use huong_types::{Act, BoundingBox, Detection, Frame, ModelId, Name, Problems, Registry, Timestamp, VoidReason};
use huong_vision::plate::PlateEye;
use huong_vision::{
    ChannelOrder, Ctc, DetectError, Detector, FoundPlate, InputSpec, Letterboxed, Outcome, Pipeline, PlateFinder, PlateImage, PlateReader,
    PlateRows, PlateSight, Views, VisionConfig,
};
use turbojpeg::{Compressor, Image, PixelFormat};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
const TEXT: &[u8] = b"75B112345";
const ALPHABET: &[u8] = b"0123456789ABCDEFGHKLMNPRSTUVXYZ";

/// The box around all pixels of the input's first plane for which `is` holds, and how many they are.
fn around(image: &Letterboxed, width: usize, is: impl Fn(f32) -> bool) -> Option<(BoundingBox, usize)> {
    let plane = &image.pixels[..image.pixels.len() / 3];
    let inside = |i: usize| i % width < image.geometry.content.0 as usize && i / width < image.geometry.content.1 as usize;
    let held: Vec<(f32, f32)> =
        plane.iter().enumerate().filter(|(i, v)| inside(*i) && is(**v)).map(|(i, _)| ((i % width) as f32, (i / width) as f32)).collect();
    let (x, y) = held.iter().copied().reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))?;
    let (right, bottom) = held.iter().fold((0.0f32, 0.0f32), |a, b| (a.0.max(b.0 + 1.0), a.1.max(b.1 + 1.0)));
    Some((image.geometry.to_frame(&BoundingBox { x, y, width: right - x, height: bottom - y })?, held.len()))
}

/// Calls black pixels one motorbike.
struct Blob(ModelId, Vec<Name>);

impl Detector for Blob {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn input(&self) -> InputSpec {
        InputSpec { width: 320, height: 192, channels: ChannelOrder::Rgb, scale: 1.0, pad: 114, step: None }
    }

    fn labels(&self) -> &[Name] {
        &self.1
    }

    fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError> {
        let found = around(image, 320, |v| v < 40.0);
        Ok(found.into_iter().map(|(bbox, _)| Detection { label: self.1[0].clone(), score: 0.9, bbox }).collect())
    }
}

/// Calls the pixels that are red and not blue one object of its first label.
struct Orange(ModelId, Vec<Name>);

impl Detector for Orange {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn input(&self) -> InputSpec {
        InputSpec { width: 160, height: 96, channels: ChannelOrder::Rgb, scale: 1.0, pad: 114, step: None }
    }

    fn labels(&self) -> &[Name] {
        &self.1
    }

    fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError> {
        let (red, blue) = (&image.pixels[..160 * 96], &image.pixels[2 * 160 * 96..]);
        let warm = Letterboxed {
            pixels: red.iter().zip(blue).map(|(r, b)| if *r > 200.0 && *b < 60.0 { 1.0 } else { 0.0 }).cycle().take(3 * 160 * 96).collect(),
            geometry: image.geometry,
        };
        let found = around(&warm, 160, |v| v > 0.5).filter(|(_, pixels)| *pixels > 8);
        Ok(found.into_iter().map(|(bbox, _)| Detection { label: self.1[0].clone(), score: 0.9, bbox }).collect())
    }
}

/// Calls white pixels a plate.
struct White(ModelId);

impl PlateFinder for White {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn input(&self) -> InputSpec {
        InputSpec { width: 128, height: 96, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114, step: None }
    }

    fn find(&mut self, image: &Letterboxed, _: Option<f32>) -> Result<Vec<FoundPlate>, DetectError> {
        let found = around(image, 128, |v| v > 225.0).filter(|(_, pixels)| *pixels > 50);
        Ok(found
            .map(|(bbox, _)| {
                let (right, bottom) = (bbox.x + bbox.width, bbox.y + bbox.height);
                FoundPlate { score: 0.9, bbox, corners: [(bbox.x, bbox.y), (right, bbox.y), (right, bottom), (bbox.x, bottom)] }
            })
            .into_iter()
            .collect())
    }
}

/// Reads [`TEXT`] on a white plate, with an 8 for its B; of anything else it cannot make sense.
struct Reader(ModelId);

impl PlateReader for Reader {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn input(&self) -> InputSpec {
        InputSpec { width: 32, height: 16, channels: ChannelOrder::Rgb, scale: 1.0, pad: 0, step: None }
    }

    fn rows(&self) -> PlateRows {
        PlateRows::Whole
    }

    fn alphabet(&self) -> &[u8] {
        ALPHABET
    }

    fn read(&mut self, plate: &PlateImage) -> Result<PlateSight, DetectError> {
        let mean = plate.pixels.iter().sum::<f32>() / plate.pixels.len() as f32;
        if mean < 200.0 {
            return Err(DetectError::Run(format!("not a white plate: {mean}")));
        }
        let columns = ALPHABET.len() + 1;
        let mut rows = Vec::new();
        for &character in TEXT {
            let mut row = vec![0.0; columns];
            let column = |c: u8| 1 + ALPHABET.iter().position(|known| *known == c).expect("of the alphabet");
            row[column(character)] = if character == b'B' { 0.45 } else { 0.99 };
            if character == b'B' {
                row[column(b'8')] = 0.55;
            }
            rows.extend(row);
            rows.extend(std::iter::once(1.0).chain(std::iter::repeat_n(0.0, columns - 1)));
        }
        Ok(PlateSight { ctc: Ctc::new(rows, columns)?, two_lines: None })
    }
}

/// A grey street with a motorbike of 60x60 pixels, its upper left corner at (300, `y`), its white plate, and a lamp.
fn picture(y: Option<usize>, red: bool) -> Bytes {
    picture_with(y, red, None)
}

/// The same with an orange square, its upper left corner there.
fn picture_with(y: Option<usize>, red: bool, orange: Option<(usize, usize)>) -> Bytes {
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT)
        .flat_map(|i| {
            let (px, py) = (i % WIDTH, i / WIDTH);
            let on =
                |x: std::ops::Range<usize>, from: usize, to: usize| y.is_some_and(|y| x.contains(&px) && (y + from..y + to).contains(&py));
            let lamp = |top: usize| (560..576).contains(&px) && (top..top + 16).contains(&py);
            let orange = orange.is_some_and(|(x, y)| (x..x + 20).contains(&px) && (y..y + 20).contains(&py));
            match () {
                () if orange => [250, 140, 10],
                () if on(316..344, 30, 50) => [255, 255, 255],
                () if on(300..360, 0, 60) => [0, 0, 0],
                () if lamp(16) && red => [240, 50, 60],
                () if lamp(48) && !red => [60, 230, 160],
                () if lamp(16) || lamp(48) => [70, 70, 70],
                () => [150, 150, 150],
            }
        })
        .collect();
    let image = Image { pixels: &pixels[..], width: WIDTH, pitch: 3 * WIDTH, height: HEIGHT, format: PixelFormat::RGB };
    Compressor::new().and_then(|mut compressor| compressor.compress_to_vec(image)).expect("a drawn picture compresses").into()
}

fn pipeline(report: bool) -> Pipeline {
    pipeline_with(report, Reader(ModelId { name: "reader".into(), sha256: "00".into() }))
}

fn pipeline_with(report: bool, reader: impl PlateReader + 'static) -> Pipeline {
    let registry = r#"
        [[camera]]
        id = "cam-1"
        name = "Ngã sáu"
        name_en = "Six-way junction"
        lat = 16.46
        lon = 107.59
        period = "1s"
    "#;
    let view = r#"
        [[camera]]
        id = "cam-1"
        [[camera.line]]
        name = "stop"
        kind = "stop"
        from = [0.3, 0.6]
        to = [0.7, 0.6]
        signal = "north"
        [[camera.signal]]
        name = "north"
        red = [0.875, 0.0445, 0.025, 0.0444]
        green = [0.875, 0.1334, 0.025, 0.0444]
        [[camera.zone]]
        name = "bins"
        kind = "waste"
        points = [[0.0, 0.5], [0.3, 0.5], [0.3, 1.0], [0.0, 1.0]]
    "#;
    let mut problems = Problems::default();
    let registry = Registry::parse("registry.toml", registry, &mut problems);
    let views = Views::parse("views.toml", view, &registry, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let model = |name: &str| ModelId { name: name.into(), sha256: "00".into() };
    let mut config = VisionConfig::default();
    config.plates.report = report;
    let blob = Blob(model("blob"), vec!["motorbike".into()]);
    Pipeline::new(config, Arc::new(registry), Box::new(blob))
        .with_views(views)
        .with_plates(PlateEye::new(Box::new(White(model("white"))), Box::new(reader)))
}

/// Rides down over the line, 40 pixels a second, and out of the picture; one outcome a second.
fn ride(pipeline: &mut Pipeline, red: bool) -> Vec<Outcome> {
    (0..20)
        .map(|second| {
            let at = Timestamp::from_millis(second * 1000);
            let y = (2..8).contains(&second).then(|| 20 + 40 * (second as usize - 2));
            pipeline.process(0, &Frame { camera: "cam-1".into(), at, received: at, jpeg: picture(y, red) }).expect("a good frame")
        })
        .collect()
}

#[test]
fn a_motorbike_over_a_red_light_becomes_a_candidate_with_its_plate() {
    let outcomes = ride(&mut pipeline(false), true);
    let candidates: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.candidates).collect();
    assert_eq!(candidates.len(), 1);
    let candidate = candidates[0];
    assert_eq!((candidate.act, candidate.place.as_str(), candidate.label.as_str()), (Act::RedLight, "stop", "motorbike"));
    assert_eq!(candidate.void, Vec::<VoidReason>::new());
    let moments: Vec<(&str, f32)> = candidate.frames.iter().map(|f| (f.moment.as_str(), f.bbox.y + f.bbox.height)).collect();
    let line = 0.6 * HEIGHT as f32;
    assert!(moments[0].0 == "before" && moments[0].1 < line && moments[1].0 == "on" && moments[1].1 > line && moments[2].0 == "after");
    assert!(candidate.frames.iter().all(|frame| frame.jpeg.starts_with(&[0xFF, 0xD8])));
    assert_eq!(candidate.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["blob", "white", "reader"]);
    let plate = candidate.plate.as_ref().expect("it was looked for");
    assert_eq!((plate.text.as_deref(), plate.raw.as_str(), plate.corrected), (Some("75B112345"), "758112345", true));
    assert_eq!(plate.kinds, ["moto_old"].map(Name::new));
    let (_, crop) = plate.crop.expect("where it was");
    assert!((crop.x - 316.0).abs() < 4.0 && (crop.width - 28.0).abs() < 6.0, "{crop:?}");
    // What happened is told as readings too, and the plate of nobody in particular is not.
    let readings: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.readings).collect();
    let streams: std::collections::BTreeSet<&str> = readings.iter().map(|reading| reading.stream.as_str()).collect();
    assert_eq!(streams.into_iter().collect::<Vec<_>>(), ["candidates", "signal", "vehicles", "zone_events"]);
    assert!(readings.iter().all(|reading| !format!("{reading:?}").contains("75B112345")), "{readings:?}");
}

#[test]
fn the_same_ride_at_green_is_nobodys_business() {
    let outcomes = ride(&mut pipeline(true), false);
    assert!(outcomes.iter().all(|outcome| outcome.candidates.is_empty()));
    let plates: Vec<_> = outcomes.iter().flat_map(|o| &o.readings).filter(|reading| reading.stream == *"plates").collect();
    assert_eq!(plates.len(), 1, "once, where the site wants every plate");
    assert_eq!(plates[0].key, *"cam-1");
    let crossed = outcomes.iter().flat_map(|o| &o.readings).filter(|reading| reading.stream == *"zone_events").count();
    assert_eq!(crossed, 1);
}

#[test]
fn a_light_that_changes_in_an_empty_street_is_seen_and_a_clock_that_stands_still_does_not_matter() {
    let mut pipeline = pipeline(false);
    let told: Vec<String> = (0..30)
        .flat_map(|second| {
            // The camera's own clock stands still; arrivals go on.
            let (at, received) = (Timestamp::from_millis(5000), Timestamp::from_millis(5000 + second * 1000));
            let frame = Frame { camera: "cam-1".into(), at, received, jpeg: picture(None, second >= 13) };
            pipeline.process(0, &frame).expect("a good frame").readings
        })
        .filter(|reading| reading.stream == *"signal")
        .map(|reading| format!("{} {:?}", reading.at.as_millis() / 1000, reading.fields[1].value))
        .collect();
    assert_eq!(told, [r#"6 Text("green")"#, r#"18 Text("unknown")"#, r#"19 Text("red")"#]);
}

/// Its session broke.
struct Broken(ModelId);

impl PlateReader for Broken {
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn input(&self) -> InputSpec {
        InputSpec { width: 32, height: 16, channels: ChannelOrder::Rgb, scale: 1.0, pad: 0, step: None }
    }

    fn rows(&self) -> PlateRows {
        PlateRows::Strip
    }

    fn alphabet(&self) -> &[u8] {
        ALPHABET
    }

    fn read(&mut self, _: &PlateImage) -> Result<PlateSight, DetectError> {
        Err(DetectError::Run("out of memory".to_owned()))
    }
}

#[test]
fn a_plate_model_that_fails_costs_the_plate_alone() {
    let outcomes = ride(&mut pipeline_with(true, Broken(ModelId { name: "broken".into(), sha256: "00".into() })), true);
    let candidates: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.candidates).collect();
    assert_eq!(candidates.len(), 1);
    assert_eq!(candidates[0].plate, None);
    let faults: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.faults).collect();
    assert!(faults.len() >= 3 && faults.iter().all(|fault| fault.contains("out of memory")), "{faults:?}");
}

fn orange(label: &str) -> Box<Orange> {
    Box::new(Orange(ModelId { name: "orange".into(), sha256: "00".into() }, vec![label.into()]))
}

#[test]
fn a_bare_head_is_looked_for_above_the_motorbike() {
    let ride = |label: &str, head: bool| -> Vec<Act> {
        let mut pipeline = pipeline(false).with_helmets(orange(label));
        let outcomes = (0..20).map(|second| {
            let at = Timestamp::from_millis(second * 1000);
            // Gone in the end, when it is decided.
            let y = (second < 12).then_some(60 + 12 * second as usize);
            // Over the shoulders of the black motorbike, which begins at `y`.
            let jpeg = picture_with(y, false, y.filter(|_| head).map(|y| (320, y - 20)));
            pipeline.process(0, &Frame { camera: "cam-1".into(), at, received: at, jpeg }).expect("a good frame")
        });
        outcomes.flat_map(|outcome| outcome.candidates).map(|candidate| candidate.act).collect()
    };
    assert_eq!(ride("without_helmet", true), [Act::NoHelmet]);
    assert!(ride("with_helmet", true).is_empty() && ride("without_helmet", false).is_empty());
}

#[test]
fn a_heap_in_its_zone_is_counted_and_told_after_a_while() {
    let watch = |x: usize| {
        let mut pipeline = pipeline(false).with_waste(orange("garbage"));
        let outcomes: Vec<Outcome> = (0..20)
            .map(|minute| {
                let at = Timestamp::from_millis(minute * 60_000);
                let jpeg = picture_with(None, false, Some((x, 300)));
                pipeline.process(0, &Frame { camera: "cam-1".into(), at, received: at, jpeg }).expect("a good frame")
            })
            .collect();
        let acts: Vec<(Act, i64)> = outcomes.iter().flat_map(|o| &o.candidates).map(|c| (c.act, c.at.as_millis() / 60_000)).collect();
        let counts: f64 =
            outcomes.iter().flat_map(|o| &o.readings).filter(|r| r.stream == *"waste").filter_map(|r| r.number("garbage")).sum();
        (acts, counts)
    };
    assert_eq!(watch(100), (vec![(Act::WasteHeap, 15)], 20.0));
    assert_eq!(watch(400), (vec![], 20.0), "outside the zone it is counted and nothing more");
}
