//! Where the programs of a cluster come from.

use std::path::PathBuf;

use clap::Args;

/// Where the parts of a cluster come from.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Folder that holds etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubelet.
    #[arg(long, env = "SEATRIAL_COMPONENTS", value_name = "DIR")]
    pub components: Option<PathBuf>,
    /// Port of the cluster's API on 127.0.0.1; any free one by default.
    #[arg(long, default_value_t = 0, value_name = "PORT", hide_default_value = true)]
    pub api_port: u16,
}
