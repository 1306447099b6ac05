//! The alert life cycle: signals of rules and orders of operators in, journalled steps out.
//!
//! Pure: time is an argument, nothing is sent or stored here. The same calls give the same transitions.
//! Invariants: at most one open alert per rule and key; ids are unique and derived from rule, key and onset; every change of an
//! open alert is a [`Transition`](huong_types::Transition) whose `seq` is one more than that of the transition before it and whose
//! state is [`state`] of its facts, by a row of [`TABLE`]; nothing is shelved, flapping or exercised without an end in sight or a name.

mod change;
mod config;
mod group;
mod inhibit;
mod load;
mod open;
mod orders;
mod recent;
mod rows;
mod rules;
mod state;
mod table;
mod tick;

pub use config::{LoadConfig, TableConfig};
pub use load::Load;
pub use orders::AlertError;
pub use rows::{Row, TABLE};
pub use state::state;
pub use table::Table;

#[cfg(test)]
mod tests;
