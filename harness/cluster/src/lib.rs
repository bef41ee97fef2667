//! Clusters: their parts, how they boot, and how they are removed completely.
//!
//! A [`Provider`] boots a [`Cluster`] from a [`ClusterRequest`]; [`registry`] has all providers by name. [`Ledger`] records
//! what exists, so that nothing is left even after a crash.

mod accept;
mod client;
mod clock;
pub mod components;
mod cpu;
pub mod dns;
pub mod doctor;
mod error;
mod exec;
pub mod existing;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod go;
pub mod images;
pub mod kind;
pub mod ledger;
mod mirror;
pub mod node_file;
mod options;
pub mod outside;
pub mod pki;
mod private_file;
mod provider;
mod registration;
pub mod registry;
mod release;
mod request;
pub mod sandbox;
mod spawn;
pub mod turn;
pub mod wait;

pub use client::{ClientError, client, namespace_ready, nodes_ready, nodes_registered};
pub use clock::monotonic_ns;
pub use components::{Component, Components};
pub use cpu::{CpuPriority, CpuWeight, CpuWeightError};
pub use error::{ProviderError, Unsupported};
pub use exec::{Executed, NodeShell};
pub use go::{GoError, GoProgram};
pub use images::Image;
pub use ledger::Ledger;
pub use mirror::{BadMirror, Mirror};
pub use options::{OptionError, ProviderOptions};
pub use outside::Outside;
pub use provider::{BootContext, Capabilities, Cluster, Origin, Progress, Provider};
pub use registration::Registration;
pub use registry::{collect, down};
pub use request::{ClusterRequest, Cni};
pub use spawn::{CommandError, Run, use_program};
