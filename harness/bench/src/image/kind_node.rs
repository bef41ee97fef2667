//! A node image for kind v0.33, made without an image registry.
//!
//! The images of the control plane are in it, each of one program and its libraries. CoreDNS is not: seatrial brings a
//! DNS server of its own. The image is kept in the cache, under the hash of everything that it is made of.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::components::KUBERNETES;
use cluster::images::{LayerBuilder, write_archive};
use cluster::{Component, GoProgram, Image, Run};
use sha2::{Digest as _, Sha256};

use super::debian;
use super::programs::{KUBE_PROXY, KUBEADM, KUBECTL, PAUSE};

/// How the image is made: a part of its hash.
const RECIPE: [&str; 2] = [include_str!("kind_node.rs"), include_str!("debian.rs")];
const ENTRYPOINT: &str = include_str!("../../../../ci/kind-node/entrypoint");
const KUBELET_CGROUPS: &str = include_str!("../../../../ci/kind-node/kubelet-cgroups");
const LOAD_IMAGES: &str = include_str!("../../../../ci/kind-node/load-images");
const CONTAINERD_CONFIG: &str = include_str!("../../../../ci/kind-node/containerd.toml");
const UNITS: [(&str, &str); 2] = [
    ("kubelet.service", include_str!("../../../../ci/kind-node/kubelet.service")),
    ("containerd.service", include_str!("../../../../ci/kind-node/containerd.service")),
];

/// `kind load` runs it to learn whether the node has an image; when it fails, the image is loaded.
const CRICTL: &str = "#!/bin/sh\nexit 1\n";

/// Units of systemd that a container does not need, or that would change the host.
const MASKED: [&str; 14] = [
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-logind.service",
    "getty.target",
    "console-getty.service",
    "systemd-timesyncd.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
];

