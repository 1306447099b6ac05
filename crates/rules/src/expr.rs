//! The compiled scalar expressions of rules.

pub(crate) mod air;
pub(crate) mod call;
