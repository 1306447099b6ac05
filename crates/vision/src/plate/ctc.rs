//! The text of a plate out of character probabilities, held to the grammar.
//!
//! Invariant: every candidate is well-formed; the raw text is what the model alone would have said and may be anything.
//! Probabilities are natural logarithms, of the whole text: the sum over all ways to spell it (Graves et al., "Connectionist
//! Temporal Classification", 2006).

use std::collections::HashMap;

use super::grammar::{Beginning, Kinds, LONGEST};
use crate::{Ctc, DetectError};

/// A well-formed text that a picture may show.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub text: String,
    pub log_p: f32,
    pub kinds: Kinds,
}

/// What one picture of a plate says.
#[derive(Clone, Debug, PartialEq)]
pub struct Spelling {
    pub raw: String,
    pub raw_log_p: f32,
    /// Per character of `raw`, 0 to 1.
    pub raw_characters: Vec<f32>,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// What cannot be: below any probability that matters, and safe to add up.
pub(crate) const NEVER: f32 = -1e4;

fn log(p: f32) -> f32 {
    if p > 0.0 { p.ln().max(NEVER) } else { NEVER }
}

fn add(a: f32, b: f32) -> f32 {
    let (most, least) = (a.max(b), a.min(b));
    most + (least - most).exp().ln_1p()
}

/// A beginning in the beam: by whether its last step was the blank.
#[derive(Clone, Copy, Debug)]
struct Weight {
    at: Beginning,
    blank: f32,
    letter: f32,
}

/// The best well-formed texts of `allowed` kinds, at most `keep`, found in a beam of `width` beginnings, and the raw text.
/// `alphabet` names the columns of `ctc` but the first.
///
/// # Errors
/// When the columns are not as many as the alphabet says.
pub fn spell(ctc: &Ctc, alphabet: &[u8], allowed: Kinds, width: usize, keep: usize) -> Result<Spelling, DetectError> {
    if ctc.columns() != alphabet.len() + 1 {
        return Err(DetectError::Shape { found: format!("{} columns", ctc.columns()), expected: format!("{}", alphabet.len() + 1) });
    }
    let start = Weight { at: Beginning::of(allowed), blank: 0.0, letter: NEVER };
    let mut beam: Vec<(Vec<u8>, Weight)> = vec![(Vec::new(), start)];
    for step in ctc.steps() {
        let mut next: HashMap<Vec<u8>, Weight> = HashMap::new();
        let mut gain = |text: Vec<u8>, at: Beginning, blank: f32, letter: f32| {
            let weight = next.entry(text).or_insert(Weight { at, blank: NEVER, letter: NEVER });
            (weight.blank, weight.letter) = (add(weight.blank, blank), add(weight.letter, letter));
        };
        for (text, Weight { at, blank, letter }) in &beam {
            let total = add(*blank, *letter);
            gain(text.clone(), *at, total + log(step[0]), NEVER);
            for (&character, &p) in alphabet.iter().zip(&step[1..]).filter(|(_, p)| **p > 1e-6) {
                let p = log(p);
                // The same character again without a blank between is the same one, longer.
                let repeated = text.last() == Some(&character);
                if repeated {
                    gain(text.clone(), *at, NEVER, letter + p);
                }
                if text.len() < LONGEST
                    && let Some(then) = at.then(character)
                {
                    let longer = text.iter().copied().chain([character]).collect();
                    gain(longer, then, NEVER, if repeated { *blank } else { total } + p);
                }
            }
        }
        beam = next.into_iter().collect();
        let total = |(_, w): &(Vec<u8>, Weight)| add(w.blank, w.letter);
        // By text where equal, so that the order of a hash map decides nothing.
        beam.sort_by(|a, b| total(b).total_cmp(&total(a)).then_with(|| a.0.cmp(&b.0)));
        beam.truncate(width);
    }
    let ended = beam.into_iter().filter(|(_, weight)| !weight.at.kinds().is_empty());
    let candidates = ended.take(keep).map(|(text, weight)| Candidate {
        log_p: likelihood(ctc, alphabet, &text),
        kinds: weight.at.kinds(),
        text: String::from_utf8_lossy(&text).into_owned(),
    });
    let mut candidates: Vec<Candidate> = candidates.collect();
    candidates.sort_by(|a, b| b.log_p.total_cmp(&a.log_p).then_with(|| a.text.cmp(&b.text)));
    let (raw, raw_characters) = greedy(ctc, alphabet);
    Ok(Spelling { raw_log_p: likelihood(ctc, alphabet, raw.as_bytes()), raw, raw_characters, candidates })
}

/// The likeliest character of each step, repeats and blanks taken out; each with the best probability among its steps.
fn greedy(ctc: &Ctc, alphabet: &[u8]) -> (String, Vec<f32>) {
    let (mut text, mut characters, mut last) = (String::new(), Vec::new(), 0);
    for step in ctc.steps() {
        let Some((best, &p)) = step.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0))) else { continue };
        if best != 0 && best != last {
            text.push(char::from(alphabet[best - 1]));
            characters.push(p);
        } else if best != 0
            && let Some(sure) = characters.last_mut()
        {
            *sure = p.max(*sure);
        }
        last = best;
    }
    (text, characters)
}

