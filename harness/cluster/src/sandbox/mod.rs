//! Multi-node clusters in namespaces of this machine, without a container engine on the host.
//!
//! `boot`, `cluster` and `shell` are the host side; `init`, `supervisor`, `node`, `node_role` and `outside` run inside.

mod boot;
mod cgroup;
mod cluster;
mod doctor;
mod error;
mod fds;
mod init;
mod mounts;
mod netfilter;
mod node;
mod node_config;
mod node_role;
mod outside;
mod prepare;
mod report;
mod shell;
mod spec;
mod supervisor;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

pub use self::error::SandboxError;
use self::shell::SandboxShell;
pub use self::shell::{exec, set_dormant};
use crate::components::{Component, Components};
use crate::doctor::Check;
use crate::error::ProviderError;
use crate::exec::NodeShell;
use crate::ledger::{Entry, Ledger};
use crate::options::{OptionError, ProviderOptions};
use crate::provider::{BootContext, Capabilities, Cluster, Progress, Provider};
use crate::registration::Registration;
use crate::request::ClusterRequest;

/// The name of the provider.
const NAME: &str = "sandbox";

/// Address and port at which pods and agents reach the API server without any Service translation.
const API_INSIDE: (&str, u16) = (spec::CONTROL_PLANE, spec::API_PORT);

/// The entry of the registry.
pub(crate) const REGISTRATION: Registration = Registration {
    name: NAME,
    summary: "in namespaces of this machine, without a container engine",
    from_options: |options| Ok(Arc::new(SandboxProvider::from_options(options)?)),
    from_entry: |_| Ok(Arc::new(SandboxProvider::default())),
    examine: |components| doctor::examine(components).boxed(),
};

/// Makes clusters in namespaces of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SandboxProvider {
    /// Port of the API server on 127.0.0.1; 0 for any.
    pub api_port: u16,
    /// Whether clusters have IPv6 addresses in addition to IPv4, whatever the request says.
    pub dual_stack: bool,
}

impl SandboxProvider {
    /// Checks the options and keeps those of the sandbox.
    ///
    /// # Errors
    /// When an option is not the sandbox's.
    pub fn from_options(options: &ProviderOptions) -> Result<Self, OptionError> {
        options.only(NAME, &["--api-port", "--dual-stack"])?;
        Ok(Self { api_port: options.api_port, dual_stack: options.dual_stack })
    }
}

impl Provider for SandboxProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { cpu_weight: cgroup::can_weigh(), ..Capabilities::MADE }
    }

    fn missing(&self) -> Vec<Check> {
        doctor::missing()
    }

    fn prepare<'a>(
        &'a self,
        components: &'a Components,
        progress: &'a Progress<'a>,
    ) -> BoxFuture<'a, Result<Duration, ProviderError>> {
        async move {
            components.build_missing(&Component::CLUSTER, progress).await.map_err(ProviderError::new)
        }
        .boxed()
    }

    fn boot<'a>(
        &'a self,
        request: ClusterRequest,
        context: BootContext<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Cluster>, ProviderError>> {
        async move { Ok(Box::new(boot::boot(self, request, context).await?) as Box<dyn Cluster>) }.boxed()
    }

    fn collect<'a>(&'a self, ledger: &'a Ledger, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(cluster::collect(ledger, id).await?) }.boxed()
    }

    fn down<'a>(&'a self, ledger: &'a Ledger, entry: &'a Entry) -> BoxFuture<'a, Result<(), ProviderError>> {
        async move { Ok(cluster::down(ledger, entry).await?) }.boxed()
    }

    fn shell(&self, ledger: &Ledger, entry: &Entry) -> Option<Arc<dyn NodeShell>> {
        Some(Arc::new(SandboxShell { folder: ledger.folder(&entry.id) }))
    }
}

/// A role of this program in a separate process, selected by the name of the process, argv\[0\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Enters the namespaces and waits.
    Outer,
    /// Process 1 inside.
    Init,
    /// Starts everything.
    Supervisor,
    /// A node.
    Node,
    /// The host outside of the cluster.
    Outside,
}

impl Role {
    const ALL: [Self; 5] = [Self::Outer, Self::Init, Self::Supervisor, Self::Node, Self::Outside];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outer => "seatrial-sandbox",
            Self::Init => "seatrial-sandbox-init",
            Self::Supervisor => "seatrial-sandbox-supervisor",
            Self::Node => "seatrial-sandbox-node",
            Self::Outside => "seatrial-sandbox-outside",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Plays the role. Namespaces belong to threads, so the process must have only one when this is called.
    #[must_use]
    pub fn run(self, args: &[OsString]) -> ExitCode {
        let name = args.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
        let ended = match self {
            Self::Outer => init::outer(&name),
            Self::Init => init::init(),
            Self::Supervisor => supervisor::supervisor(),
            Self::Node => node_role::node(&name),
            Self::Outside => outside::outside(&name),
        };
        ended.unwrap_or_else(|e| {
            let message = format!("{}: {e}", self.name());
            report::send(&spec::Report::Failed { message });
            ExitCode::FAILURE
        })
    }
}
