//! Boots a kind cluster.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams};

use super::cluster::{KindCluster, remove};
use super::error::{KindError, MEMORY, io};
use super::shape::Shape;
use super::{KindProvider, LOCK, NAME, cluster_name, docker, mirrors, network, outside, version, weights};
use crate::components::Component;
use crate::images::write_archive;
use crate::ledger::Entry;
use crate::private_file;
use crate::provider::{BootContext, Progress};
use crate::request::{ClusterRequest, Cni};
use crate::spawn::Run;

/// The repository of node images that `ci/kind-node-image` makes.
pub(super) const OWN_IMAGES: &str = "seatrial/node";
/// How long kind may take to create a cluster, including a pull of its node image.
const CREATE: Duration = Duration::from_secs(40 * 60);

/// What a boot has found out before anything exists.
struct Plan<'a> {
    provider: &'a KindProvider,
    request: ClusterRequest,
    shape: Shape,
    kind: PathBuf,
    image: Option<String>,
}

/// Boots a cluster; when that fails, everything of it is removed.
pub(super) async fn boot(
    provider: &KindProvider,
    request: ClusterRequest,
    context: BootContext<'_>,
) -> Result<KindCluster, KindError> {
    docker::version().await?;
    enough_memory()?;
    let image = provider.image.clone().or_else(|| request.node_image.clone());
    image.as_deref().map_or(Ok(()), version::check_node)?;
    let kind = context.components.resolve(Component::Kind, context.progress).await?;
    version::check(&kind).await?;
    if let Some(network) = &provider.network {
        docker::check_network(network).await?;
    }
    let image = node_image(image.as_deref()).await?;
    let shape = provider.shape(&request)?;
    let entry = Entry::new(NAME, &request.id, shape.nodes());
    let held = context.ledger.enter(&entry)?;
    let mut cluster =
        KindCluster { entry, held, nodes: Vec::new(), control_plane: String::new(), outside: None };
    let plan = Plan { provider, request, shape, kind, image };
    match plan.create(&mut cluster, context.progress).await {
        Ok(()) => Ok(cluster),
        Err(e) => {
            remove(&cluster.entry, cluster.held).await?;
            Err(e)
        }
    }
}

impl Plan<'_> {
    async fn create(&self, cluster: &mut KindCluster, progress: &Progress<'_>) -> Result<(), KindError> {
        let name = cluster_name(&cluster.entry.id);
        // A network of its own can be removed without regard to other clusters.
        let network = self.provider.network.as_deref().unwrap_or(&name);
        progress(format!(
            "kind creates the nodes from {}",
            self.image.as_deref().unwrap_or("its default image")
        ));
        self.create_nodes(cluster, &name, network).await?;
        mirrors::write(&cluster.nodes, &self.provider.mirrors).await?;
        if let Some(layer) = self.request.images.first().and_then(|image| image.layers.first()) {
            cluster.outside = Some(outside::start(&name, network, layer.file(), &cluster.held).await?);
        }
        progress("loading the images into the nodes".to_owned());
        self.load_images(cluster).await?;
        weights::set(&name, &cluster.nodes).await?;
        let kubeconfig = cluster.kubeconfig_file();
        let client = crate::client::client(&kubeconfig).await?;
        cluster.entry.api = api_address(&kubeconfig)?;
        cluster.entry.nodes = u32::try_from(cluster.nodes.len()).unwrap_or(u32::MAX);
        cluster.held.write(&cluster.entry)?;
        if self.request.cni == Cni::Bridge {
            network::write(&client).await?;
        }
        remove_core_dns(client).await
    }

    /// Runs kind, and records the nodes.
    async fn create_nodes(
        &self,
        cluster: &mut KindCluster,
        name: &str,
        network: &str,
    ) -> Result<(), KindError> {
        let (config, kubeconfig) = (cluster.held.folder().join("kind.yaml"), cluster.kubeconfig_file());
        private_file::write(&config, self.shape.text.as_bytes())
            .map_err(io("the configuration of kind could not be written"))?;
        let create = Run::new(&self.kind)
            .args(["create", "cluster", "--retain", "--name", name])
            .args([OsStr::new("--config"), config.as_os_str()])
            .args([OsStr::new("--kubeconfig"), kubeconfig.as_os_str()])
            .args(self.image.iter().flat_map(|image| ["--image", image]))
            .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", network)
            .within(CREATE)
            // While kind or one of its docker commands runs, the entry is alive, even when this process is not.
            .holding(cluster.held.share_lock().map_err(io(LOCK))?)
            .map_err(io(LOCK))?;
        if let Err(source) = create.output().await {
            return Err(KindError::Create { logs: self.export_logs(name).await, source });
        }
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&kubeconfig, private)
            .map_err(io("the kubeconfig of the new cluster could not be made private"))?;
        let control_planes = docker::containers(name, Some("control-plane")).await?;
        let balancer = docker::containers(name, Some("external-load-balancer")).await?;
        let front = balancer.first().or(control_planes.first()).cloned().unwrap_or_default();
        cluster.control_plane = docker::address(&front).await?;
        cluster.nodes = control_planes;
        cluster.nodes.extend(docker::containers(name, Some("worker")).await?);
        Ok(())
    }

    /// Saves the logs of the nodes as far as possible, and returns their folder.
    async fn export_logs(&self, name: &str) -> PathBuf {
        let logs = self.request.logs.join("kind");
        let export = Run::new(&self.kind).args(["export", "logs", "--name", name]).args([&logs]);
        // The error that is reported is that of the creation.
        if let Err(e) = export.output().await {
            tracing::debug!(error = %e, "the logs are incomplete");
        }
        logs
    }

    async fn load_images(&self, cluster: &KindCluster) -> Result<(), KindError> {
        let archive = cluster.held.folder().join("images.tar");
        write_archive(&archive, &self.request.images)?;
        for archive in std::iter::once(&archive).chain(&self.request.archives) {
            let imports = cluster.nodes.iter().map(|node| docker::import(node, archive));
            futures_util::future::try_join_all(imports).await?;
        }
        std::fs::remove_file(&archive).map_err(io("the archive of the images could not be removed"))
    }
}

fn enough_memory() -> Result<(), KindError> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    // Without this line in the kernel's file, Docker fails if memory runs out.
    let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()) else {
        return Ok(());
    };
    if kib << 10 >= MEMORY { Ok(()) } else { Err(KindError::Memory { available_mib: kib >> 10 }) }
}

/// The requested image, which is pulled if necessary, or one of our own; `None` leaves the choice to kind.
async fn node_image(requested: Option<&str>) -> Result<Option<String>, KindError> {
    let Some(image) = requested else { return Ok(docker::newest(OWN_IMAGES).await?) };
    if !docker::has_image(image).await {
        docker::pull(image).await.map_err(|source| KindError::NoImage { image: image.to_owned(), source })?;
    }
    Ok(Some(image.to_owned()))
}

fn api_address(kubeconfig: &Path) -> Result<String, KindError> {
    let text = std::fs::read_to_string(kubeconfig)
        .map_err(io("the kubeconfig of the new cluster could not be read"))?;
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://"));
    Ok(server.unwrap_or_default().to_owned())
}

/// Every cluster of a run has the same DNS server, ours; that of kubeadm would respond too.
async fn remove_core_dns(client: kube::Client) -> Result<(), KindError> {
    let api: Api<Deployment> = Api::namespaced(client, "kube-system");
    match api.delete("coredns", &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(e) => Err(KindError::CoreDns(Box::new(e))),
    }
}
