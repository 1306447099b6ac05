//! The whole system from outside: the real binary, a real broker, a real browser, and the walls between the crates.

mod backup;
mod bad_input;
mod bridge;
mod cameras;
mod city;
mod client;
mod commands;
mod crash;
mod demo;
mod disk;
mod evidence;
mod flood;
mod forecast;
mod metrics;
mod mirror;
mod orders;
mod push;
mod queries;
mod reload;
mod review;
mod screens;
mod steady;
mod storm;
mod support;
mod walls;
