//! Subjects: the network components that are upgraded, and the steps that install and upgrade them.
//!
//! A [`Subject`] provides charts or manifests, images and names ([`Names`]); [`registry`] has all subjects by name.
//! [`Installation`] drives a subject's DaemonSet on a cluster: it knows no component, only [`Names`]. The steps of Cilium's
//! upgrade guide that no other component has are in [`cilium`].

mod capability;
pub mod cilium;
mod daemonset;
mod error;
mod facts;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod file;
mod input;
mod names;
mod options;
mod registration;
pub mod registry;
mod release;
mod source;
mod spawn;
pub mod standin;
mod standin_program;
mod subject;

pub use cluster::existing::RUN_LABEL;

pub use capability::{Capabilities, Capability};
pub use daemonset::{Installation, InstallationError, Obstacle, Output, Snapshot, parse_config_map};
pub use error::PrepareError;
pub use facts::Facts;
pub use input::InputError;
pub use names::Names;
pub use options::SubjectOptions;
pub use registration::{Registration, Supported};
pub use release::Release;
pub use source::{Chart, ChartError, Division, Parts, find};
pub use standin_program::Program as StandinProgram;
pub use subject::{Environment, Prepared, Subject};
