//! What the cameras see: drawn street scenes by the hour and weather of the scenario, or the pictures of a folder.
//!
//! Invariant: the same seed, registry and moment give the same bytes. A picture is drawn and compressed once and shared by
//! all cameras that show it; at most `VIEWS` × 4 skies × 4 crowds × `PHASES` are kept.

mod canvas;
mod plate;
mod scene;
pub mod staged;
mod vehicle;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use huong_types::{Camera, Registry, Timestamp};
use scene::{Crowd, Moment, PHASES, Sky};

use crate::city;
use crate::dice::Dice;
use crate::weather::Weather;

/// Different streets; cameras share them.
const VIEWS: usize = 10;
const DAMS: usize = 2;
const QUALITY: i32 = 80;
/// City rain from which pictures show it, and water at Kim Long from which streets are empty: 1.5 m over alarm level III.
const VISIBLE_RAIN: f64 = 5.0;
const NO_TRAFFIC: f64 = 5.0;

/// Gives each camera its pictures, one after the other.
pub(crate) struct Studio {
    source: Source,
    registry: Arc<Registry>,
    seed: u64,
}

enum Source {
    Drawn {
        weather: Arc<Weather>,
        size: (usize, usize),
        compressor: turbojpeg::Compressor,
        made: HashMap<Picture, Bytes>,
    },
    /// JPEG files in the order of their names.
    Folder(Vec<PathBuf>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Picture {
    Street(usize, Moment),
    Dam(usize, Sky, usize),
}

impl Studio {
    /// Draws frames of `size`, width by height in pixels.
    ///
    /// # Errors
    /// When the size is 0 or over 4096, or the JPEG compressor cannot be set up.
    pub(crate) fn drawn(registry: Arc<Registry>, weather: Arc<Weather>, seed: u64, size: (usize, usize)) -> anyhow::Result<Self> {
        anyhow::ensure!(
            (16..=4096).contains(&size.0) && (16..=4096).contains(&size.1),
            "frame size must be 16 to 4096 pixels each way, found {}x{}",
            size.0,
            size.1
        );
        let mut compressor = turbojpeg::Compressor::new()?;
        compressor.set_quality(QUALITY)?;
        compressor.set_subsamp(turbojpeg::Subsamp::Sub2x2)?;
        Ok(Self { source: Source::Drawn { weather, size, compressor, made: HashMap::new() }, registry, seed })
    }

    /// Replays the JPEG files of `folder`.
    ///
    /// # Errors
    /// When the folder cannot be read or holds no `.jpg` or `.jpeg` file.
    pub(crate) fn folder(registry: Arc<Registry>, seed: u64, folder: &Path) -> anyhow::Result<Self> {
        let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read the folder of pictures {}", folder.display()))?;
        let mut files = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
        files.retain(|path| {
            path.extension().and_then(|e| e.to_str()).is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg"))
        });
        files.sort();
        anyhow::ensure!(!files.is_empty(), "no .jpg or .jpeg file in {}", folder.display());
        Ok(Self { source: Source::Folder(files), registry, seed })
    }

    /// The JPEG of the camera at `index` of the registry, its `turn`-th frame, at simulated time `at`; `None` while it has no power.
    ///
    /// # Errors
    /// When a file cannot be read or a picture not be compressed.
    pub(crate) fn frame(&mut self, index: usize, turn: u64, at: Timestamp) -> anyhow::Result<Option<Bytes>> {
        let turn = usize::try_from(turn % 1_000_000_007)?;
        match &mut self.source {
            Source::Folder(files) => {
                let file = &files[(index + turn) % files.len()];
                Ok(Some(std::fs::read(file).with_context(|| format!("cannot read the picture {}", file.display()))?.into()))
            }
            Source::Drawn { weather, .. } if city::camera_is_dark(weather, index, at) => Ok(None),
            Source::Drawn { weather, size, compressor, made } => {
                let picture = choose(&self.registry.cameras[index], self.seed, weather, turn, at);
                if let Some(jpeg) = made.get(&picture) {
                    return Ok(Some(jpeg.clone()));
                }
                let pixels = match picture {
                    Picture::Street(view, moment) => scene::street(self.seed, view, moment, *size),
                    Picture::Dam(view, sky, phase) => scene::dam(self.seed, view, sky, phase, *size),
                };
                let image = turbojpeg::Image {
                    pixels: pixels.as_slice(),
                    width: size.0,
                    pitch: size.0 * 3,
                    height: size.1,
                    format: turbojpeg::PixelFormat::RGB,
                };
                let jpeg = Bytes::from(compressor.compress_to_vec(image)?);
                made.insert(picture, jpeg.clone());
                Ok(Some(jpeg))
            }
        }
    }
}

/// Streets of a calm morning as `cameras` cameras see them, for measurements: all first pictures, then all second ones, and so on,
/// `turns` times.
///
/// # Errors
/// As [`Studio::drawn`] and [`Studio::frame`].
pub fn drawn_frames(registry: Arc<Registry>, seed: u64, size: (usize, usize), cameras: usize, turns: usize) -> anyhow::Result<Vec<Bytes>> {
    // 08:00 in Huế on 1 July 2025.
    let at = Timestamp::from_millis(1_751_331_600_000);
    let weather = Arc::new(Weather::new(crate::ScenarioKind::Calm, seed));
    let mut studio = Studio::drawn(registry, weather, seed, size)?;
    let mut frames = Vec::with_capacity(cameras * turns);
    for turn in 0..turns {
        for camera in 0..cameras {
            frames.extend(studio.frame(camera, turn as u64, at)?);
        }
    }
    anyhow::ensure!(frames.len() == cameras * turns, "a camera has no power");
    Ok(frames)
}

/// How many vehicles a faultless detector would count in the view of the camera at `index`; `None` while it has no power.
pub(crate) fn vehicles(registry: &Registry, seed: u64, weather: &Weather, index: usize, at: Timestamp) -> Option<usize> {
    let camera = registry.cameras.get(index).filter(|_| !city::camera_is_dark(weather, index, at))?;
    Some(match choose(camera, seed, weather, 0, at) {
        Picture::Street(_, moment) => moment.crowd.vehicles(&mut Dice::new(seed, &camera.id, at.as_millis())),
        Picture::Dam(..) => 0,
    })
}

fn choose(camera: &Camera, seed: u64, weather: &Weather, turn: usize, at: Timestamp) -> Picture {
    let mut own = Dice::new(seed, &camera.id, 0);
    let minute = local_minute(at);
    let sky = Sky { night: !(5 * 60 + 40..17 * 60 + 40).contains(&minute), rain: weather.city_rain(at) > VISIBLE_RAIN };
    let phase = (turn + own.below(PHASES)) % PHASES;
    // Cameras that no rule watches for traffic look at water.
    if !camera.levels.contains_key("congested") {
        return Picture::Dam(own.below(DAMS), sky, phase);
    }
    let crowd = if weather.kim_long(at) >= NO_TRAFFIC { Crowd::Empty } else { crowd(&mut own, minute) };
    Picture::Street(own.below(VIEWS), Moment { sky, crowd, phase })
}

/// Rush hours fill two cameras in five, and one in ten is crowded all day.
fn crowd(own: &mut Dice, minute: i64) -> Crowd {
    let busy = own.unit();
    let rush = (6 * 60 + 30..8 * 60).contains(&minute) || (16 * 60 + 30..18 * 60 + 30).contains(&minute);
    let day = (6 * 60..21 * 60).contains(&minute);
    match (busy, rush, day) {
        (b, _, true) if b < 0.1 => Crowd::Jam,
        (b, true, _) if b < 0.4 => Crowd::Jam,
        (_, true, _) => Crowd::Normal,
        (b, _, true) if b < 0.6 => Crowd::Normal,
        (b, _, false) if b > 0.7 => Crowd::Empty,
        _ => Crowd::Light,
    }
}

/// Minutes since local midnight (UTC+7).
fn local_minute(at: Timestamp) -> i64 {
    (at.as_millis() / 60_000 + 7 * 60).rem_euclid(24 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScenarioKind;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a literal of this test")
    }

    fn studio(seed: u64) -> Studio {
        let registry = Arc::new(crate::testing::registry());
        Studio::drawn(registry, Arc::new(Weather::new(ScenarioKind::Calm, seed)), seed, (320, 192)).expect("a small frame")
    }

    #[test]
    fn the_same_seed_draws_the_same_bytes() {
        let (mut one, mut two, mut other) = (studio(1), studio(1), studio(2));
        let mut differs = false;
        for (index, turn, time) in [
            (0, 0, "2025-07-01T08:00:00+07:00"),
            (0, 1, "2025-07-01T08:00:00+07:00"),
            (5, 3, "2025-07-01T23:00:00+07:00"),
            (130, 0, "2025-07-01T12:00:00+07:00"),
        ] {
            let frame = one.frame(index, turn, at(time)).expect("drawn").expect("has power");
            assert_eq!(Some(&frame), two.frame(index, turn, at(time)).expect("drawn").as_ref());
            assert!(frame.starts_with(&[0xff, 0xd8]) && frame.ends_with(&[0xff, 0xd9]));
            differs |= Some(frame) != other.frame(index, turn, at(time)).expect("drawn");
        }
        assert!(differs, "another seed draws other scenes");
    }

    #[test]
    fn nights_are_dark_and_traffic_moves() {
        let mut studio = studio(1);
        let mut brightness = |time: &str| -> u64 {
            let frame = studio.frame(0, 0, at(time)).expect("drawn").expect("has power");
            let image = turbojpeg::decompress(&frame, turbojpeg::PixelFormat::GRAY).expect("a JPEG");
            assert_eq!((image.width, image.height), (320, 192));
            image.pixels.iter().map(|p| u64::from(*p)).sum::<u64>() / image.pixels.len() as u64
        };
        let (day, night) = (brightness("2025-07-01T10:00:00+07:00"), brightness("2025-07-01T22:00:00+07:00"));
        assert!(day > night + 30, "day {day}, night {night}");
        let day = at("2025-07-01T10:00:00+07:00");
        assert_ne!(studio.frame(0, 0, day).expect("drawn"), studio.frame(0, 1, day).expect("drawn"));
    }

    #[test]
    fn a_folder_is_replayed_in_the_order_of_its_names() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, bytes) in [("b.jpg", "two"), ("a.JPEG", "one"), ("c.txt", "no picture")] {
            std::fs::write(folder.path().join(name), bytes).expect("written");
        }
        let registry = Arc::new(crate::testing::registry());
        let mut studio = Studio::folder(registry.clone(), 1, folder.path()).expect("two pictures");
        let shown: Vec<Bytes> =
            (0..3).map(|turn| studio.frame(0, turn, Timestamp::from_millis(0)).expect("read").expect("has power")).collect();
        assert_eq!(shown, ["one", "two", "one"]);
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert!(Studio::folder(registry, 1, empty.path()).is_err());
    }
}
