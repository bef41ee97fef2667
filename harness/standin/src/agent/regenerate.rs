//! The loop that keeps the kernel and the proxy in step with what is known.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ipnet::Ipv4Net;

use super::Agent;
use super::lifecycle::LifecycleError;
use super::plan::{Known, Plan, plan};
use crate::chain;
use crate::datapath::netlink::{Netlink, NextHop};
use crate::datapath::nft::ToolError;
use crate::datapath::node::{self, NodeError};
use crate::datapath::service_maps::ServiceMapError;
use crate::datapath::table::Table;
use crate::policy::resolve::ResolveError;
use crate::service;
use crate::wait::pause;

/// Changes that arrive together are applied together.
const COALESCE: Duration = Duration::from_millis(2);
const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
enum RegenerateError {
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Services(#[from] ServiceMapError),
}

/// What was programmed last.
pub(super) struct Programmed {
    netlink: Netlink,
    table: Table,
    /// The rules as generation 0 would have them: equal rules have equal content.
    content: String,
    /// Whether earlier generations are gone.
    swept: bool,
    routes: BTreeMap<Ipv4Net, NextHop>,
}

impl Programmed {
    /// Begins with nothing known of the kernel's state: the first plan is always applied.
    pub(super) fn unknown(netlink: Netlink, table: Table) -> Self {
        Self { netlink, table, content: String::new(), swept: false, routes: BTreeMap::new() }
    }

    async fn sweep(&mut self) {
        if self.swept {
            return;
        }
        match self.table.sweep().await {
            Ok(()) => self.swept = true,
            Err(error) => {
                tracing::warn!(error = chain(&error), "old packet rules stay until the next change");
            }
        }
    }
}

impl Agent {
    /// Applies the current state and every change; signals `first` once the current state is in force.
    pub(super) async fn keep_regenerating(&self, mut programmed: Programmed, first: impl FnOnce()) {
        let mut first = Some(first);
        let mut wanted = self.wanted.subscribe();
        loop {
            let generation = *wanted.borrow_and_update();
            match self.regenerate(&mut programmed).await {
                Ok(()) => {
                    self.status.note("datapath", None);
                    self.applied.send_replace(generation);
                    if let Some(first) = first.take() {
                        first();
                    }
                    programmed.sweep().await;
                    // The sender lives in `self`.
                    drop(wanted.changed().await);
                    pause(COALESCE).await;
                }
                Err(error) => {
                    tracing::error!(error = chain(&error), "the datapath could not be programmed, retrying");
                    self.status.note("datapath", Some(chain(&error)));
                    pause(RETRY).await;
                }
            }
        }
    }

    async fn regenerate(&self, programmed: &mut Programmed) -> Result<(), RegenerateError> {
        self.refresh(false).await?;
        let Plan { ruleset, routes, proxy } = self.plan()?;
        if routes != programmed.routes {
            node::sync_routes(&programmed.netlink, &routes).await?;
            programmed.routes = routes;
        }
        self.proxy.set_policy(proxy);
        let content = ruleset.render(0);
        if content != programmed.content {
            programmed.table.replace(&ruleset).await?;
            programmed.content = content;
            programmed.swept = false;
        }
        Ok(())
    }

    fn plan(&self) -> Result<Plan, RegenerateError> {
        let services = self.cluster.services();
        let slices = self.cluster.slices();
        let slices: Vec<_> = slices.iter().map(Arc::as_ref).collect();
        let frontends = service::frontends(services.iter().map(Arc::as_ref), &slices);
        let frontends = self.services.lock().unwrap_or_else(PoisonError::into_inner).update(frontends)?;
        let mut plan = plan(Known {
            node: self.node,
            nodes: &self.cluster.nodes(),
            node_ips: &self.cluster.node_ips(),
            masquerade: self.masquerade,
            world_is_host: self.world_is_host,
            unknown_tcp: self.unknown_tcp,
            frontends,
            policies: &self.policies(),
            view: &self.store.view().borrow(),
            endpoints: &self.endpoints().all(),
            proxy_port: self.proxy.port(),
            dns_port: self.names.port(),
            events: self.monitor.queue(),
            bounds: self.bounds,
        })?;
        if let Some(fault) = &self.fault {
            fault.spoil(&mut plan.ruleset);
        }
        Ok(plan)
    }
}
