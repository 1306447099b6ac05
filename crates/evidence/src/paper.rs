//! Plain documents for people: a heading, lines, names with values. Vietnamese letters are in the font that is found.

use std::path::Path;

use crate::EvidenceError;
use crate::pdf::{Document, Font};

/// One piece of a document, from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Title(String),
    Heading(String),
    Text(String),
    Small(String),
    Field(String, String),
}

/// The document as a PDF, with `font` or the first that is installed.
///
/// # Errors
/// Without a font that has the letters of Vietnamese.
pub fn paper(title: &str, parts: &[Part], font: Option<&Path>) -> Result<Vec<u8>, EvidenceError> {
    let font = Font::load(font)?;
    let mut document = Document::new(&font)?;
    for part in parts {
        match part {
            Part::Title(text) => {
                document.text(15.0, text);
                document.space(4.0);
            }
            Part::Heading(text) => {
                document.space(8.0);
                document.text(11.5, text);
                document.space(2.0);
            }
            Part::Text(text) => document.text(9.5, text),
            Part::Small(text) => document.text(8.0, text),
            Part::Field(name, value) => document.field(name, value),
        }
    }
    document.finish(title)
}
