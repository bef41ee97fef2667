//! The provider's host outside of the cluster, as the probes see it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use cluster::Outside;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use probe::deploy::{OutsideHost, Printed};

struct Host(Outside);

/// The host on which probers and servers are started.
pub(super) fn host(outside: Outside) -> Arc<dyn OutsideHost> {
    Arc::new(Host(outside))
}

impl OutsideHost for Host {
    fn address(&self) -> IpAddr {
        self.0.address()
    }

    fn play(
        &self,
        role: &'static str,
        args: Vec<String>,
        env: BTreeMap<String, String>,
    ) -> BoxFuture<'_, io::Result<Printed>> {
        async move { Ok(Box::new(self.0.play(role, args, env).await?) as Printed) }.boxed()
    }
}
