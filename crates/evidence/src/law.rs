//! `config/violations.toml`: which provision an act comes under, and how acts, vehicles and reasons are called.
//!
//! Invariant: no provision is known to the code; a record names the law with the version that the configuration had when it was kept.

use std::collections::BTreeMap;

use huong_types::{Act, Name, Problems, load_toml};
use serde::{Deserialize, Serialize};

/// The checked file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Laws {
    law: Vec<Law>,
    provision: Vec<Provision>,
    /// Acts in Vietnamese.
    act: BTreeMap<Name, String>,
    /// Labels of the detector in Vietnamese.
    vehicle: BTreeMap<Name, String>,
    /// Why a record may be rejected, in Vietnamese.
    reason: BTreeMap<Name, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// What codes begin with, such as `168/2024`.
    pub id: Name,
    pub name: String,
    /// From when on the wording is in force that the provisions follow, such as `2026-08-15`.
    pub version: String,
    /// Who says so.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// Law, article, clause and point, such as `168/2024:6.9.b`.
    pub code: Name,
    pub act: Act,
    /// Labels of the detector that it is about.
    pub vehicles: Vec<Name>,
    /// The behaviour in the words of the law.
    pub text: String,
    /// For a person, in million đồng.
    pub fine: String,
    /// Taken off the licence.
    #[serde(default)]
    pub points: u8,
}

/// What a record says of the law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LawText {
    pub law: Law,
    pub provision: Provision,
}

impl Laws {
    /// The file of that name; mistakes go to `problems`.
    pub fn parse(file: &str, text: &str, problems: &mut Problems) -> Laws {
        let laws: Laws = load_toml(file, text, problems).unwrap_or_default();
        for (i, provision) in laws.provision.iter().enumerate() {
            let at = format!("provision[{i}]");
            if laws.law_of(&provision.code).is_none() {
                problems.add(
                    file,
                    format!("{at}.code"),
                    format!("`{}`", provision.code),
                    "the id of a [[law]], a colon and the place in it",
                );
            }
            if provision.text.trim().is_empty() {
                problems.add(file, format!("{at}.text"), "an empty text", "the behaviour in the words of the law");
            }
            let twice =
                |other: &&Provision| other.act == provision.act && other.vehicles.iter().any(|label| provision.vehicles.contains(label));
            if let Some(other) = laws.provision[..i].iter().find(twice) {
                problems.add(
                    file,
                    format!("{at}.vehicles"),
                    format!("what `{}` is about already", other.code),
                    "one provision for an act and a vehicle",
                );
            }
        }
        let known: Vec<&str> = Act::ALL.iter().map(|act| act.as_str()).collect();
        for name in laws.act.keys().filter(|name| !known.contains(&name.as_str())) {
            problems.add(file, format!("act.{name}"), format!("`{name}`"), format!("one of {}", known.join(", ")));
        }
        for name in known.iter().filter(|name| !laws.act.contains_key(**name)) {
            problems.add(file, format!("act.{name}"), "nothing", "what the act is called in Vietnamese");
        }
        if laws.reason.is_empty() {
            problems.add(file, "reason", "nothing", "at least one reason to reject a record");
        }
        laws
    }

    fn law_of(&self, code: &str) -> Option<&Law> {
        let (id, _) = code.split_once(':')?;
        self.law.iter().find(|law| law.id == *id)
    }

    /// The provision of that code, or else for that act of such a vehicle.
    pub(crate) fn find(&self, code: Option<&Name>, act: Act, label: &Name) -> Option<LawText> {
        let fits = |provision: &&Provision| match code {
            // One point may be about several acts.
            Some(code) => provision.code == *code && provision.act == act,
            None => provision.act == act && provision.vehicles.contains(label),
        };
        let provision = self.provision.iter().find(fits)?;
        Some(LawText { law: self.law_of(&provision.code)?.clone(), provision: provision.clone() })
    }

    pub fn act(&self, act: Act) -> &str {
        self.act.get(act.as_str()).map_or(act.as_str(), String::as_str)
    }

    pub(crate) fn vehicle<'a>(&'a self, label: &'a Name) -> &'a str {
        self.vehicle.get(label).map_or(label.as_str(), String::as_str)
    }

    pub fn reasons(&self) -> &BTreeMap<Name, String> {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::laws;

    /// What the cameras' judge writes into candidates must be a text in the record.
    #[test]
    fn every_code_of_the_shipped_configuration_is_known() {
        let mut problems = Problems::default();
        let text = include_str!("../../../config/huong.toml");
        let config: serde_json::Value = load_toml("huong.toml", text, &mut problems).expect("TOML");
        let codes = config["vision"]["judge"]["codes"].as_object().expect("codes by act");
        assert!(codes.len() > 3, "{codes:?}");
        for (act, vehicles) in codes {
            let act = Act::ALL.into_iter().find(|one| one.as_str() == act).expect("an act");
            for (label, code) in vehicles.as_object().expect("codes by vehicle") {
                let code = Name::new(code.as_str().expect("a code"));
                let found = laws().find(Some(&code), act, &Name::new(label)).unwrap_or_else(|| panic!("no text of {code}"));
                assert_eq!(laws().find(None, act, &Name::new(label)), Some(found), "the same without the code");
            }
        }
    }

    #[test]
    fn mistakes_are_listed_with_their_places() {
        let text = "[[law]]\nid = \"1/2\"\nname = \"x\"\nversion = \"2026-01-01\"\nsource = \"x\"\n\
            [[provision]]\ncode = \"2/3:1.1\"\nact = \"red_light\"\nvehicles = [\"car\"]\ntext = \"\"\nfine = \"1\"\n\
            [[provision]]\ncode = \"1/2:1.1\"\nact = \"red_light\"\nvehicles = [\"car\"]\ntext = \"x\"\nfine = \"1\"\n\
            [act]\nspeeding = \"x\"\n";
        let mut problems = Problems::default();
        Laws::parse("laws.toml", text, &mut problems);
        let told = problems.to_string();
        for expected in [
            "provision[0].code: found `2/3:1.1`, expected the id of a [[law]]",
            "provision[0].text: found an empty text",
            "provision[1].vehicles: found what `2/3:1.1` is about already",
            "act.speeding: found `speeding`, expected one of red_light, wrong_way",
            "act.waste_heap: found nothing",
            "reason: found nothing, expected at least one reason",
        ] {
            assert!(told.contains(expected), "{expected} in {told}");
        }
    }
}
