//! What a Vietnamese number plate can say: TT 79/2024/TT-BCA with its amendments up to TT 51/2025, and TT 169/2021/TT-BQP.
//!
//! Invariant: a text is well-formed exactly when [`kinds`] is not empty; while a plate's layout and vehicle are unknown its kind is a
//! set, because `75A12345` may be a car's or an older motorbike's.

use std::sync::LazyLock;

use huong_types::Name;

/// The kinds of plates, each a bit of [`Kinds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `75A12345`
    Car5,
    /// `75A1234`, before 2010.
    Car4Old,
    /// `80A12345`: state bodies; told from [`Kind::Car5`] by its blue ground.
    StateBlue,
    /// `75AB12345`, from 15 August 2023.
    MotoNew,
    /// `75B112345`
    MotoOld,
    /// `75LD00123`: series of two letters or R, T.
    Special,
    /// `80011NG01`
    Diplomatic,
    /// `TM1234`, red ground.
    Army,
}

impl Kind {
    pub const ALL: [Kind; 8] =
        [Kind::Car5, Kind::Car4Old, Kind::StateBlue, Kind::MotoNew, Kind::MotoOld, Kind::Special, Kind::Diplomatic, Kind::Army];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Car5 => "car5",
            Kind::Car4Old => "car4_old",
            Kind::StateBlue => "state_blue",
            Kind::MotoNew => "moto_new",
            Kind::MotoOld => "moto_old",
            Kind::Special => "special",
            Kind::Diplomatic => "diplomatic",
            Kind::Army => "army",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    pub const ALL: Kinds = Kinds(u8::MAX);

    pub fn of(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u8))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    pub fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    pub fn names(self) -> Vec<Name> {
        self.iter().map(|kind| Name::new(kind.as_str())).collect()
    }

    /// What a vehicle of that label can carry, on a plate of so many lines; `None`: not known.
    pub fn of_vehicle(label: Option<&str>, two_lines: Option<bool>) -> Kinds {
        use Kind::{Army, Car4Old, Car5, Diplomatic, MotoNew, MotoOld, Special, StateBlue};
        let by_label = match label {
            Some("motorbike") => Kinds::of(&[MotoNew, MotoOld, Special, Diplomatic, Army]),
            Some("car" | "bus" | "truck") => Kinds::of(&[Car5, Car4Old, StateBlue, Special, Diplomatic, Army]),
            _ => Kinds::ALL,
        };
        // Motorbikes have two lines always; cars carry both.
        let by_lines = match two_lines {
            Some(false) => Kinds::of(&[Car5, Car4Old, StateBlue, Special, Diplomatic, Army]),
            _ => Kinds::ALL,
        };
        by_label.and(by_lines)
    }
}

/// L of the regulation: no I, J, O, Q, W; R is a series of its own.
const LETTERS: &[u8] = b"ABCDEFGHKLMNPSTUVXYZ";
/// The second letter of new motorbike plates: R, but no G.
const SECOND: &[u8] = b"ABCDEFHKLMNPRSTUVXYZ";
const BLUE: &[u8] = b"ABCDEFGHKLM";
const DIGITS: &[u8] = b"0123456789";
const NOT_ZERO: &[u8] = b"123456789";
const ANY_LETTER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// R, RM trailers; LD foreign-invested; DA projects; KT military business; MK tractors; CD special use; HC restricted; T temporary;
/// TD pilot assembly; MD electric motorbikes.
const SERIES: [&[u8]; 11] = [b"CD", b"RM", b"MK", b"HC", b"KT", b"LD", b"DA", b"TD", b"MD", b"R", b"T"];
const MISSIONS: [&[u8]; 4] = [b"NG", b"QT", b"CV", b"NN"];

