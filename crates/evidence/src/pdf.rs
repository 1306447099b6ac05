//! A PDF of texts and pictures: pages of A4, one embedded font, JPEGs as they are.
//!
//! Invariant: the same content gives the same bytes; letters are text that can be searched and copied, not pictures of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use huong_types::BoundingBox;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};
use subsetter::GlyphRemapper;
use ttf_parser::{Face, GlyphId};

use crate::EvidenceError;
use crate::error::Context;

/// Where Debian has fonts with Vietnamese letters: fonts-dejavu-core, fonts-liberation, fonts-noto-core.
pub const FONTS: [&str; 3] = [
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
];

/// Letters beyond ASCII that Vietnamese needs, in both cases.
const LETTERS: &str = "àáảãạăằắẳẵặâầấẩẫậđèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ";

/// A font file with all letters of Vietnamese.
#[derive(Debug)]
pub(crate) struct Font {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Font {
    /// `chosen`, or the first of [`FONTS`] that is there.
    pub(crate) fn load(chosen: Option<&Path>) -> Result<Font, EvidenceError> {
        let path = chosen.or_else(|| FONTS.iter().map(Path::new).find(|path| path.is_file()));
        let path = path.ok_or_else(|| EvidenceError::NoFont(FONTS.join(", ")))?;
        let font = Font { path: path.to_owned(), bytes: std::fs::read(path).during("read", path)? };
        let face = font.face()?;
        let needed = LETTERS.chars().chain(LETTERS.chars().flat_map(char::to_uppercase)).chain(' '..='~');
        let missing: String = needed.filter(|c| face.glyph_index(*c).is_none()).collect();
        if missing.is_empty() { Ok(font) } else { Err(font.unfit(format!("it has no {missing}"))) }
    }

    fn face(&self) -> Result<Face<'_>, EvidenceError> {
        Face::parse(&self.bytes, 0).map_err(|error| self.unfit(error.to_string()))
    }

    fn unfit(&self, why: String) -> EvidenceError {
        EvidenceError::Font { path: self.path.clone(), why }
    }
}

/// Points: A4 and its margins.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 48.0;
pub(crate) const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
/// Of a line, per point of its letters.
const LEADING: f32 = 1.35;

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const FONT: Ref = Ref::new(3);
const CID_FONT: Ref = Ref::new(4);
const DESCRIPTOR: Ref = Ref::new(5);
const FONT_FILE: Ref = Ref::new(6);
const CMAP: Ref = Ref::new(7);
const FIRST_FREE: i32 = 8;

/// A document in the making: everything is put below what was put before, on a new page when there is no room.
pub(crate) struct Document<'a> {
    font: &'a Font,
    face: Face<'a>,
    glyphs: GlyphRemapper,
    /// By glyph of the embedded font: what it stands for and its width in thousandths.
    letters: BTreeMap<u16, (char, f32)>,
    pages: Vec<Content>,
    /// Bytes, width, height, whether it is grey, page.
    pictures: Vec<(&'a [u8], usize, usize, bool, usize)>,
    /// From the bottom of the page.
    y: f32,
}

impl<'a> Document<'a> {
    pub(crate) fn new(font: &'a Font) -> Result<Document<'a>, EvidenceError> {
        let face = font.face()?;
        let mut document = Document {
            font,
            face,
            glyphs: GlyphRemapper::new(),
            letters: BTreeMap::new(),
            pages: Vec::new(),
            pictures: Vec::new(),
            y: 0.0,
        };
        document.turn();
        Ok(document)
    }

    /// A new page.
    pub(crate) fn turn(&mut self) {
        self.pages.push(Content::new());
        self.y = PAGE.1 - MARGIN;
    }

    /// Room of so many points on one page.
    fn need(&mut self, height: f32) {
        if self.y - height < MARGIN {
            self.turn();
        }
    }

    pub(crate) fn space(&mut self, height: f32) {
        self.y -= height;
    }

    /// A text over the whole width, broken between words.
    pub(crate) fn text(&mut self, size: f32, text: &str) {
        for line in self.lines(size, WIDTH, text) {
            self.need(size * LEADING);
            self.y -= size * LEADING;
            self.show(MARGIN, size, &line);
        }
    }

    /// A name in grey and a value beside it.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        const SIZE: f32 = 9.5;
        const COLUMN: f32 = 150.0;
        let lines = self.lines(SIZE, WIDTH - COLUMN, value);
        self.need(SIZE * LEADING * lines.len() as f32);
        for (i, line) in lines.iter().enumerate() {
            self.y -= SIZE * LEADING;
            if i == 0 {
                self.page().set_fill_gray(0.4);
                self.show(MARGIN, SIZE, name);
                self.page().set_fill_gray(0.0);
            }
            self.show(MARGIN + COLUMN, SIZE, line);
        }
        self.y -= 2.0;
    }

