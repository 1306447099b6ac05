//! Ingest against a real mosquitto, which must be installed: each test starts one of its own on a free port.

mod certificates;
mod embedded;
mod faults;
mod folder;
mod frames;
mod mosquitto;
mod posts;
mod readings;
mod rig;
mod security;
