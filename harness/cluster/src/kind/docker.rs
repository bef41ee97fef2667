//! Docker through its own command, as kind itself uses it: the same daemon, context and credentials as kind's.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::KindError;
use crate::spawn::{CommandError, Run};
use crate::wait;

/// The label by which kind finds the containers of a cluster.
const CLUSTER: &str = "io.x-k8s.kind.cluster";
/// The label that says what a container is in its cluster.
const ROLE: &str = "io.x-k8s.kind.role";

fn docker<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    Run::new("docker").args(args)
}

/// Says which version the daemon has.
pub(super) async fn version() -> Result<String, KindError> {
    if which::which("docker").is_err() {
        return Err(KindError::NoDocker);
    }
    let said = docker(["version", "--format", "{{.Server.Version}}"]).output().await;
    Ok(said.map_err(KindError::DockerSilent)?.trim().to_owned())
}

/// Whether an image is on this machine.
pub(super) async fn has_image(image: &str) -> bool {
    docker(["image", "inspect", "--format", "{{.Id}}", image]).output().await.is_ok()
}

/// Pulls an image.
pub(super) async fn pull(image: &str) -> Result<(), CommandError> {
    docker(["pull", "--quiet", image]).output().await.map(drop)
}

/// The newest image of a repository, if there is one.
pub(super) async fn newest(repository: &str) -> Result<Option<String>, CommandError> {
    let format = "{{.Repository}}:{{.Tag}}";
    let said = docker(["image", "ls", "--format", format, repository]).output().await?;
    Ok(said.lines().next().map(str::to_owned))
}

/// Checks that there is a network of this name: kind would make one, and nobody would remove it.
pub(super) async fn check_network(network: &str) -> Result<(), KindError> {
    match docker(["network", "inspect", "--format", "{{.Driver}}", network]).output().await {
        Ok(_) => Ok(()),
        Err(source) => Err(KindError::NoNetwork { network: network.to_owned(), source }),
    }
}

/// Names of a cluster's containers with this role, or with any.
pub(super) async fn containers(cluster: &str, role: Option<&str>) -> Result<Vec<String>, CommandError> {
    let mut filters = vec![format!("label={CLUSTER}={cluster}")];
    filters.extend(role.map(|role| format!("label={ROLE}={role}")));
    let mut args = vec!["ps", "--all", "--format", "{{.Names}}"];
    for filter in &filters {
        args.extend(["--filter", filter]);
    }
    let said = docker(args).output().await?;
    let mut names: Vec<String> = said.lines().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// The address of a container in its network.
pub(super) async fn address(container: &str) -> Result<String, CommandError> {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    Ok(docker(["inspect", "--format", format, container]).output().await?.trim().to_owned())
}

/// Loads an archive of images into the containerd of a node.
pub(super) async fn import(node: &str, archive: &Path) -> Result<(), KindError> {
    let file = File::open(archive).map_err(super::error::io("the archive of the images cannot be read"))?;
    let import = ["exec", "--interactive", node, "ctr", "--namespace=k8s.io", "images", "import", "-"];
    docker(import).stdin_file(file).output().await?;
    Ok(())
}

/// The image that belongs to a cluster.
fn image(cluster: &str) -> String {
    format!("{cluster}:latest")
}

/// Makes the cluster's image from one layer, an uncompressed tar; the lock is held meanwhile.
pub(super) async fn make_image(
    cluster: &str,
    layer: &Path,
    entrypoint: &str,
    lock: OwnedFd,
) -> Result<(), KindError> {
    let change = format!("ENTRYPOINT [\"{entrypoint}\"]");
    let import = docker(["import", "--change", &change]).args([layer]).args([image(cluster)]);
    import.holding(lock).map_err(super::error::io(super::LOCK))?.output().await?;
    Ok(())
}

/// Starts a container of the cluster's image on a network, with a folder of this machine in it; the lock is held
/// meanwhile. It is found, and goes, as its nodes do.
pub(super) async fn run(
    cluster: &str,
    role: &str,
    network: &str,
    (folder, mount): (&Path, &str),
    args: &[&str],
    lock: OwnedFd,
) -> Result<String, KindError> {
    let name = format!("{cluster}-{role}");
    let labels = [format!("{CLUSTER}={cluster}"), format!("{ROLE}={role}")];
    let volume = format!("{}:{mount}", folder.display());
    let run = docker(["run", "--detach", "--name", &name, "--network", network, "--volume", &volume])
        .args(labels.iter().flat_map(|label| ["--label", label]))
        .args([image(cluster)])
        .args(args);
    run.holding(lock).map_err(super::error::io(super::LOCK))?.output().await?;
    Ok(name)
}

/// Runs a command in a container, as root.
pub(super) async fn exec(container: &str, argv: &[&str]) -> Result<String, CommandError> {
    docker(["exec", container].into_iter().chain(argv.iter().copied())).output().await
}

/// Removes a cluster's containers, with their volumes, its image and its network; waits until they are gone.
pub(super) async fn remove(cluster: &str) -> Result<(), KindError> {
    version().await?;
    let probe = async || {
        let names = containers(cluster, None).await.map_err(|e| e.to_string())?;
        if !names.is_empty() {
            let rm = ["rm", "--force", "--volumes"].into_iter().chain(names.iter().map(String::as_str));
            docker(rm).output().await.map_err(|e| e.to_string())?;
            // A container that was being made meanwhile shows at the next look.
            return Err(format!("{} were there", names.join(", ")));
        }
        if has_image(&image(cluster)).await {
            docker(["image", "rm", "--force", &image(cluster)]).output().await.map_err(|e| e.to_string())?;
        }
        let filter = format!("name=^{cluster}$");
        let networks = docker(["network", "ls", "--quiet", "--filter", &filter]).output().await;
        match networks.map_err(|e| e.to_string())?.split_whitespace().next() {
            Some(network) => {
                docker(["network", "rm", network]).output().await.map_err(|e| e.to_string())?;
                Ok(())
            }
            None => Ok(()),
        }
    };
    let condition = format!("the containers of the kind cluster {cluster} to be gone");
    Ok(wait::until(&condition, Duration::from_secs(60), Duration::from_millis(100), probe).await?)
}
