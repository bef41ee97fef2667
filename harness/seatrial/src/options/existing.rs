//! The options of an existing cluster.

use std::path::PathBuf;

use clap::Args;
use engine::place::existing::ExistingOptions;
use probe::deploy::ServiceName;

/// The heading of these options in help texts.
pub(super) const HEADING: &str = "Existing cluster";

/// The options that name an existing cluster, and what probes need in it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ExistingArgs {
    /// Context of the kubeconfig. There is no default, so that no cluster is used by mistake.
    #[arg(long, help_heading = HEADING)]
    context: Option<String>,
    /// Image of the probes, which the nodes can pull or already have; `seatrial image` writes it.
    #[arg(long, help_heading = HEADING)]
    image: Option<String>,
    /// Kubeconfig. Default: ~/.kube/config.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE", help_heading = HEADING)]
    kubeconfig: Option<PathBuf>,
    /// Service of the cluster DNS. Default: kube-system/kube-dns.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = service, help_heading = HEADING)]
    dns: Option<ServiceName>,
}

fn service(text: &str) -> Result<ServiceName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(ServiceName { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("write it as namespace/name".to_owned()),
    }
}

impl ExistingArgs {
    /// The options for the engine.
    pub(crate) fn options(self) -> ExistingOptions {
        let Self { context, image, kubeconfig, dns } = self;
        ExistingOptions { context, image, kubeconfig, dns }
    }
}
