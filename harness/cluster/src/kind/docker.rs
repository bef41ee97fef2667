//! Docker through its own command line, as kind uses it: with the same daemon, context and credentials.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::error::{KindError, io};
use crate::spawn::{CommandError, Run};
use crate::wait;

/// The label by which kind finds the containers of a cluster.
const CLUSTER: &str = "io.x-k8s.kind.cluster";
/// The label with the role of a container in its cluster.
const ROLE: &str = "io.x-k8s.kind.role";
/// How long a pull may take.
const PULL: Duration = Duration::from_secs(30 * 60);
/// How long a command of the user in a container may take.
const LONG: Duration = Duration::from_secs(24 * 3_600);
/// How long the import of an archive of images may take.
const IMPORT: Duration = Duration::from_secs(20 * 60);

fn docker<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    Run::new("docker").args(args)
}

/// The version of the daemon.
pub(super) async fn version() -> Result<String, KindError> {
    if which::which("docker").is_err() {
        return Err(KindError::NoDocker);
    }
    let output = docker(["version", "--format", "{{.Server.Version}}"]).output().await;
    Ok(output.map_err(KindError::DockerUnreachable)?.trim().to_owned())
}

/// Whether an image is on this machine.
pub(super) async fn has_image(image: &str) -> bool {
    docker(["image", "inspect", "--format", "{{.Id}}", image]).output().await.is_ok()
}

/// Pulls an image.
pub(super) async fn pull(image: &str) -> Result<(), CommandError> {
    docker(["pull", "--quiet", image]).within(PULL).output().await.map(drop)
}

/// The newest image of a repository, if there is one.
pub(super) async fn newest(repository: &str) -> Result<Option<String>, CommandError> {
    let format = "{{.Repository}}:{{.Tag}}";
    let output = docker(["image", "ls", "--format", format, repository]).output().await?;
    Ok(output.lines().next().map(str::to_owned))
}

/// Checks that a network of this name exists: kind would create it, and nothing would remove it.
pub(super) async fn check_network(network: &str) -> Result<(), KindError> {
    match docker(["network", "inspect", "--format", "{{.Driver}}", network]).output().await {
        Ok(_) => Ok(()),
        Err(source) => Err(KindError::NoNetwork { network: network.to_owned(), source }),
    }
}

/// Names of the containers of a cluster, with this role or with any.
pub(super) async fn containers(cluster: &str, role: Option<&str>) -> Result<Vec<String>, CommandError> {
    let mut filters = vec![format!("label={CLUSTER}={cluster}")];
    filters.extend(role.map(|role| format!("label={ROLE}={role}")));
    let mut args = vec!["ps", "--all", "--format", "{{.Names}}"];
    for filter in &filters {
        args.extend(["--filter", filter]);
    }
    let output = docker(args).output().await?;
    let mut names: Vec<String> = output.lines().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// The address of a container in its network.
pub(super) async fn address(container: &str) -> Result<String, CommandError> {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    Ok(docker(["inspect", "--format", format, container]).output().await?.trim().to_owned())
}

/// Changes the limits of containers.
pub(super) async fn update(containers: &[String], limits: &[&str]) -> Result<(), CommandError> {
    let names = containers.iter().map(String::as_str);
    docker(["update"].into_iter().chain(limits.iter().copied()).chain(names)).output().await.map(drop)
}

/// Loads an archive of images into the containerd of a node.
pub(super) async fn import(node: &str, archive: &Path) -> Result<(), KindError> {
    let file = File::open(archive).map_err(io("the archive of the images cannot be read"))?;
    let import = ["exec", "--interactive", node, "ctr", "--namespace=k8s.io", "images", "import", "-"];
    docker(import).stdin_file(file).within(IMPORT).output().await?;
    Ok(())
}

/// The image that belongs to a cluster.
fn image(cluster: &str) -> String {
    format!("{cluster}:latest")
}

/// Creates the image of the cluster from one layer, an uncompressed tar; the command holds the lock.
pub(super) async fn make_image(
    cluster: &str,
    layer: &Path,
    entrypoint: &str,
    lock: OwnedFd,
) -> Result<(), KindError> {
    let change = format!("ENTRYPOINT [\"{entrypoint}\"]");
    let import = docker(["import", "--change", &change]).args([layer]).args([image(cluster)]);
    import.holding(lock).map_err(io(super::LOCK))?.output().await?;
    Ok(())
}

/// Starts a container from the image of the cluster on a network, with a folder of this machine mounted; the command holds
/// the lock. The container has the labels of a node, and is removed with the nodes.
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
    run.holding(lock).map_err(io(super::LOCK))?.output().await?;
    Ok(name)
}

/// Runs a command in a container, as root.
pub(super) async fn exec(container: &str, argv: &[&str]) -> Result<String, CommandError> {
    exec_command(container, argv).output().await
}

/// Runs a command that may take hours in a container, as root.
pub(super) async fn exec_long(container: &str, argv: &[&str]) -> Result<String, CommandError> {
    exec_command(container, argv).within(LONG).output().await
}

fn exec_command(container: &str, argv: &[&str]) -> Run {
    docker(["exec", container].into_iter().chain(argv.iter().copied()))
}

/// Removes the containers of a cluster with their volumes, its image and its network; waits until they are gone.
pub(super) async fn remove(cluster: &str) -> Result<(), KindError> {
    version().await?;
    let probe = async || {
        let names = containers(cluster, None).await.map_err(|e| e.to_string())?;
        if !names.is_empty() {
            let rm = ["rm", "--force", "--volumes"].into_iter().chain(names.iter().map(String::as_str));
            docker(rm).output().await.map_err(|e| e.to_string())?;
            // A container that was just being created is found by the next check.
            return Err(format!("{} existed", names.join(", ")));
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
