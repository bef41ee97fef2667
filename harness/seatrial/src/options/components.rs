//! The components of clusters.

use std::path::PathBuf;

use clap::Args;

/// The programs that clusters consist of, and the port of their API.
#[derive(Clone, Debug, Args)]
pub(crate) struct ComponentArgs {
    /// Folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubelet.
    #[arg(long, env = "SEATRIAL_COMPONENTS", value_name = "DIR")]
    pub(crate) components: Option<PathBuf>,
    /// Port of the cluster's API on 127.0.0.1. Default: any free one.
    #[arg(long, default_value_t = 0, value_name = "PORT", hide_default_value = true)]
    pub(crate) api_port: u16,
}