/// The programs of the control plane's images.
const IN_IMAGES: [GoProgram<'static>; 2] = [KUBE_PROXY, PAUSE];
const COMPONENTS: [Component; 4] =
    [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::Scheduler];

/// Makes the image unless Docker has it, and returns its name.
pub(super) async fn make(cache: &Path, progress: &(dyn Fn(String) + Sync)) -> anyhow::Result<String> {
    let (tag, folder) = (format!("{KUBERNETES}-{}", hash()), cache.join("kind"));
    let image = format!("seatrial/node:{tag}");
    if !Run::new("docker").args(["image", "ls", "-q", &image]).output().await?.trim().is_empty() {
        return Ok(image);
    }
    let archive = folder.join(format!("node-{tag}.tar"));
    if !archive.is_file() {
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let work = tempfile::tempdir()?;
        let root = work.path().join("root");
        std::fs::create_dir(&root)?;
        fill(&root, work.path(), cache, progress).await?;
        progress("packing".to_owned());
        let partial = archive.with_extension("partial");
        let tar = Run::new("tar").arg("-C").arg(&root).args(["--one-file-system", "-cf"]);
        tar.arg(&partial).arg(".").output().await?;
        std::fs::rename(&partial, &archive)?;
    }
    progress(format!("importing {image}"));
    let changes = ["-c", r#"ENTRYPOINT ["/kind/bin/entrypoint"]"#, "-c", "ENV container=docker"];
    Run::new("docker").arg("import").args(changes).arg(&archive).arg(&image).output().await?;
    Ok(image)
}

/// The first twelve digits of the hash of everything that the image is made of.
fn hash() -> String {
    let mut hash = Sha256::new();
    let files = RECIPE.iter().chain([&ENTRYPOINT, &KUBELET_CGROUPS, &LOAD_IMAGES, &CONTAINERD_CONFIG]);
    let units = UNITS.iter().map(|(_, text)| text);
    let modules = [Component::Kubelet.program().go_sum, KUBE_PROXY.go_sum];
    let pause = PAUSE.sources.iter().map(|(_, text)| text);
    files.chain(units).chain(&modules).chain(pause).for_each(|text| hash.update(text));
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fills the root of the node's file system.
async fn fill(
    root: &Path,
    work: &Path,
    cache: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> anyhow::Result<()> {
    let mut programs = Vec::new();
    for program in COMPONENTS.map(Component::program).iter().chain(&IN_IMAGES) {
        programs.push((program.name, program.resolve(cache, progress).await?));
    }
    let mut tools = Vec::new();
    for program in [Component::Kubelet.program(), KUBEADM, KUBECTL] {
        tools.push((program.name, program.resolve(cache, progress).await?));
    }
    debian::unpack(root, cache, progress).await?;

    progress("adding Kubernetes".to_owned());
    for (name, program) in &tools {
        std::fs::copy(program, root.join("usr/bin").join(name))?;
    }
    let (_, kubeadm) = &tools[1];
    let names = control_plane_images(kubeadm).await?;
    write_files(root, names.of("pause")?)?;
    copy_plugins(root)?;
    enable_units(root)?;

    progress("loading the images".to_owned());
    let mut images = Vec::new();
    for (name, program) in &programs {
        images.push(image_of(name, program, names.of(name)?, root, work).await?);
    }
    write_archive(&root.join("kind/images.tar"), &images)?;
    // The mounts are gone with their namespace, however this ends.
    let load = ["--mount", "--propagation", "private", "sh", "-euc", LOAD_IMAGES, "load-images"];
    Run::new("unshare").args(load).arg(root).output().await.context("containerd cannot load the images")?;
    Ok(())
}

/// Names of the control plane's images, as kubeadm writes them into its manifests.
struct Names(Vec<String>);

impl Names {
    fn of(&self, program: &str) -> anyhow::Result<&str> {
        let part = format!("/{program}:");
        let name = self.0.iter().find(|name| name.contains(&part));
        name.map(String::as_str).with_context(|| format!("kubeadm names no image of {program}"))
    }
}

async fn control_plane_images(kubeadm: &Path) -> anyhow::Result<Names> {
    let list = ["config", "images", "list", "--kubernetes-version", KUBERNETES];
    let printed = Run::new(kubeadm).args(list).output().await?;
    Ok(Names(printed.lines().map(str::to_owned).collect()))
}

/// An image of one program; kube-proxy also gets nft, with which it writes its rules.
async fn image_of(
    name: &str,
    program: &Path,
    reference: &str,
    root: &Path,
    work: &Path,
) -> anyhow::Result<Image> {
    let mut layer = LayerBuilder::create(&work.join(format!("{name}.tar")))?;
    // Manifests name kube-proxy by this path, and the others by their name alone.
    let path = format!("/usr/local/bin/{name}");
    layer.program(program, &path).await?;
    layer.link(&format!("/usr/bin/{name}"), &path)?;
    if name == KUBE_PROXY.name {
        layer.program_of(root, "/usr/sbin/nft").await?;
    }
    let layers = vec![layer.finish()?];
    Ok(Image { reference: reference.to_owned(), layers, entrypoint: vec![path], env: Vec::new() })
}

fn write_files(root: &Path, pause: &str) -> anyhow::Result<()> {
    let containerd = CONTAINERD_CONFIG.replace("@PAUSE@", pause);
    let files = [
        ("kind/bin/entrypoint", ENTRYPOINT, 0o755),
        ("kind/bin/kubelet-cgroups", KUBELET_CGROUPS, 0o755),
        ("kind/version", KUBERNETES, 0o644),
        ("usr/bin/crictl", CRICTL, 0o755),
        ("etc/containerd/config.toml", &containerd, 0o644),
    ];
    for (path, text, mode) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
    }
    for folder in ["kind/manifests", "etc/cni/net.d", "etc/kubernetes/manifests"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    Ok(())
}

fn copy_plugins(root: &Path) -> anyhow::Result<()> {
    let target = root.join("opt/cni/bin");
    std::fs::create_dir_all(&target)?;
    for plugin in std::fs::read_dir(root.join("usr/lib/cni"))? {
        let plugin = plugin?;
        std::fs::copy(plugin.path(), target.join(plugin.file_name()))?;
    }
    Ok(())
}

fn enable_units(root: &Path) -> anyhow::Result<()> {
    let units = root.join("etc/systemd/system");
    let wanted = units.join("multi-user.target.wants");
    std::fs::create_dir_all(&wanted)?;
    for (name, text) in UNITS {
        std::fs::write(units.join(name), text)?;
        replace_link(&format!("/etc/systemd/system/{name}"), wanted.join(name))?;
    }
    replace_link("/lib/systemd/system/multi-user.target", units.join("default.target"))?;
    for unit in MASKED {
        replace_link("/dev/null", units.join(unit))?;
    }
    Ok(())
}

fn replace_link(target: &str, link: PathBuf) -> std::io::Result<()> {
    match std::fs::remove_file(&link) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    symlink(target, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_of_a_program_is_found_by_its_name() {
        let names = ["registry.k8s.io/kube-proxy:v1.34.4", "registry.k8s.io/pause:3.10.1"];
        let names = Names(names.map(str::to_owned).into());
        assert_eq!(names.of("pause").unwrap(), "registry.k8s.io/pause:3.10.1");
        assert!(names.of("proxy").is_err());
    }

    #[test]
    fn services_replace_what_debian_enables() {
        let root = tempfile::tempdir().unwrap();
        let units = root.path().join("etc/systemd/system");
        std::fs::create_dir_all(&units).unwrap();
        symlink("/lib/systemd/system/graphical.target", units.join("default.target")).unwrap();
        enable_units(root.path()).unwrap();
        let target = std::fs::read_link(units.join("default.target")).unwrap();
        assert_eq!(target, Path::new("/lib/systemd/system/multi-user.target"));
        assert!(units.join("multi-user.target.wants/kubelet.service").is_symlink());
    }
}
