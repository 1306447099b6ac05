//! What is allowed in rules and probably not meant.

use std::collections::HashMap;

use huong_types::{Name, Problems};

use crate::compile::load;
use crate::rule_file::RawRule;

/// Adds a warning to `problems` for each rule or derivation that no test proves and each rule that hides a rule of another stream, whose alerts are
/// about other keys. Mistakes are not its business: [`crate::Engine::compile`] names them.
pub fn advise(pipelines: &[(String, String)], problems: &mut Problems) {
    let rules = load(pipelines, &mut Problems::default());
    let by_id: HashMap<&Name, &RawRule> = rules.rules.iter().map(|(_, rule)| (&rule.id, rule)).collect();
    for (file, rule) in &rules.rules {
        let path = format!("rule `{}`", rule.id);
        if rule.test.is_empty() {
            problems.warn(file, &path, "no [[rule.test]]", "at least one that raises and one that does not");
        }
        for hidden in rule.inhibits.iter().filter_map(|id| by_id.get(id)).filter(|hidden| !rule.across && hidden.from != rule.from) {
            let found = format!("`{}` of the stream `{}`", hidden.id, hidden.from);
            problems.warn(
                file,
                format!("{path}.inhibits"),
                found,
                format!("a rule of `{}`: an alert hides those of its own key", rule.from),
            );
        }
    }
    for (file, derive) in rules.derives.iter().filter(|(_, derive)| derive.test.is_empty()) {
        problems.warn(file, format!("derive `{}`", derive.id), "no [[derive.test]]", "at least one");
    }
}
