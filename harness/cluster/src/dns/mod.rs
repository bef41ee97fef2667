//! The DNS server of a cluster: names of Services, and of the pods of headless Services, from the API server.
//!
//! It replaces CoreDNS: it is part of an image that every node has already, so that no further component is built, and it
//! never forwards a query to another zone.

mod answer;
mod objects;
mod role;
mod zone;

pub use objects::objects;
pub use role::run;

/// The name of this role in an image, argv\[0\].
pub const ROLE: &str = "cluster-dns";
/// Namespace of its objects.
pub const NAMESPACE: &str = "kube-system";
/// Name of its Deployment and Service.
pub const NAME: &str = "kube-dns";
/// Address of its Service.
pub(crate) const ADDRESS: &str = "10.96.0.10";
/// Port of the server in its pod.
const PORT: u16 = 53;
/// The zone.
const DOMAIN: &str = "svc.cluster.local";
