//! The simulated city: every station and camera of a registry, published over MQTT as its senders would.
//!
//! [`Scenario`] is the pure core: an endless, reproducible sequence of messages that needs neither clock nor broker.
//! [`run`] plays it, with the cameras' frames beside it, against a broker at the pace of a given clock.
//!
//! Invariant: the same seed gives the same bytes.

mod city;
mod curve;
mod dice;
mod events;
mod faults;
mod forecast;
mod frames;
mod payload;
mod publish;
mod scenario;
mod storm;
mod weather;

pub use faults::{Fault, FaultCounts};
pub use frames::drawn_frames;
pub use frames::staged;
pub use publish::{SimConfig, SimReport, run};
pub use scenario::{Emission, Scenario};
pub use weather::ScenarioKind;

#[cfg(test)]
mod testing {
    use huong_types::{Problems, Registry};

    /// The registry of the city, as it is shipped.
    pub(crate) fn registry() -> Registry {
        let mut problems = Problems::default();
        let registry = Registry::parse("config/registry.toml", include_str!("../../config/registry.toml"), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        registry
    }
}

#[cfg(test)]
mod tests;
