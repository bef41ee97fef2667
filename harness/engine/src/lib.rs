//! Runs of upgrades on clusters: what is made, what is done, what is measured, how it is judged.

pub mod bundle;
pub mod calibrate;
pub mod command_line;
pub mod components;
pub mod errors;
pub mod exit;
pub mod id;
pub mod logs;
pub mod paths;
pub mod provider;
pub mod redact;
pub mod roles;
pub mod run;
pub mod scenario;
#[cfg(test)]
mod schema;
pub mod scratch;
pub mod spawn;
pub mod steps;
pub mod subjects;
