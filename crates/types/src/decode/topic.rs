//! MQTT topic filters: validity, matching and covering (MQTT 5.0 §4.7).

/// A valid topic filter, split once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    text: String,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Exact(String),
    One,
    Rest,
}

impl Filter {
    /// `None` when empty, too long, or with a wildcard that is not a whole level or `#` that is not the last.
    pub(super) fn parse(text: &str) -> Option<Filter> {
        if text.is_empty() || text.len() > usize::from(u16::MAX) || text.contains('\0') {
            return None;
        }
        let last = text.split('/').count() - 1;
        let level = |(i, part): (usize, &str)| match part {
            "+" => Some(Level::One),
            "#" if i == last => Some(Level::Rest),
            part if part.contains(['+', '#']) => None,
            part => Some(Level::Exact(part.to_owned())),
        };
        let levels = text.split('/').enumerate().map(level).collect::<Option<Vec<_>>>()?;
        Some(Filter { text: text.to_owned(), levels })
    }

    /// True when every topic that matches has a level of this index.
    pub(super) fn has_level(&self, index: usize) -> bool {
        index < self.levels.len() && self.levels[index] != Level::Rest
    }

    pub(super) fn matches(&self, topic: &str) -> bool {
        // Wildcards do not reach the broker's own topics, §4.7.2.
        if topic.starts_with('$') && !matches!(self.levels.first(), Some(Level::Exact(_))) {
            return false;
        }
        let mut parts = topic.split('/');
        for level in &self.levels {
            match (level, parts.next()) {
                (Level::Rest, _) => return true,
                (Level::One, Some(_)) => {}
                (Level::Exact(text), Some(part)) if text == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }

    /// True when every topic that matches `other` matches `self` too.
    pub(super) fn covers(&self, other: &Filter) -> bool {
        let mut theirs = other.levels.iter();
        for level in &self.levels {
            match (level, theirs.next()) {
                (Level::Rest, _) => return true,
                (Level::One, Some(Level::One | Level::Exact(_))) => {}
                (Level::Exact(a), Some(Level::Exact(b))) if a == b => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }
}

/// The fewest filters that reach the same topics: brokers may deliver a message once per matching subscription.
pub(super) fn fewest(filters: &[&Filter]) -> Vec<String> {
    let needless = |i: usize, filter: &Filter| {
        filters.iter().enumerate().any(|(j, other)| i != j && other.covers(filter) && (!filter.covers(other) || j < i))
    };
    filters.iter().enumerate().filter(|(i, filter)| !needless(*i, filter)).map(|(_, filter)| filter.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text).expect(text)
    }

    #[test]
    fn matching_follows_the_standard() {
        for (pattern, topic, expected) in [
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("a/b", "a/b/c", false),
        ] {
            assert_eq!(filter(pattern).matches(topic), expected, "{pattern} {topic}");
        }
        for wrong in ["", "a/#/b", "a#", "a/b+", "a\0"] {
            assert_eq!(Filter::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn covered_and_repeated_filters_are_dropped() {
        let all: Vec<Filter> = ["a/b/c", "a/+/c", "a/#", "x/+", "x/y", "x/+", "z"].iter().map(|t| filter(t)).collect();
        assert_eq!(fewest(&all.iter().collect::<Vec<_>>()), ["a/#", "x/+", "z"]);
    }
}
