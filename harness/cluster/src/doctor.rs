//! What a sandbox needs of the machine, whether it is there, and what brings it.

use std::path::Path;

use crate::components::{Component, Components};
use crate::images::host_program;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub what: String,
    /// How it stands.
    pub state: State,
    /// What was found, or what to do.
    pub detail: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Fine,
    /// It is not there; nothing fails for it, but something is slower or left out.
    Note,
    /// It is not there, and no sandbox comes up without it.
    Missing,
}

/// Programs that must be installed, with their Debian packages.
const PROGRAMS: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("ldd", "libc-bin"),
];

/// CNI plugins that every container runtime needs.
const CNI_LOOPBACK: &str = "/usr/lib/cni/loopback";

/// Looks at everything; only finding versions starts other programs.
pub async fn examine(components: &Components) -> Vec<Check> {
    let mut checks = vec![root(), cgroups()];
    checks.extend(PROGRAMS.map(|(name, package)| program(name, package)));
    checks.push(cni());
    checks.extend(KERNEL.map(|(name, file, why)| kernel(name, file, why)));
    for component in Component::CLUSTER.into_iter().chain([Component::Helm]) {
        checks.push(self::component(components, component).await);
    }
    checks
}

/// What a kind cluster needs beside that; nothing of it is needed for a sandbox.
pub async fn examine_kind(components: &Components) -> Vec<Check> {
    let mut checks = crate::kind::examine().await;
    checks.push(component(components, Component::Kind).await);
    checks
}

/// What a sandbox cannot do without, of the checks that need no component.
#[must_use]
pub fn missing() -> Vec<Check> {
    let mut checks = vec![root(), cgroups()];
    checks.extend(PROGRAMS.map(|(name, package)| program(name, package)));
    checks.push(cni());
    checks.retain(|check| check.state == State::Missing);
    checks
}

pub(crate) fn check(what: &str, state: State, detail: impl Into<String>) -> Check {
    Check { what: what.to_owned(), state, detail: detail.into() }
}

fn root() -> Check {
    if nix::unistd::geteuid().is_root() {
        return check("root", State::Fine, "namespaces can be made");
    }
    check("root", State::Missing, "a sandbox makes namespaces; run it as root, for example with sudo")
}

fn cgroups() -> Check {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return check("cgroups", State::Fine, "version 2");
    }
    if root.join("memory").is_dir() && root.join("pids").is_dir() {
        return check("cgroups", State::Fine, "version 1");
    }
    check(
        "cgroups",
        State::Missing,
        "no cgroup hierarchy is mounted at /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup",
    )
}

fn program(name: &str, package: &str) -> Check {
    match host_program(name, package) {
        Ok(path) => check(name, State::Fine, path.display().to_string()),
        Err(_) => check(name, State::Missing, format!("apt-get install {package}")),
    }
}

fn cni() -> Check {
    if Path::new(CNI_LOOPBACK).exists() {
        return check("CNI plugins", State::Fine, "/usr/lib/cni");
    }
    check("CNI plugins", State::Missing, "apt-get install containernetworking-plugins")
}

/// Features of the kernel: name, a file that is there when it is, and what needs it.
const KERNEL: [(&str, &str, &str); 3] = [
    ("network namespaces", "/proc/self/ns/net", "nodes"),
    ("cgroup namespaces", "/proc/self/ns/cgroup", "nodes"),
    ("connection tracking", "/proc/sys/net/netfilter", "services"),
];

fn kernel(name: &str, file: &str, why: &str) -> Check {
    if Path::new(file).exists() {
        return check(name, State::Fine, "in the kernel");
    }
    check(
        name,
        State::Note,
        format!("{file} is not there; {why} may not work (a module may be loaded on first use)"),
    )
}

async fn component(components: &Components, component: Component) -> Check {
    let name = component.name();
    match components.find(component).await {
        Some(path) => check(name, State::Fine, path.display().to_string()),
        None if which::which("go").is_ok() => {
            check(name, State::Note, "will be built with Go on first use (minutes, once)")
        }
        None => check(
            name,
            State::Missing,
            "install Go 1.24 or newer to build it, or name a folder that holds it with --components",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_comes_with_the_command_that_installs_it() {
        let found = program("no-such-program", "some-package");
        assert_eq!((found.state, found.detail.as_str()), (State::Missing, "apt-get install some-package"));
    }

    #[tokio::test]
    async fn missing_component_in_a_named_folder_is_not_fine() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::new(Some(folder.path().to_owned()), folder.path().to_owned());
        assert_ne!(component(&components, Component::Etcd).await.state, State::Fine);
    }
}
