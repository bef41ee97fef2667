//! Runs of upgrades on clusters: what is created, what is done, what is measured, and how it is judged.
//!
//! Every run has the same life cycle (`lifecycle`): a *procedure* on a *place*, with a *session* of traffic and watchers, which
//! the *judge* turns into a verdict.

pub mod bundle;
pub mod calibration;
pub mod command_line;
pub mod components;
mod deadline;
pub mod errors;
pub mod exit;
pub mod id;
mod interrupts;
mod judge;
mod lifecycle;
pub mod logs;
mod observe;
pub mod paths;
pub mod place;
pub mod procedure;
pub mod program;
pub mod provider;
mod record;
pub mod redact;
pub mod roles;
pub mod run;
pub mod scenario;
#[cfg(test)]
mod schema;
pub mod scratch;
mod session;
pub mod spawn;
pub mod steps;
pub mod subjects;