    /// A JPEG as it is, as large as fits in `height`, with a box drawn over it (not into it). Nothing when it is no picture.
    pub(crate) fn picture(&mut self, jpeg: &'a [u8], bbox: Option<&BoundingBox>, height: f32) {
        let Ok(header) = turbojpeg::read_header(jpeg) else { return };
        let scale = (WIDTH / header.width as f32).min(height / header.height as f32);
        let (width, height) = (header.width as f32 * scale, header.height as f32 * scale);
        self.need(height);
        self.y -= height;
        let (y, page) = (self.y, self.pages.len() - 1);
        let name = format!("P{}", self.pictures.len());
        let content = self.page();
        content.save_state().transform([width, 0.0, 0.0, height, MARGIN, y]).x_object(Name(name.as_bytes())).restore_state();
        if let Some(b) = bbox {
            content.set_stroke_rgb(0.9, 0.0, 0.0).set_line_width(1.0);
            content.rect(MARGIN + b.x * scale, y + height - (b.y + b.height) * scale, b.width * scale, b.height * scale).stroke();
        }
        let grey = matches!(header.colorspace, turbojpeg::Colorspace::Gray);
        self.pictures.push((jpeg, header.width, header.height, grey, page));
    }

    fn page(&mut self) -> &mut Content {
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }

    fn show(&mut self, x: f32, size: f32, text: &str) {
        let mut codes = Vec::with_capacity(2 * text.len());
        for letter in text.chars() {
            let glyph = self.face.glyph_index(letter).or_else(|| self.face.glyph_index('?')).unwrap_or(GlyphId(0));
            let code = self.glyphs.remap(glyph.0);
            let width = self.advance(letter);
            self.letters.entry(code).or_insert((letter, width));
            codes.extend(code.to_be_bytes());
        }
        let y = self.y;
        self.page().begin_text().set_font(Name(b"F"), size).next_line(x, y).show(Str(&codes)).end_text();
    }

    /// In thousandths of the size.
    fn advance(&self, letter: char) -> f32 {
        let glyph = self.face.glyph_index(letter).or_else(|| self.face.glyph_index('?')).unwrap_or(GlyphId(0));
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)) * 1000.0 / f32::from(self.face.units_per_em())
    }

    /// `text` broken between words, and within those that are too long, such as hashes.
    fn lines(&self, size: f32, width: f32, text: &str) -> Vec<String> {
        let room = width * 1000.0 / size;
        let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0);
        for word in text.split_whitespace() {
            let long: f32 = word.chars().map(|c| self.advance(c)).sum();
            let gap = if line.is_empty() { 0.0 } else { self.advance(' ') };
            if !line.is_empty() && used + gap + long > room {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            } else if !line.is_empty() {
                line.push(' ');
                used += gap;
            }
            for letter in word.chars() {
                let wide = self.advance(letter);
                if used + wide > room {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                line.push(letter);
                used += wide;
            }
        }
        lines.push(line);
        lines
    }

    pub(crate) fn finish(self, title: &str) -> Result<Vec<u8>, EvidenceError> {
        let (pages, pictures) = (self.pages.len() as i32, self.pictures.len() as i32);
        let page_ref = |i: usize| Ref::new(FIRST_FREE + i as i32);
        let content_ref = |i: usize| Ref::new(FIRST_FREE + pages + i as i32);
        let picture_ref = |i: usize| Ref::new(FIRST_FREE + 2 * pages + i as i32);
        let mut pdf = Pdf::new();
        pdf.catalog(CATALOG).pages(PAGES);
        pdf.document_info(Ref::new(FIRST_FREE + 2 * pages + pictures)).title(pdf_writer::TextStr(title)).finish();
        pdf.pages(PAGES).kids((0..self.pages.len()).map(page_ref)).count(pages);
        for (i, content) in self.pages.into_iter().enumerate() {
            let mut page = pdf.page(page_ref(i));
            page.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(PAGES).contents(content_ref(i));
            let mut resources = page.resources();
            resources.fonts().pair(Name(b"F"), FONT);
            let mut objects = resources.x_objects();
            for (n, _) in self.pictures.iter().enumerate().filter(|(_, picture)| picture.4 == i) {
                objects.pair(Name(format!("P{n}").as_bytes()), picture_ref(n));
            }
            objects.finish();
            resources.finish();
            page.finish();
            let packed = pack(&content.finish())?;
            pdf.stream(content_ref(i), &packed).filter(Filter::FlateDecode);
        }
        for (n, (jpeg, width, height, grey, _)) in self.pictures.iter().enumerate() {
            let mut picture = pdf.image_xobject(picture_ref(n), jpeg);
            picture.filter(Filter::DctDecode);
            picture.width(*width as i32).height(*height as i32).bits_per_component(8);
            if *grey {
                picture.color_space().device_gray()
            } else {
                picture.color_space().device_rgb()
            };
        }
        embed(&mut pdf, self.font, &self.face, &self.glyphs, &self.letters)?;
        Ok(pdf.finish())
    }
}

