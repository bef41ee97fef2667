//! What a sandbox needs on this machine.

use std::path::Path;

use crate::components::{Component, Components};
use crate::doctor::{Check, State, check, component, program};

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

/// The CNI plugin that every container runtime needs.
const CNI_LOOPBACK: &str = "/usr/lib/cni/loopback";

/// Checks everything; starts other programs only for their versions.
pub(super) async fn examine(components: &Components) -> Vec<Check> {
    let mut checks = vec![root(), cgroups()];
    checks.extend(PROGRAMS.map(|(name, package)| program(name, package)));
    checks.push(cni());
    checks.extend(KERNEL.map(|(name, file, why)| kernel(name, file, why)));
    for each in Component::CLUSTER.into_iter().chain([Component::Helm]) {
        checks.push(component(components, each).await);
    }
    checks
}

/// What is missing and required, without a look at the components.
pub(super) fn missing() -> Vec<Check> {
    let mut checks = vec![root(), cgroups()];
    checks.extend(PROGRAMS.map(|(name, package)| program(name, package)));
    checks.push(cni());
    checks.retain(|check| check.state == State::Missing);
    checks
}

fn root() -> Check {
    if nix::unistd::geteuid().is_root() {
        return check("root", State::Fine, "namespaces can be created");
    }
    check("root", State::Missing, "a sandbox creates namespaces; run it as root, for example with sudo")
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

fn cni() -> Check {
    if Path::new(CNI_LOOPBACK).exists() {
        return check("CNI plugins", State::Fine, "/usr/lib/cni");
    }
    check("CNI plugins", State::Missing, "apt-get install containernetworking-plugins")
}

/// Features of the kernel: name, a file that exists with it, and what needs it.
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
        format!("{file} does not exist; {why} may not work (unless a module is loaded on first use)"),
    )
}
