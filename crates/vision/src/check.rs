//! What the checks of this crate's settings share.
//!
//! Invariant: not a number is out of every range.

use std::fmt::Display;
use std::ops::RangeInclusive;

use huong_types::Problems;

/// Notes the setting `name` when it is outside `range`.
pub(crate) fn in_range<T: PartialOrd + Display>(
    file: &str,
    path: &str,
    problems: &mut Problems,
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) {
    if !range.contains(&value) {
        problems.add(file, format!("{path}.{name}"), format!("`{value}`"), format!("{} to {}", range.start(), range.end()));
    }
}
