//! The alert life cycle: signals of rules and acts of operators in, journalled steps out.
//!
//! Pure: time is an argument, nothing is sent or stored here. The same signals give the same transitions.
//! Invariants: at most one open alert per rule and key; ids are unique and derived from rule, key and onset; every change of an
//! open alert is a [`Transition`] whose `seq` is one more than that of the transition before it.

mod table;

pub use table::{AlertError, Table};

#[cfg(test)]
mod tests;
