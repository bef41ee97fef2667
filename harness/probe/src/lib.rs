//! Traffic: open-loop probes, their samples, and the outages in them.
//!
//! A run uses the modules in this order: [`traffic`] plans pods, Services and flows of all kinds; [`deploy`] creates them;
//! the pods run the [`role`]s; [`deploy::Session`] collects their samples; [`outage`], [`attribution`] and [`budget`] turn
//! samples into outages, causes and judgements, and are pure.
//!
//! All times are nanoseconds of CLOCK_MONOTONIC. Nothing here depends on the subject of the upgrade.

pub mod attribution;
pub mod budget;
pub mod calibration;
mod client;
pub mod clock;
mod collect;
pub mod deploy;
mod exchange;
pub mod flow;
mod kinds;
#[cfg(test)]
mod loopback;
mod node;
pub mod noise;
pub mod outage;
mod prober;
pub mod processors;
pub mod role;
pub mod sample;
mod server;
pub mod store;
pub mod summary;
pub mod traffic;
mod wait;
mod wire;
