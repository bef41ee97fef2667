//! A cluster of the `kind` tool: nodes that are Docker containers, made by kubeadm.
//!
//! kind makes it, and nothing else of kind is needed afterwards: containers are found by the label that kind gives
//! them, and removed by Docker. The name of the cluster and of its network holds the id of the ledger's entry, so that
//! no other kind cluster is ever listed, used or removed.

mod docker;
mod doctor;
mod error;
mod mirror;
mod network;
mod outside;
mod shape;
mod version;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams};

pub(crate) use doctor::examine;
pub use error::KindError;
use error::{MEMORY, io};
pub use mirror::{BadMirror, Mirror};
pub use shape::{Shape, UnknownShape};
pub(crate) use version::{OLDEST, will_do};

use crate::clock;
use crate::components::{Component, Components};
use crate::images::{Image, write_archive};
use crate::ledger::{Entry, Held, Ledger, write_private};
use crate::outside::Outside;
use crate::sandbox::{API_INSIDE, Cni, Executed};
use crate::spawn::Run;

/// The provider's name in the ledger.
pub(crate) const PROVIDER: &str = "kind";
/// The repository of node images that `ci/kind-node-image` makes.
const OWN_IMAGES: &str = "seatrial/node";
const LOCK: &str = "the ledger's lock could not be shared with kind";

/// What a kind cluster shall be.
#[derive(Clone, Debug)]
pub struct KindRequest {
    /// Cluster id, also part of names of everything that it makes.
    pub id: String,
    /// Its configuration.
    pub shape: Shape,
    /// Who gives pods their network.
    pub cni: Cni,
    /// The node image; without one, the newest that `ci/kind-node-image` has made, else kind's own choice.
    pub image: Option<String>,
    /// A Docker network that is there, for its nodes to join; without one they get one of their own.
    pub network: Option<String>,
    /// Registries that its nodes ask before others.
    pub mirrors: Vec<Mirror>,
    /// A folder for logs; it is made where there is none, and something to write.
    pub logs: PathBuf,
    /// Images to load into every node.
    pub images: Vec<Image>,
    /// Archives of further images, OCI's or Docker's, loaded into each node.
    pub archives: Vec<PathBuf>,
}

/// A kind cluster. Its containers outlive this process: [`collect`] removes what is left of a dead one.
#[derive(Debug)]
pub struct Kind {
    entry: Entry,
    held: Held,
    nodes: Vec<String>,
    control_plane: String,
    outside: Option<Outside>,
}

impl Kind {
    /// Makes a cluster; returns when its API answers and its nodes have registered.
    ///
    /// When it fails, everything of it is removed. When the future is dropped, [`collect`] does that.
    ///
    /// # Errors
    /// When Docker, kind, memory or the node image is missing, or a node does not come up.
    pub async fn boot(
        request: KindRequest,
        components: &Components,
        ledger: &Ledger,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<Self, KindError> {
        docker::version().await?;
        enough_memory()?;
        request.image.as_deref().map_or(Ok(()), version::check_node)?;
        let kind = components.resolve(Component::Kind, progress).await?;
        version::check(&kind).await?;
        if let Some(network) = &request.network {
            docker::check_network(network).await?;
        }
        let image = node_image(request.image.as_deref()).await?;
        let entry = Entry::kind(&request.id, request.shape.nodes());
        let held = ledger.enter(&entry)?;
        let mut cluster =
            Self { entry, held, nodes: Vec::new(), control_plane: String::new(), outside: None };
        match cluster.create(&kind, image.as_deref(), &request, progress).await {
            Ok(()) => Ok(cluster),
            Err(e) => {
                cluster.destroy().await?;
                Err(e)
            }
        }
    }

    async fn create(
        &mut self,
        kind: &Path,
        image: Option<&str>,
        request: &KindRequest,
        progress: &(dyn Fn(String) + Sync),
    ) -> Result<(), KindError> {
        let (name, folder) = (name(&self.entry.id), self.held.folder().to_owned());
        let (config, kubeconfig) = (folder.join("kind.yaml"), self.kubeconfig());
        // One of its own can be removed without a look at other clusters.
        let network = request.network.as_deref().unwrap_or(&name);
        write_private(&config, request.shape.text.as_bytes())
            .map_err(io("kind's configuration could not be written"))?;
        progress(format!("kind makes the nodes from {}", image.unwrap_or("its own image")));
        let create = Run::new(kind)
            .args(["create", "cluster", "--retain", "--name", &name])
            .args([OsStr::new("--config"), config.as_os_str()])
            .args([OsStr::new("--kubeconfig"), kubeconfig.as_os_str()])
            .args(image.into_iter().flat_map(|image| ["--image", image]))
            .env("KIND_EXPERIMENTAL_DOCKER_NETWORK", network)
            // While kind or a docker command of it lives, the entry is alive, even when this process is not.
            .holding(self.held.share_lock().map_err(io(LOCK))?)
            .map_err(io(LOCK))?;
        if let Err(source) = create.output().await {
            let logs = request.logs.join("kind");
            // What can be saved is; the error is kind's own either way.
            let export = Run::new(kind).args(["export", "logs", "--name", &name]).args([&logs]);
            if let Err(e) = export.output().await {
                tracing::debug!(error = %e, "the logs are incomplete");
            }
            return Err(KindError::Create { logs, source });
        }
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&kubeconfig, private)
            .map_err(io("the kubeconfig of the new cluster cannot be used"))?;
        let control_planes = docker::containers(&name, Some("control-plane")).await?;
        let balancer = docker::containers(&name, Some("external-load-balancer")).await?;
        let front = balancer.first().or(control_planes.first()).cloned().unwrap_or_default();
        self.control_plane = docker::address(&front).await?;
        self.nodes = control_planes;
        self.nodes.extend(docker::containers(&name, Some("worker")).await?);
        mirror::lay(&self.nodes, &request.mirrors).await?;
        if let Some(layer) = request.images.first().and_then(|image| image.layers.first()) {
            self.outside = Some(outside::start(&name, network, layer.file(), &self.held).await?);
        }
        progress("loading the images into the nodes".to_owned());
        let archive = folder.join("images.tar");
        write_archive(&archive, &request.images)?;
        for archive in std::iter::once(&archive).chain(&request.archives) {
            let imports = self.nodes.iter().map(|node| docker::import(node, archive));
            futures_util::future::try_join_all(imports).await?;
        }
        std::fs::remove_file(&archive).map_err(io("the archive of the images could not be removed"))?;
        let client = crate::client(&kubeconfig).await?;
        self.entry.api = api_address(&kubeconfig)?;
        self.entry.nodes = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.held.write(&self.entry)?;
        if request.cni == Cni::Bridge {
            network::lay(&client).await?;
        }
        remove_core_dns(client).await
    }

