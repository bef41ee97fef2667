//! Traffic: open-loop probes, their samples, and what the samples say.
//!
//! A run flows through the modules in this order: [`traffic`] plans pods, services and flows;
//! [`deploy`] makes them; the pods run the two [`role`]s; [`deploy::Session`] collects their samples;
//! [`outage`], [`attribution`] and [`budget`] are pure and turn samples into outages, causes and judgements.
//!
//! All times are nanoseconds of CLOCK_MONOTONIC. Nothing here knows what is being upgraded.

pub mod attribution;
pub mod budget;
pub mod calibration;
mod client;
pub mod clock;
mod collect;
pub mod deploy;
mod exchange;
pub mod flow;
#[cfg(test)]
mod loopback;
mod node;
pub mod noise;
pub mod outage;
pub mod processors;
pub mod role;
pub mod sample;
mod server;
pub mod store;
pub mod summary;
pub mod traffic;
mod wait;
mod wire;