/// One form: the characters allowed at each position.
#[derive(Debug)]
struct Form {
    kind: Kind,
    places: Vec<Vec<u8>>,
    /// Whether the first two digits are a province's code.
    local: bool,
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let mut forms = Vec::new();
    let mut add = |kind: Kind, parts: &[&[u8]], digits: std::ops::RangeInclusive<usize>| {
        for digits in digits {
            let local = kind != Kind::Army;
            let code = if local { vec![DIGITS; 2] } else { Vec::new() };
            let all = code.into_iter().chain(parts.iter().copied()).chain(std::iter::repeat_n(DIGITS, digits));
            forms.push(Form { kind, places: all.map(<[u8]>::to_vec).collect(), local });
        }
    };
    add(Kind::Car5, &[LETTERS], 5..=5);
    add(Kind::Car4Old, &[LETTERS], 4..=4);
    add(Kind::StateBlue, &[BLUE], 5..=5);
    add(Kind::MotoNew, &[LETTERS, SECOND], 4..=5);
    add(Kind::MotoOld, &[LETTERS, NOT_ZERO], 4..=5);
    for series in SERIES {
        // A digit of the series may stand before the number: 4, 5 or 6 digits in all.
        add(Kind::Special, &series.chunks(1).collect::<Vec<_>>(), 4..=6);
    }
    for mission in MISSIONS {
        let parts: Vec<&[u8]> = [DIGITS; 3].into_iter().chain(mission.chunks(1)).collect();
        add(Kind::Diplomatic, &parts, 2..=3);
    }
    add(Kind::Army, &[ANY_LETTER, ANY_LETTER], 4..=6);
    forms
});

/// The longest plate.
pub const LONGEST: usize = 10;

/// The 81 codes of provinces and of the traffic police's department (80): 11 to 99 without 13, 42, 44, 45, 46, 87, 91, 96.
pub fn is_code(code: u8) -> bool {
    (11..=99).contains(&code) && !matches!(code, 13 | 42 | 44 | 45 | 46 | 87 | 91 | 96)
}

/// The forms that a beginning may still become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// One bit per form.
    forms: u64,
    length: usize,
    /// The first character, while it is the first digit of a code.
    first: u8,
}

impl Beginning {
    /// Of an empty text that is to become one of `kinds`.
    pub(crate) fn of(kinds: Kinds) -> Self {
        let bit = |(i, form): (usize, &Form)| if kinds.contains(form.kind) { 1 << i } else { 0 };
        Self { forms: FORMS.iter().enumerate().map(bit).sum(), length: 0, first: 0 }
    }

    /// With one more character; `None` when nothing begins so.
    pub(crate) fn then(self, character: u8) -> Option<Self> {
        let code = || self.first.is_ascii_digit() && character.is_ascii_digit() && is_code((self.first - b'0') * 10 + (character - b'0'));
        let fits = |form: &Form| {
            form.places.get(self.length).is_some_and(|place| place.contains(&character)) && (!form.local || self.length != 1 || code())
        };
        let bit = |(i, form): (usize, &Form)| if self.forms & 1 << i != 0 && fits(form) { 1 << i } else { 0 };
        let forms = FORMS.iter().enumerate().map(bit).sum();
        let first = if self.length == 0 { character } else { self.first };
        (forms != 0).then_some(Self { forms, length: self.length + 1, first })
    }

    /// What it is if it ends here.
    pub(crate) fn kinds(self) -> Kinds {
        let ends = FORMS.iter().enumerate().filter(|(i, form)| self.forms & 1 << i != 0 && form.places.len() == self.length);
        Kinds(ends.fold(0, |bits, (_, form)| bits | 1 << form.kind as u8))
    }
}

/// The kinds of plates that carry exactly this text (normalised); empty: none.
pub fn kinds(text: &str) -> Kinds {
    text.bytes().try_fold(Beginning::of(Kinds::ALL), Beginning::then).map_or(Kinds::default(), Beginning::kinds)
}

/// Capital letters and digits alone, Đ as D; lines in the order they are given. Of any text: what is no plate stays none.
pub fn normalise(text: &str) -> String {
    let plain = |c: char| match c {
        'Đ' | 'đ' => Some('D'),
        c if c.is_ascii_alphanumeric() => Some(c.to_ascii_uppercase()),
        _ => None,
    };
    text.chars().filter_map(plain).collect()
}

/// A text put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub text: String,
    /// Position, what stood there, what stands there now.
    pub changes: Vec<(usize, char, char)>,
    pub kinds: Kinds,
}

/// What optical readers take for a digit, and the digit.
const AS_DIGIT: [(u8, u8); 17] = [
    (b'O', b'0'),
    (b'D', b'0'),
    (b'Q', b'0'),
    (b'I', b'1'),
    (b'L', b'1'),
    (b'J', b'1'),
    (b'Z', b'2'),
    (b'A', b'4'),
    (b'S', b'5'),
    (b'G', b'6'),
    (b'C', b'6'),
    (b'B', b'8'),
    (b'T', b'7'),
    (b'Y', b'7'),
    (b'U', b'0'),
    (b'P', b'9'),
    (b'R', b'9'),
];
/// What they take for a letter, and the letter.
const AS_LETTER: [(u8, u8); 9] =
    [(b'0', b'D'), (b'1', b'L'), (b'2', b'Z'), (b'4', b'A'), (b'5', b'S'), (b'6', b'G'), (b'8', b'B'), (b'7', b'T'), (b'9', b'P')];

