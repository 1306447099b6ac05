//! What the table knows of the rules. Invariant: derived from the list of rules alone.

use std::collections::HashMap;

use huong_types::{Name, RuleInfo};

#[derive(Debug)]
pub(crate) struct Rules {
    rules: HashMap<Name, Rule>,
    groups: HashMap<Name, GroupRule>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) info: RuleInfo,
    /// The rules whose open alerts hide those of this rule, in the order of the configuration, and whether for every key.
    pub(crate) hidden_by: Vec<(Name, bool)>,
}

#[derive(Debug, Default)]
pub(crate) struct GroupRule {
    /// More members than this are folded: the least of its rules' `group_after`.
    pub(crate) limit: usize,
    /// Everyone whom one of its rules notifies.
    pub(crate) notify: Vec<Name>,
}

impl Rules {
    pub(crate) fn new(rules: &[RuleInfo]) -> Rules {
        let hidden_by = |id: &Name| {
            let by = rules.iter().filter(|rule| rule.inhibits.contains(id) && rule.id != *id);
            by.map(|rule| (rule.id.clone(), rule.across)).collect()
        };
        let mut groups: HashMap<Name, GroupRule> = HashMap::new();
        for rule in rules.iter().filter(|rule| rule.group_after > 0) {
            let group = groups.entry(rule.group.clone()).or_insert(GroupRule { limit: usize::MAX, notify: Vec::new() });
            group.limit = group.limit.min(rule.group_after as usize);
            group.notify.extend(rule.notify.iter().cloned());
        }
        for group in groups.values_mut() {
            group.notify.sort();
            group.notify.dedup();
        }
        let with = |info: &RuleInfo| (info.id.clone(), Rule { info: info.clone(), hidden_by: hidden_by(&info.id) });
        Rules { rules: rules.iter().map(with).collect(), groups }
    }

    pub(crate) fn get(&self, id: &Name) -> Option<&Rule> {
        self.rules.get(id)
    }

    pub(crate) fn group(&self, name: &Name) -> Option<&GroupRule> {
        self.groups.get(name)
    }
}
