//! Invented Vietnamese licence plates (series 75, Huế) with a valid grammar, in a letter of our own.
//!
//! Invariant: every plate is well formed after TT 79/2024/TT-BCA; the numbers are drawn by chance and stand for nobody.

use super::canvas::{Canvas, Color};
use crate::dice::Dice;

/// The letters of car series: never I, J, O, Q, W, nor R.
const SERIES: &[u8] = b"ABCDEFGHKLMNPSTUVXYZ";
/// The second letter of newer motorbike series.
const SECOND: &[u8] = b"ABCDEFHKLMNPRSTUVXYZ";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plate {
    /// One line, or two from top to bottom.
    pub(super) lines: Vec<String>,
    ground: Color,
}

const WHITE: Color = [236, 236, 232];
/// Commercial transport.
const YELLOW: Color = [238, 190, 40];
const INK: Color = [22, 22, 24];

impl Plate {
    /// `75A-123.45` for cars, in two lines on buses and trucks, yellow for commercial vehicles.
    pub(super) fn car(dice: &mut Dice, two_lines: bool, commercial: bool) -> Self {
        let series = format!("75{}", char::from(*dice.pick(SERIES)));
        let number = number(dice);
        let lines = if two_lines { vec![series, number] } else { vec![format!("{series}-{number}")] };
        Self { lines, ground: if commercial { YELLOW } else { WHITE } }
    }

    /// `75-B1` or, since August 2023, `75-AB`, over `123.45`.
    pub(super) fn motorbike(dice: &mut Dice) -> Self {
        let first = char::from(*dice.pick(SERIES));
        let second = if dice.chance(0.6) { char::from(b'1' + dice.below(9) as u8) } else { char::from(*dice.pick(SECOND)) };
        Self { lines: vec![format!("75-{first}{second}"), number(dice)], ground: WHITE }
    }

    /// Paints it with its middle at `x`, its upper edge at `y`, `width` wide (fractions of the picture).
    pub(super) fn paint(&self, canvas: &mut Canvas, x: f64, y: f64, width: f64) {
        let two = self.lines.len() == 2;
        // 520 × 110 mm in one line, 330 × 165 mm in two.
        let height = width / if two { 2.0 } else { 4.73 } / canvas.aspect();
        let edge = width * 0.015;
        canvas.rect(x - width / 2.0, y, x + width / 2.0, y + height, INK);
        canvas.rect(
            x - width / 2.0 + edge,
            y + edge / canvas.aspect(),
            x + width / 2.0 - edge,
            y + height - edge / canvas.aspect(),
            self.ground,
        );
        let line_height = height / self.lines.len() as f64;
        for (i, line) in self.lines.iter().enumerate() {
            let top = y + line_height * (i as f64 + 0.12);
            text(canvas, line, x, top, width * 0.9, line_height * 0.76);
        }
    }
}

/// 000.01 to 999.99.
fn number(dice: &mut Dice) -> String {
    let n = 1 + dice.below(99_999);
    format!("{:03}.{:02}", n / 100, n % 100)
}

/// Writes `line` centred on `x` within `width` × `height`.
fn text(canvas: &mut Canvas, line: &str, x: f64, top: f64, width: f64, height: f64) {
    // A letter is five dots wide and one apart; points and dashes take half.
    let advance = |letter: char| if matches!(letter, '.' | '-') { 3.0 } else { 6.0 };
    let dots: f64 = line.chars().map(advance).sum::<f64>() - 1.0;
    let (dot, tall) = (width / dots, height / 7.0);
    let mut left = x - width / 2.0;
    for letter in line.chars() {
        // Points and dashes live in the first three columns.
        for (row, bits) in glyph(letter).into_iter().enumerate() {
            for column in 0..5u8 {
                if bits >> (4 - column) & 1 == 1 {
                    let (x0, y0) = (left + f64::from(column) * dot, top + row as f64 * tall);
                    canvas.rect(x0, y0, x0 + dot, y0 + tall, INK);
                }
            }
        }
        left += advance(letter) * dot;
    }
}

/// Seven rows of five dots.
fn glyph(letter: char) -> [u8; 7] {
    match letter {
        '0' => [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
        '1' => [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
        '2' => [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
        '3' => [0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110],
        '4' => [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
        '5' => [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
        '6' => [0b01110, 0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
        '7' => [0b11111, 0b00001, 0b00010, 0b00010, 0b00100, 0b00100, 0b00100],
        '8' => [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
        '9' => [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00001, 0b01110],
        'A' => [0b00100, 0b01010, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001],
        'B' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110],
        'C' => [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110],
        'D' => [0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110],
        'E' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
        'F' => [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000],
        'G' => [0b01110, 0b10001, 0b10000, 0b10111, 0b10001, 0b10001, 0b01110],
        'H' => [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'K' => [0b10001, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010, 0b10001],
        'L' => [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
        'M' => [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001],
        'N' => [0b10001, 0b11001, 0b11001, 0b10101, 0b10011, 0b10011, 0b10001],
        'P' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
        'R' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
        'S' => [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110],
        'T' => [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
        'U' => [0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
        'V' => [0b10001, 0b10001, 0b10001, 0b10001, 0b01010, 0b01010, 0b00100],
        'X' => [0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001],
        'Y' => [0b10001, 0b10001, 0b01010, 0b00100, 0b00100, 0b00100, 0b00100],
        'Z' => [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b10000, 0b11111],
        '-' => [0, 0, 0, 0b11000, 0, 0, 0],
        '.' => [0, 0, 0, 0, 0, 0b01000, 0b01000],
        _ => [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DDL-DDD.DD`, `DDL` over `DDD.DD`, `DD-LL` or `DD-LD` over `DDD.DD`.
    fn well_formed(plate: &Plate) -> bool {
        let shape: String = plate
            .lines
            .join("/")
            .chars()
            .map(|c| {
                if c.is_ascii_digit() {
                    'D'
                } else if c.is_ascii_uppercase() {
                    'L'
                } else {
                    c
                }
            })
            .collect();
        let letters = plate.lines[0].bytes().filter(u8::is_ascii_uppercase);
        ["DDL-DDD.DD", "DDL/DDD.DD", "DD-LL/DDD.DD", "DD-LD/DDD.DD"].contains(&shape.as_str())
            && !plate.lines.concat().contains("000.00")
            && letters.enumerate().all(|(i, letter)| if i == 0 { SERIES.contains(&letter) } else { SECOND.contains(&letter) })
    }

    #[test]
    fn plates_are_well_formed_and_every_letter_has_a_shape() {
        for i in 0..3000 {
            let mut dice = Dice::new(1, "plate", i);
            for plate in [Plate::car(&mut dice, i % 2 == 0, i % 3 == 0), Plate::motorbike(&mut dice)] {
                assert!(well_formed(&plate), "{plate:?}");
                assert!(plate.lines.concat().chars().all(|letter| glyph(letter) != [0; 7]), "{plate:?}");
            }
        }
    }
}
