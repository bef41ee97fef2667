//! A provider without a cluster, for tests of code that uses providers: no root, no network, no processes.
//!
//! ```
//! # async fn boot(state: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! use cluster::fake::FakeProvider;
//! use cluster::{BootContext, ClusterRequest, Components, Ledger, Provider as _};
//!
//! let provider = FakeProvider::default();
//! let (components, ledger) = (Components::new(None, state.join("cache")), Ledger::new(state));
//! let context = BootContext { components: &components, ledger: &ledger, progress: &|_| () };
//! let cluster = provider.boot(ClusterRequest::new("1", 2, state.join("logs")), context).await?;
//! cluster::nodes_ready(&cluster.client().await?, 2, std::time::Duration::from_secs(1)).await?;
//! cluster.destroy().await?;
//! assert_eq!(provider.calls(), ["boot 1", "destroy 1"]);
//! # Ok(())
//! # }
//! # let state = std::env::temp_dir().join(format!("seatrial-fake-{}", std::process::id()));
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(boot(&state)).unwrap();
//! # std::fs::remove_dir_all(state).unwrap();
//! ```

mod api;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;

pub use self::api::{Call, FakeApi};
use crate::clock::monotonic_ns;
use crate::error::ProviderError;
use crate::exec::{Executed, NodeShell};
use crate::ledger::{Entry, Held, Ledger};
use crate::provider::{BootContext, Capabilities, Cluster, Provider};
use crate::request::ClusterRequest;

/// The name of the provider. It is not in the registry.
pub const NAME: &str = "fake";
/// The version of Kubernetes that the API server reports.
pub const KUBERNETES: &str = "v1.34.4";
/// How long another holder of a lock may take to release it.
const UNLOCKED: Duration = Duration::from_secs(5);

/// Boots clusters that consist of an in-memory API server. Clones share the API server and the recorded calls.
#[derive(Clone, Debug)]
pub struct FakeProvider {
    /// The API server of its clusters.
    pub api: FakeApi,
    /// What the provider claims to be able to do.
    pub capabilities: Capabilities,
    /// Makes every boot fail with this message, after the cluster is in the ledger.
    pub boot_error: Option<String>,
    calls: Calls,
}

#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn push(&self, call: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

/// The failure that a test asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Requested(String);

impl Default for FakeProvider {
    fn default() -> Self {
        Self {
            api: FakeApi::default(),
            capabilities: Capabilities::MADE,
            boot_error: None,
            calls: Calls::default(),
        }
    }
}

impl FakeProvider {
    /// What was called so far, such as `boot ID`, `exec NODE: COMMAND`, `destroy ID`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn enter(&self, request: &ClusterRequest, ledger: &Ledger) -> Result<FakeCluster, ProviderError> {
        let (id, nodes) = (request.id.clone(), u32::from(request.nodes));
        self.calls.push(format!("boot {id}"));
        let entry = Entry { kept: request.keep, ..Entry::new(NAME, &id, nodes) };
        let held = ledger.enter(&entry).map_err(ProviderError::new)?;
        if let Some(message) = &self.boot_error {
            return Err(ProviderError::new(Requested(message.clone())));
        }
        let names: Vec<String> = (1..=nodes).map(|index| format!("node{index}")).collect();
        for name in &names {
            self.api.put(&format!("/api/v1/nodes/{name}"), node(name));
        }
        for namespace in ["default", "kube-system"] {
            let account = json!({"metadata": {"name": "default", "namespace": namespace}});
            self.api.put(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/default"), account);
        }
        let version = json!({
            "major": "1", "minor": "34", "gitVersion": KUBERNETES, "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64",
        });
        self.api.put("/version", version);
        Ok(FakeCluster { entry, held, nodes: names, provider: self.clone() })
    }

    async fn remove(&self, ledger: &Ledger, id: &str) -> Result<(), ProviderError> {
        match ledger.wait_unlocked(id, UNLOCKED).await.map_err(ProviderError::new)? {
            Some(held) => held.remove().map_err(ProviderError::new),
            None => Ok(()),
        }
    }
}

/// A node that is Ready.
fn node(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "conditions": [{
                "type": "Ready", "status": "True", "message": "", "reason": "Fake",
                "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        },
    })
}

impl Provider for FakeProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn boot<'a>(
        &'a self,
        request: ClusterRequest,
        context: BootContext<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn Cluster>, ProviderError>> {
        async move { Ok(Box::new(self.enter(&request, context.ledger)?) as Box<dyn Cluster>) }.boxed()
    }

    fn collect<'a>(&'a self, ledger: &'a Ledger, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.calls.push(format!("collect {id}"));
        self.remove(ledger, id).boxed()
    }

    fn down<'a>(&'a self, ledger: &'a Ledger, entry: &'a Entry) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.calls.push(format!("down {}", entry.id));
        self.remove(ledger, &entry.id).boxed()
    }

    fn shell(&self, _ledger: &Ledger, _entry: &Entry) -> Option<Arc<dyn NodeShell>> {
        Some(Arc::new(FakeShell(self.calls.clone())))
    }
}

/// A cluster without nodes; its API server says otherwise.
#[derive(Debug)]
struct FakeCluster {
    entry: Entry,
    held: Held,
    nodes: Vec<String>,
    provider: FakeProvider,
}

