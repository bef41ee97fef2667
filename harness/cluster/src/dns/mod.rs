//! The cluster's DNS: names of Services and of the pods behind headless ones, from the API server.
//!
//! Our own small server instead of CoreDNS: it is in the image that every node has already, so that no further
//! component is built and no further memory is spent, and it knows no other zone that it could leak queries to.

mod answer;
mod objects;
mod role;
mod zone;

pub use objects::objects;
pub use role::run;

/// The name by which an image holds this role, argv\[0\].
pub const ROLE: &str = "cluster-dns";
/// Namespace of its objects.
pub const NAMESPACE: &str = "kube-system";
/// Name of its Deployment and Service.
pub const NAME: &str = "kube-dns";
/// Port of the server in its pod.
const PORT: u16 = 53;
/// The zone.
const DOMAIN: &str = "svc.cluster.local";
