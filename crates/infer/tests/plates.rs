//! The shipped plate models on real photos, from pixels to text by the program's own steps. The photos are outside of this repository, so
//! this is skipped, loudly, where they are absent. Only counts are printed: plates are personal data.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use huong_infer::{OnnxPlateFinder, OnnxPlateReader, Provider, load_runtime};
use huong_vision::Pixels;
use huong_vision::plate::{PlateConfig, PlateEye};
use turbojpeg::PixelFormat;

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn the_shipped_models_read_real_plates() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = std::env::var_os("HUONG_SHARED_DATA").map_or_else(|| workspace.join("../shared/data"), PathBuf::from).join("plates");
    if !data.exists() {
        return eprintln!("SKIPPED: no {}; set HUONG_SHARED_DATA to run this test", data.display());
    }
    load_runtime(&workspace.join("vendor/ort")).expect("`make test` puts ONNX Runtime into vendor/ort");
    let finder = OnnxPlateFinder::open(&workspace.join("models/plates.toml"), Provider::Cpu).expect("a plate finder");
    let reader = OnnxPlateReader::open(&workspace.join("models/plate-reader.toml"), Provider::Cpu).expect("a plate reader");
    let mut eye = PlateEye::new(Box::new(finder), Box::new(reader));
    let labels = std::fs::read_to_string(data.join("labels.csv")).expect("labels beside the photos");
    let mut texts: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in labels.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        texts.entry(fields[0]).or_default().push(fields[5]);
    }
    let mut photos: Vec<_> = texts.into_iter().filter(|(_, texts)| texts.len() == 1 && !texts[0].is_empty()).collect();
    photos.sort();
    let (mut all, mut found, mut exact) = (0, 0, 0);
    for (photo, texts) in photos.into_iter().step_by(17) {
        let jpeg = std::fs::read(data.join("images").join(photo)).expect("a readable photo");
        let Ok(image) = turbojpeg::decompress(&jpeg, PixelFormat::RGB) else { continue };
        let size = (image.width as u32, image.height as u32);
        let pixels = Pixels { samples: &image.pixels, size, scale: (1.0, 1.0) };
        let shot = eye.look(&PlateConfig::default(), &pixels, size, None, None).expect("the models run");
        all += 1;
        found += usize::from(shot.is_some());
        let text = shot.and_then(|shot| shot.spelling.candidates.into_iter().next()).map(|candidate| candidate.text);
        let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        exact += usize::from(text.is_some_and(|text| plain(&text) == plain(texts[0])));
    }
    eprintln!("{found} of {all} plates found, {exact} read exactly");
    assert!(all > 20, "too few photos: {all}");
    // A wrong letterbox, channel order or warp finds or reads next to nothing.
    assert!(found * 10 >= all * 8, "{found} of {all} found");
    assert!(exact * 10 >= all * 4, "{exact} of {all} read");
}