/// The columns of a text with a blank before, between and behind; `None` for a character that the model does not know.
fn columns(alphabet: &[u8], text: &[u8]) -> Option<Vec<usize>> {
    let mut columns = vec![0];
    for character in text {
        columns.extend([1 + alphabet.iter().position(|known| known == character)?, 0]);
    }
    Some(columns)
}

/// The logarithm of the probability that the picture says exactly `text`.
pub fn likelihood(ctc: &Ctc, alphabet: &[u8], text: &[u8]) -> f32 {
    walk(ctc, alphabet, text, add).map_or(NEVER, |(log_p, _)| log_p)
}

/// How sure each character of `text` is, 0 to 1: its best step on the likeliest way to spell it.
pub fn characters(ctc: &Ctc, alphabet: &[u8], text: &str) -> Vec<f32> {
    let best = |a: f32, b: f32| a.max(b);
    let (Some((_, rows)), Some(columns)) = (walk(ctc, alphabet, text.as_bytes(), best), columns(alphabet, text.as_bytes())) else {
        return vec![0.0; text.len()];
    };
    let mut sure = vec![0.0f32; text.len()];
    let steps: Vec<&[f32]> = ctc.steps().collect();
    // Back along the best way: from the last place to where it came from, the place with the highest weight one step before.
    let mut place = columns.len() - 1;
    if let Some(last) = rows.last()
        && place > 0
        && last[place - 1] > last[place]
    {
        place -= 1;
    }
    for t in (0..steps.len()).rev() {
        if place % 2 == 1 {
            sure[place / 2] = sure[place / 2].max(steps[t][columns[place]]);
        }
        if t > 0 {
            place = (0..=2.min(place))
                .map(|back| place - back)
                .filter(|&from| may_follow(&columns, from, place))
                .fold(place, |best, from| if rows[t - 1][from] > rows[t - 1][best] { from } else { best });
        }
    }
    sure
}

/// Whether the next step after place `from` may be `to`: the same, the next, or over a blank to another character.
fn may_follow(columns: &[usize], from: usize, to: usize) -> bool {
    to - from < 2 || (to % 2 == 1 && columns[to] != columns[from])
}