/// Puts right the confusions of a text (normalised) by others' readers, by position: `DDLDDDDD`, `DDLDDDD`, and for motorbikes
/// `DDL?DDDD(D)`, whose fourth place is never touched since both a letter and a digit may stand there. `None` when it is not a plate
/// then either, or might be two different ones.
pub fn repair(text: &str, allowed: Kinds) -> Option<Repair> {
    let now = kinds(text).and(allowed);
    if !now.is_empty() {
        return Some(Repair { text: text.to_owned(), changes: Vec::new(), kinds: now });
    }
    let bytes = text.as_bytes();
    if !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let cars = Kinds::of(&[Kind::Car5, Kind::Car4Old, Kind::StateBlue]);
    let motorbikes = Kinds::of(&[Kind::MotoNew, Kind::MotoOld]);
    let masks: [(&[u8], Kinds); 4] = [(b"DDLDDDDD", cars), (b"DDLDDDD", cars), (b"DDL?DDDDD", motorbikes), (b"DDL?DDDD", motorbikes)];
    let mut found: Vec<Repair> = Vec::new();
    for (mask, of) in masks.into_iter().filter(|(mask, _)| mask.len() == bytes.len()) {
        let mended: Option<Vec<u8>> = bytes.iter().zip(mask).map(|(&is, wanted)| mend(is, *wanted)).collect();
        let Some(mended) = mended.map(|mended| String::from_utf8_lossy(&mended).into_owned()) else { continue };
        let kinds = kinds(&mended).and(allowed).and(of);
        if kinds.is_empty() || found.iter().any(|repair| repair.text == mended) {
            continue;
        }
        let changes = text.chars().zip(mended.chars()).enumerate().filter(|(_, (was, is))| was != is);
        let changes: Vec<(usize, char, char)> = changes.map(|(at, (was, is))| (at, was, is)).collect();
        let may_be_motorbike = !allowed.and(motorbikes).is_empty();
        if !(may_be_motorbike && changes.iter().any(|(at, ..)| *at == 3)) {
            found.push(Repair { changes, text: mended, kinds });
        }
    }
    (found.len() == 1).then(|| found.remove(0))
}

