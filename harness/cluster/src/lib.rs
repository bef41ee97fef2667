//! Ephemeral clusters: what they are made of, how they come up, and how nothing of them is left.

mod client;
mod clock;
pub mod components;
pub mod dns;
pub mod doctor;
pub mod existing;
mod go;
pub mod images;
pub mod kind;
pub mod ledger;
pub mod node_file;
pub mod outside;
pub mod pki;
mod provider;
pub mod sandbox;
mod spawn;
pub mod turn;
pub mod wait;

pub use client::{ClientError, client, namespace_ready, nodes_ready, nodes_registered};
pub use clock::monotonic_ns;
pub use components::{Component, Components};
pub use existing::{Existing, ExistingRequest};
pub use go::{GoError, GoProgram};
pub use images::Image;
pub use kind::{Kind, KindError, KindRequest, Mirror, Shape};
pub use ledger::Ledger;
pub use outside::Outside;
pub use provider::{Cluster, ProviderError, Request, collect, down, exec};
pub use sandbox::{Cni, Sandbox, SandboxError, SandboxRequest, Share, Weight};
pub use spawn::{CommandError, Run};