/// Weights of all places of the text at each step, `join`ing ways by sum or maximum; and that of the whole.
fn walk(ctc: &Ctc, alphabet: &[u8], text: &[u8], join: impl Fn(f32, f32) -> f32) -> Option<(f32, Vec<Vec<f32>>)> {
    let columns = columns(alphabet, text)?;
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for step in ctc.steps() {
        let row = (0..columns.len()).map(|to| {
            let came = match rows.last() {
                None => {
                    if to < 2 {
                        0.0
                    } else {
                        NEVER
                    }
                }
                Some(row) => {
                    let ways = (to.saturating_sub(2)..=to).filter(|&from| may_follow(&columns, from, to));
                    ways.map(|from| row[from]).reduce(&join).unwrap_or(NEVER)
                }
            };
            (came + log(step[columns[to]])).max(NEVER)
        });
        let row = row.collect();
        rows.push(row);
    }
    let last = rows.last()?;
    let end = last[columns.len() - 1];
    let log_p = if columns.len() > 1 { join(end, last[columns.len() - 2]) } else { end };
    Some((log_p, rows))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plate::grammar::{kinds, tests::well_formed};

    pub(crate) const ALPHABET: &[u8] = b"0123456789ABCDEFGHKLMNPRSTUVXYZ";

    /// A reader's answer: per character a step (the character with `p`, its rival with the rest) and a blank.
    pub(crate) fn answer(characters: &[(char, char, f32)]) -> Ctc {
        let columns = ALPHABET.len() + 1;
        let column = |c: char| 1 + ALPHABET.iter().position(|known| char::from(*known) == c).expect("a character of the alphabet");
        let mut rows = Vec::new();
        for &(character, rival, p) in characters {
            let mut row = vec![0.0; columns];
            row[column(rival)] += 1.0 - p;
            row[column(character)] += p;
            rows.push(row);
            let mut blank = vec![0.0; columns];
            blank[0] = 1.0;
            rows.push(blank);
        }
        Ctc::new(rows.concat(), columns).expect("probabilities")
    }

    fn sure(text: &str) -> Ctc {
        answer(&text.chars().map(|c| (c, if c == '8' { 'B' } else { '8' }, 0.95)).collect::<Vec<_>>())
    }

    fn spelled(ctc: &Ctc, allowed: Kinds) -> Spelling {
        spell(ctc, ALPHABET, allowed, 16, 5).expect("the columns are the alphabet's")
    }

    #[test]
    fn the_grammar_decides_between_what_looks_alike_and_the_raw_text_is_kept() {
        // The third place looks like an 8 rather than a B, and must be a letter.
        let mut characters: Vec<(char, char, f32)> = "75812345".chars().map(|c| (c, 'A', 0.98)).collect();
        characters[2] = ('8', 'B', 0.7);
        let ctc = answer(&characters);
        let spelling = spelled(&ctc, Kinds::ALL);
        assert_eq!(spelling.raw, "75812345");
        let best = &spelling.candidates[0];
        assert_eq!(best.text, "75B12345");
        assert!(best.log_p < spelling.raw_log_p);
        let sure = super::characters(&ctc, ALPHABET, &best.text);
        assert!((sure[2] - 0.3).abs() < 1e-3 && sure[0] > 0.97, "{sure:?}");
        assert!((spelling.raw_characters[2] - 0.7).abs() < 1e-3);
        // Of one kind only, what the model says alone would have been right.
        assert!(spelled(&sure_diplomatic(), Kinds::of(&[crate::plate::Kind::Car5])).candidates.is_empty());
    }

    fn sure_diplomatic() -> Ctc {
        sure("80011NG01")
    }

    #[test]
    fn doubled_characters_need_a_blank_and_odds_add_up() {
        let ctc = sure("75A11111");
        let spelling = spelled(&ctc, Kinds::ALL);
        assert_eq!((spelling.raw.as_str(), spelling.candidates[0].text.as_str()), ("75A11111", "75A11111"));
        // Two steps, each half A half blank: "A" by three ways of four, "" by one; "AA" cannot be, for want of a blank between.
        let ctc = Ctc::new(vec![0.5, 0.5, 0.5, 0.5], 2).expect("probabilities");
        for (text, expected) in [("A", 0.75f32), ("", 0.25)] {
            assert!((likelihood(&ctc, b"A", text.as_bytes()) - expected.ln()).abs() < 1e-5, "{text}");
        }
        assert!(likelihood(&ctc, b"A", b"AA") <= NEVER / 2.0 && likelihood(&ctc, b"A", b"B") <= NEVER);
        assert!(spell(&ctc, b"AB", Kinds::ALL, 4, 1).is_err(), "another alphabet than the model's");
    }

    #[test]
    fn what_is_no_probability_is_an_error() {
        assert!(matches!(Ctc::new(vec![0.5, f32::NAN, 0.5, 0.5], 2), Err(DetectError::NotANumber { row: 0 })));
        assert!(Ctc::new(vec![0.5; 5], 2).is_err() && Ctc::new(vec![2.0; 4], 2).is_err() && Ctc::new(Vec::new(), 1).is_err());
        let empty = Ctc::new(Vec::new(), ALPHABET.len() + 1).expect("no steps at all");
        assert_eq!(spelled(&empty, Kinds::ALL).candidates, Vec::new());
    }

    proptest! {
        #[test]
        fn a_sure_picture_of_any_plate_is_read((_, text) in well_formed()) {
            prop_assume!(text.bytes().all(|b| ALPHABET.contains(&b)));
            let spelling = spelled(&sure(&text), Kinds::ALL);
            prop_assert_eq!(&spelling.raw, &text);
            prop_assert_eq!(&spelling.candidates[0].text, &text);
        }

        #[test]
        fn whatever_a_model_says_every_candidate_is_well_formed(
            values in prop::collection::vec(prop_oneof![3 => Just(0.0f32), 1 => 0.0f32..1.0], 32 * 20),
        ) {
            let rows: Vec<f32> = values.chunks(32).flat_map(|row| {
                let sum: f32 = row.iter().sum::<f32>().max(1e-3);
                row.iter().map(move |p| (p / sum).min(1.0)).collect::<Vec<_>>()
            }).collect();
            let spelling = spelled(&Ctc::new(rows, 32).expect("probabilities"), Kinds::ALL);
            for candidate in &spelling.candidates {
                prop_assert!(!kinds(&candidate.text).is_empty() && candidate.kinds == kinds(&candidate.text), "{candidate:?}");
                prop_assert!(candidate.log_p <= 1e-3);
            }
            prop_assert!(spelling.candidates.windows(2).all(|pair| pair[0].log_p >= pair[1].log_p));
        }
    }
}