fn mend(is: u8, wanted: u8) -> Option<u8> {
    let by = |table: &[(u8, u8)]| table.iter().find(|(from, _)| *from == is).map(|(_, to)| *to);
    match wanted {
        b'D' if !is.is_ascii_digit() => by(&AS_DIGIT),
        b'L' if is.is_ascii_digit() => by(&AS_LETTER),
        _ => Some(is),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any well-formed text with the kind it was made as.
    pub(crate) fn well_formed() -> impl Strategy<Value = (Kind, String)> {
        (any::<prop::sample::Index>(), prop::collection::vec(any::<prop::sample::Index>(), LONGEST)).prop_map(|(form, picks)| {
            let form = &FORMS[form.index(FORMS.len())];
            let codes: Vec<String> = (11..=99).filter(|&code| is_code(code)).map(|code| code.to_string()).collect();
            let mut text = if form.local { codes[picks[0].index(codes.len())].clone() } else { String::new() };
            for (place, pick) in form.places.iter().zip(&picks).skip(text.len()) {
                text.push(char::from(*pick.get(place)));
            }
            (form.kind, text)
        })
    }

    fn of(text: &str) -> Vec<&'static str> {
        kinds(text).iter().map(Kind::as_str).collect()
    }

    #[test]
    fn the_kinds_of_the_regulation() {
        assert_eq!(FORMS.len(), 51, "one bit per form: no more than 64");
        assert_eq!((11..=99).filter(|&code| is_code(code)).count(), 81);
        let cases: [(&str, &[&str]); 22] = [
            ("75A12345", &["car5", "state_blue", "moto_old"]),
            ("75N12345", &["car5", "moto_old"]),
            ("75A02345", &["car5", "state_blue"]),
            ("75A1234", &["car4_old"]),
            ("75B11234", &["car5", "state_blue", "moto_old"]),
            ("75AB12345", &["moto_new"]),
            ("75B112345", &["moto_old"]),
            ("75LD00123", &["moto_new", "special"]),
            ("75R01234", &["special"]),
            ("75MD112345", &["special"]),
            ("80011NG01", &["diplomatic"]),
            ("80011NG012", &["diplomatic"]),
            ("TM1234", &["army"]),
            ("75AR1234", &["moto_new"]),
            ("75AG1234", &[]), // no G in second place
            ("75O12345", &[]), // no O
            ("13A12345", &[]), // no such province
            ("10A12345", &[]),
            ("75A123", &[]),
            ("75A1234567", &[]),
            ("75B0123456", &[]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(of(text), expected, "{text}");
        }
        let car = kinds("75B11234").and(Kinds::of_vehicle(Some("car"), Some(true)));
        assert_eq!(car.names(), ["car5", "state_blue"].map(Name::new));
        let motorbike = kinds("75LD00123").and(Kinds::of_vehicle(Some("motorbike"), None));
        assert_eq!(motorbike.names(), ["moto_new", "special"].map(Name::new));
        assert!(!Kinds::of_vehicle(None, Some(false)).contains(Kind::MotoNew), "motorbikes have two lines");
    }

    #[test]
    fn confusions_are_put_right_by_position_and_recorded() {
        let repaired = |text: &str, allowed| repair(text, allowed).map(|repair| (repair.text, repair.changes));
        let car = Kinds::of_vehicle(Some("car"), None);
        assert_eq!(repaired("75A123S5", car), Some(("75A12355".to_owned(), vec![(6, 'S', '5')])));
        assert_eq!(repaired("7SA1234S", car), Some(("75A12345".to_owned(), vec![(1, 'S', '5'), (7, 'S', '5')])));
        assert_eq!(repaired("75812345", car), Some(("75B12345".to_owned(), vec![(2, '8', 'B')])));
        assert_eq!(repaired("75A12345", car), Some(("75A12345".to_owned(), vec![])));
        // A letter may stand fourth on a motorbike: of what might be B or 8 there, nothing is made.
        let motorbike = Kinds::of_vehicle(Some("motorbike"), None);
        assert_eq!(repaired("75ABI2345", motorbike), Some(("75AB12345".to_owned(), vec![(4, 'I', '1')])));
        assert_eq!(repaired("75AO1234", motorbike), None);
        assert_eq!(repaired("75AO1234", Kinds::ALL), None, "it may be a motorbike's");
        assert_eq!(repaired("75AO1234", car), Some(("75A01234".to_owned(), vec![(3, 'O', '0')])));
        assert_eq!(repaired("ĐÓN KHÁCH", Kinds::ALL), None);
        assert_eq!(repaired("13A123S5", car), None, "no such province, whatever the last digits are");
    }

    proptest! {
        #[test]
        fn every_well_formed_text_is_what_it_was_made_as((kind, text) in well_formed()) {
            prop_assert!(kinds(&text).contains(kind), "{text}");
            prop_assert_eq!(&normalise(&text), &text);
            let dressed = format!(" {}-{}.{} ", &text[..2].to_lowercase(), &text[2..4], &text[4..]).replace('D', "Đ");
            prop_assert_eq!(normalise(&dressed), text.clone());
            let repair = repair(&text, Kinds::ALL).expect("nothing to repair");
            prop_assert!(repair.changes.is_empty() && repair.text == text);
        }

        #[test]
        fn any_text_normalises_to_itself_or_less(text in "\\PC{0,40}") {
            let once = normalise(&text);
            prop_assert!(once.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
            prop_assert_eq!(&normalise(&once), &once);
            // Whatever comes: an answer, and never one outside the grammar, nor a fourth character changed on a motorbike.
            if let Some(repair) = repair(&once, Kinds::ALL) {
                prop_assert!(!kinds(&repair.text).is_empty());
                prop_assert!(repair.changes.iter().all(|(at, ..)| *at != 3), "it may be a motorbike's");
            }
        }

        #[test]
        fn any_bytes_of_a_plate_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = normalise(&String::from_utf8_lossy(&bytes));
            let of = kinds(&text);
            prop_assert!(of.is_empty() || (6..=LONGEST).contains(&text.len()));
        }
    }
}