/// The letters that are used, as a font of their own.
fn embed(
    pdf: &mut Pdf,
    font: &Font,
    face: &Face<'_>,
    glyphs: &GlyphRemapper,
    letters: &BTreeMap<u16, (char, f32)>,
) -> Result<(), EvidenceError> {
    const BASE: Name<'static> = Name(b"HUONGA+Sheet");
    let system = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
    pdf.type0_font(FONT).base_font(BASE).encoding_predefined(Name(b"Identity-H")).descendant_font(CID_FONT).to_unicode(CMAP);
    let mut cid = pdf.cid_font(CID_FONT);
    cid.subtype(CidFontType::Type2).base_font(BASE).system_info(system).font_descriptor(DESCRIPTOR).default_width(0.0);
    cid.cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = cid.widths();
    for (code, (_, width)) in letters {
        widths.consecutive(*code, [*width]);
    }
    widths.finish();
    cid.finish();
    let thousandths = |value: i16| f32::from(value) * 1000.0 / f32::from(face.units_per_em());
    let bounds = face.global_bounding_box();
    let rect = Rect::new(thousandths(bounds.x_min), thousandths(bounds.y_min), thousandths(bounds.x_max), thousandths(bounds.y_max));
    pdf.font_descriptor(DESCRIPTOR)
        .name(BASE)
        .flags(FontFlags::SYMBOLIC)
        .bbox(rect)
        .italic_angle(0.0)
        .ascent(thousandths(face.ascender()))
        .descent(thousandths(face.descender()))
        .cap_height(thousandths(face.capital_height().unwrap_or_else(|| face.ascender())))
        // PDF asks for one; no viewer that draws the embedded font uses it.
        .stem_v(80.0)
        .font_file2(FONT_FILE);
    let part = subsetter::subset(&font.bytes, 0, glyphs).map_err(|error| font.unfit(error.to_string()))?;
    let packed = pack(&part)?;
    let mut file = pdf.stream(FONT_FILE, &packed);
    file.filter(Filter::FlateDecode);
    file.pair(Name(b"Length1"), part.len() as i32);
    file.finish();
    let mut cmap = UnicodeCmap::<u16>::new(Name(b"Sheet"), system);
    for (code, (letter, _)) in letters {
        cmap.pair(*code, *letter);
    }
    pdf.cmap(CMAP, &cmap.finish()).finish();
    Ok(())
}

fn pack(bytes: &[u8]) -> Result<Vec<u8>, EvidenceError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).during("pack", Path::new("a sheet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_font_is_told_what_to_install() {
        let error = Font::load(Some(Path::new("/nowhere.ttf"))).expect_err("no file").to_string();
        assert!(error.contains("/nowhere.ttf"), "{error}");
        let error = EvidenceError::NoFont(FONTS.join(", ")).to_string();
        assert!(error.contains("fonts-dejavu-core"), "{error}");
    }

    #[test]
    fn long_words_are_broken() {
        let font = Font::load(None).expect("the tests need a font (scripts/need)");
        let document = Document::new(&font).expect("a font");
        let hash = "f".repeat(200);
        let lines = document.lines(9.0, 200.0, &format!("SHA-256 {hash} Đường"));
        assert!(lines.len() > 3, "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), format!("SHA-256{hash}Đường"));
        for line in lines {
            assert!(line.chars().map(|c| document.advance(c)).sum::<f32>() * 9.0 / 1000.0 <= 200.0, "{line}");
        }
    }
}
