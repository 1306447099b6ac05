//! The whole system from outside: the real binary, a real broker, a real browser, and the walls between the crates.

mod backup;
mod bad_input;
mod cameras;
mod city;
mod commands;
mod demo;
mod disk;
mod flood;
mod orders;
mod reload;
mod storm;
mod support;
mod walls;