    /// Cluster id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// The kubeconfig of its administrator, readable by this user only.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.held.folder().join("kubeconfig")
    }

    /// Names of its nodes, which are those of their containers.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        self.nodes.clone()
    }

    /// Address under which pods and agents reach the API server without any service translation.
    #[must_use]
    pub fn api_inside(&self) -> (String, u16) {
        (self.control_plane.clone(), API_INSIDE.1)
    }

    /// The host outside of it, on the network of its nodes.
    pub(crate) fn outside(&self) -> Option<Outside> {
        self.outside.clone()
    }

    /// Lets it outlive this process; it is then removed by [`down`].
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn release(mut self) -> Result<(), KindError> {
        self.entry.kept = true;
        Ok(self.held.write(&self.entry)?)
    }

    /// Takes it down: when this returns no container, volume, network or file of it is left.
    ///
    /// # Errors
    /// When something is still there after the deadline; `seatrial gc` tries again.
    pub async fn destroy(self) -> Result<(), KindError> {
        remove(&self.entry, self.held).await
    }
}

/// The name of kind's cluster, and of the network that is its own.
fn name(id: &str) -> String {
    format!("seatrial-{id}")
}

fn enough_memory() -> Result<(), KindError> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    // Where the kernel does not say, Docker will.
    let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()) else {
        return Ok(());
    };
    if kib << 10 >= MEMORY { Ok(()) } else { Err(KindError::Memory { available_mib: kib >> 10 }) }
}

/// The image that was asked for, which is pulled if it must be, or our own; `None` leaves the choice to kind.
async fn node_image(asked: Option<&str>) -> Result<Option<String>, KindError> {
    let Some(image) = asked else { return Ok(docker::newest(OWN_IMAGES).await?) };
    if !docker::has_image(image).await {
        docker::pull(image).await.map_err(|source| KindError::NoImage { image: image.to_owned(), source })?;
    }
    Ok(Some(image.to_owned()))
}

fn api_address(kubeconfig: &Path) -> Result<String, KindError> {
    let text = std::fs::read_to_string(kubeconfig)
        .map_err(io("the kubeconfig of the new cluster cannot be used"))?;
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://"));
    Ok(server.unwrap_or_default().to_owned())
}

/// Every cluster of a run has the same DNS server, ours; kubeadm's would answer beside it.
async fn remove_core_dns(client: kube::Client) -> Result<(), KindError> {
    let api: Api<Deployment> = Api::namespaced(client, "kube-system");
    match api.delete("coredns", &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(e) => Err(KindError::CoreDns(Box::new(e))),
    }
}

/// Removes everything of a cluster, its entry last.
async fn remove(entry: &Entry, held: Held) -> Result<(), KindError> {
    docker::remove(&name(&entry.id)).await?;
    Ok(held.remove()?)
}

/// Runs a command in a node, as root.
///
/// # Errors
/// When the cluster has no such node or the command fails.
pub async fn exec(entry: &Entry, node: &str, argv: &[&str]) -> Result<Executed, KindError> {
    let nodes = docker::containers(&name(&entry.id), None).await?;
    if !nodes.iter().any(|known| known == node) {
        return Err(KindError::NoNode { node: node.to_owned(), known: nodes.join(", ") });
    }
    let started_ns = clock::monotonic_ns();
    let output = docker::exec(node, argv).await?;
    Ok(Executed { started_ns, ended_ns: clock::monotonic_ns(), output })
}

/// Removes what a dead cluster has left; waits for a kind that is still at work on it.
///
/// # Errors
/// When somebody holds it after the deadline, or something cannot be removed.
pub async fn collect(ledger: &Ledger, id: &str) -> Result<(), KindError> {
    let held = ledger.wait_dead(id, Duration::from_secs(60)).await?;
    match held {
        Some(held) => remove(&held.read()?, held).await,
        None => Ok(()),
    }
}

/// Ends a cluster, kept or not, and removes it.
///
/// # Errors
/// When something of it cannot be removed.
pub async fn down(ledger: &Ledger, entry: &Entry) -> Result<(), KindError> {
    docker::remove(&name(&entry.id)).await?;
    ledger.abandon(entry)?;
    collect(ledger, &entry.id).await
}
