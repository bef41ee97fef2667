//! The agent's addresses of names: those of earlier agents, of its own queries, and of answers to pods.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Agent;
use super::api::Reply;
use super::endpoint::Endpoints;
use crate::behaviour::fqdn::Names;
use crate::chain;
use crate::fqdn::cache::Cache;
use crate::fqdn::question::{self, Lookup};
use crate::fqdn::{self, precache};
use crate::policy::model::Policy;
use crate::proxy::dns::Told;
use crate::wait::pause;

/// Time between two rounds of the poller.
const ROUND: Duration = Duration::from_secs(5);
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Names and their addresses.
pub(super) struct KnownNames {
    polled: bool,
    min_ttl: u32,
    /// The port of the DNS proxy; 0 without one.
    port: u16,
    cache: Mutex<Cache>,
}

impl KnownNames {
    /// Begins with what endpoints were told before, and with the file that the settings name. A file that cannot be read
    /// is no reason not to start.
    pub(super) fn restore(names: &Names, endpoints: &Endpoints, port: Option<u16>) -> Self {
        let now = Timestamp::now();
        let mut cache = Cache::default();
        if names.proxied {
            endpoints.all().iter().for_each(|endpoint| cache.merge(&endpoint.names, now));
        }
        if let Some(path) = &names.pre_cache {
            tracing::info!(path = %path.display(), "reading toFQDNs pre-cache data");
            match precache::read(path) {
                Ok(known) => cache.merge(&known, now),
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "cannot parse toFQDNs pre-cache data");
                }
            }
        }
        let cache = Mutex::new(cache);
        Self { polled: names.polled, min_ttl: names.min_ttl, port: port.unwrap_or(0), cache }
    }

    /// The port of the DNS proxy.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Puts the addresses of names into rules.
    pub(super) fn generate(&self, policies: &mut [Policy]) {
        fqdn::generate(policies, &self.cache(), Timestamp::now());
    }

    /// Records an answer; returns whether an address is new.
    fn learn(&self, lookup: &Lookup, now: Timestamp) -> bool {
        self.cache().learn(&lookup.name, &lookup.ips, self.ttl(lookup), now)
    }

    fn ttl(&self, lookup: &Lookup) -> u32 {
        lookup.ttl.max(self.min_ttl)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Starts to learn, as the version does.
    pub(super) fn follow_names(self: Arc<Self>, told: Option<mpsc::Receiver<Told>>) {
        if self.names.polled {
            tokio::spawn(self.clone().keep_polling());
        }
        if let Some(told) = told {
            tokio::spawn(self.keep_listening(told));
        }
    }

    /// Answers with the rules that are in force.
    pub(super) fn policy_reply(&self) -> Reply {
        let rules: Vec<_> = self.policies().into_iter().flat_map(|policy| policy.rules).collect();
        match serde_json::to_value(rules) {
            Ok(rules) => Reply::Policy { rules },
            Err(error) => Reply::Failed { reason: error.to_string() },
        }
    }

    /// Queries every full name of policies, round after round. Upstream's first round is at the start, before any
    /// policy is known: names are queried one round later.
    async fn keep_polling(self: Arc<Self>) {
        loop {
            pause(ROUND).await;
            let names: BTreeSet<String> = fqdn::names(&self.policies()).collect();
            for (id, name) in (1..).zip(&names) {
                self.poll(name, id).await;
            }
        }
    }

    async fn poll(&self, name: &str, id: u16) {
        let asked = async { question::ask(question::name_server(Path::new(RESOLV_CONF))?, name, id).await };
        match asked.await {
            Ok(Some(lookup)) => {
                if self.names.learn(&lookup, Timestamp::now()) {
                    tracing::info!(name, ips = ?lookup.ips, "polled");
                    self.changed();
                }
            }
            Ok(None) => tracing::debug!(name, "polled: there is no address"),
            Err(error) => tracing::warn!(name, error = chain(&error), "cannot poll"),
        }
    }

    /// Records answers before they are sent to pods.
    async fn keep_listening(self: Arc<Self>, mut told: mpsc::Receiver<Told>) {
        while let Some(Told { pod, lookup, known }) = told.recv().await {
            let now = Timestamp::now();
            let mut endpoints = self.endpoints();
            let asker = endpoints.all().into_iter().find(|endpoint| endpoint.ip == pod);
            if let Some(mut endpoint) = asker {
                let news = endpoint.names.learn(&lookup.name, &lookup.ips, self.names.ttl(&lookup), now);
                if news && let Err(error) = endpoints.put(endpoint) {
                    tracing::error!(error = chain(&error), "what a pod was told cannot be kept");
                }
            }
            drop(endpoints);
            if !self.names.learn(&lookup, now) {
                // The receiver is gone if the query was cancelled.
                let _given_up = known.send(());
                continue;
            }
            tracing::info!(name = lookup.name, ips = ?lookup.ips, %pod, "learned");
            let agent = self.clone();
            tokio::spawn(async move {
                if let Err(error) = agent.in_force().await {
                    tracing::warn!(error = chain(&error), "a pod is told before the rules know");
                }
                let _given_up = known.send(());
            });
        }
    }
}