impl Cluster for FakeCluster {
    fn id(&self) -> &str {
        &self.entry.id
    }

    fn client(&self) -> BoxFuture<'_, Result<kube::Client, ProviderError>> {
        async { Ok(self.provider.api.client()) }.boxed()
    }

    fn kubeconfig(&self) -> PathBuf {
        self.held.folder().join("kubeconfig")
    }

    fn nodes(&self) -> Vec<String> {
        self.nodes.clone()
    }

    fn api_inside(&self) -> (String, u16) {
        ("127.0.0.1".to_owned(), 6443)
    }

    fn shell(&self) -> Option<Arc<dyn NodeShell>> {
        Some(Arc::new(FakeShell(self.provider.calls.clone())))
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        self.provider.calls.push(format!("release {}", self.entry.id));
        async move {
            let kept = Entry { kept: true, ..self.entry };
            self.held.write(&kept).map_err(ProviderError::new)
        }
        .boxed()
    }

    fn destroy(self: Box<Self>) -> BoxFuture<'static, Result<(), ProviderError>> {
        self.provider.calls.push(format!("destroy {}", self.entry.id));
        async move { self.held.remove().map_err(ProviderError::new) }.boxed()
    }
}

/// Records commands instead of running them.
#[derive(Debug)]
struct FakeShell(Calls);

impl NodeShell for FakeShell {
    fn exec<'a>(
        &'a self,
        node: &'a str,
        argv: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Executed, ProviderError>> {
        self.0.push(format!("exec {node}: {}", argv.join(" ")));
        let now = monotonic_ns();
        async move { Ok(Executed { started_ns: now, ended_ns: now, output: String::new() }) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, DeleteParams, ListParams, PostParams};

    use super::*;
    use crate::components::Components;

    struct Bench {
        state: tempfile::TempDir,
        components: Components,
        ledger: Ledger,
    }

    impl Bench {
        fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            let components = Components::new(None, state.path().to_owned());
            let ledger = Ledger::new(state.path());
            Self { state, components, ledger }
        }

        async fn boot(&self, provider: &FakeProvider) -> Result<Box<dyn Cluster>, ProviderError> {
            let context =
                BootContext { components: &self.components, ledger: &self.ledger, progress: &|_| () };
            provider.boot(ClusterRequest::new("1", 2, self.state.path().join("logs")), context).await
        }
    }

    #[tokio::test]
    async fn cluster_boots_with_ready_nodes_and_leaves_the_ledger_empty() {
        let (bench, provider) = (Bench::new(), FakeProvider::default());
        let cluster = bench.boot(&provider).await.unwrap();
        let (client, soon) = (cluster.client().await.unwrap(), Duration::from_secs(1));
        crate::nodes_ready(&client, 2, soon).await.unwrap();
        crate::namespace_ready(&client, "kube-system", soon).await.unwrap();
        assert_eq!(client.apiserver_version().await.unwrap().git_version, KUBERNETES);
        cluster.shell().unwrap().exec("node1", &["conntrack", "-F"]).await.unwrap();
        assert_eq!(bench.ledger.ids().unwrap(), ["1"]);
        cluster.destroy().await.unwrap();
        assert!(bench.ledger.ids().unwrap().is_empty());
        assert_eq!(provider.calls(), ["boot 1", "exec node1: conntrack -F", "destroy 1"]);
    }

    #[tokio::test]
    async fn failed_boot_leaves_an_entry_to_collect() {
        let bench = Bench::new();
        let provider = FakeProvider { boot_error: Some("no memory".to_owned()), ..Default::default() };
        assert_eq!(bench.boot(&provider).await.unwrap_err().to_string(), "no memory");
        assert_eq!(bench.ledger.ids().unwrap(), ["1"]);
        provider.collect(&bench.ledger, "1").await.unwrap();
        assert!(bench.ledger.ids().unwrap().is_empty());
    }

    #[tokio::test]
    async fn objects_are_created_listed_and_deleted() {
        let api = FakeApi::default();
        let maps: Api<ConfigMap> = Api::namespaced(api.client(), "default");
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
        assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1);
        assert_eq!(maps.get("a").await.unwrap().metadata.name.as_deref(), Some("a"));
        maps.delete("a", &DeleteParams::default()).await.unwrap();
        assert!(maps.get_opt("a").await.unwrap().is_none());
        let lines: Vec<String> = api.calls().iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], "POST /api/v1/namespaces/default/configmaps");
        assert_eq!(lines.len(), 5);
    }

    #[tokio::test]
    async fn scripted_responses_come_in_order_and_the_last_one_stays() {
        let api = FakeApi::default();
        let path = "/api/v1/namespaces/default/configmaps/a";
        api.respond(
            "GET",
            path,
            503,
            json!({"kind": "Status", "status": "Failure", "code": 503, "message": "busy"}),
        );
        api.respond("GET", path, 200, json!({"metadata": {"name": "a"}}));
        let maps: Api<ConfigMap> = Api::namespaced(api.client(), "default");
        assert!(maps.get("a").await.is_err());
        for _ in 0..2 {
            maps.get("a").await.unwrap();
        }
    }
}
