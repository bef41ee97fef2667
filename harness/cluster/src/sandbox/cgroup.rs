//! One cgroup for all processes of a cluster, in every hierarchy, and cgroup namespaces rooted at it.
//!
//! Works with cgroup v1 (also with an unused v2 mount, the "hybrid" layout) and with cgroup v2.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mounts::{file_system, folder, write};

const ROOT: &str = "/sys/fs/cgroup";

/// A mounted hierarchy: where, and the mount data that names its controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    V1 { controllers: String },
    V2,
}

impl Hierarchy {
    /// The file with the weight of a cgroup, and the default weight; `None` in a hierarchy without weights.
    fn weights(&self) -> Option<(&'static str, u32)> {
        match &self.kind {
            Kind::V1 { controllers } if controllers.split(',').any(|c| c == "cpu") => {
                Some(("cpu.shares", 1_024))
            }
            Kind::V1 { .. } => None,
            Kind::V2 => Some(("cpu.weight", 100)),
        }
    }
}

/// The hierarchies of this mount namespace: all v1 ones, or the v2 one when it is mounted at the root.
pub(crate) fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    Ok(parse_mountinfo(&fs::read_to_string("/proc/self/mountinfo")?))
}

fn parse_mountinfo(text: &str) -> Vec<Hierarchy> {
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let path = PathBuf::from(left.split(' ').nth(4)?);
        let mut right = right.split(' ');
        let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
        match kind {
            "cgroup" => {
                let controllers: Vec<_> = options.split(',').filter(|o| !matches!(*o, "rw" | "ro")).collect();
                Some(Hierarchy { path, kind: Kind::V1 { controllers: controllers.join(",") } })
            }
            "cgroup2" if path == Path::new(ROOT) => Some(Hierarchy { path, kind: Kind::V2 }),
            _ => None,
        }
    };
    // A covered mount is still listed: the last mount at a path is the visible one.
    let seen: BTreeMap<PathBuf, Hierarchy> =
        text.lines().filter_map(parse).map(|hierarchy| (hierarchy.path.clone(), hierarchy)).collect();
    seen.into_values().collect()
}

/// Creates the cgroup `name` below the current root in every hierarchy.
pub(crate) fn make(name: &str) -> io::Result<()> {
    for hierarchy in hierarchies()? {
        if hierarchy.kind == Kind::V2 {
            delegate(&hierarchy.path)?;
        }
        folder(&hierarchy.path.join(name))?;
    }
    Ok(())
}

/// Creates the cgroup `name` below the current root in every hierarchy and moves this process into it.
///
/// In v2, `enter_namespace` then moves the process into a leaf, `name/init`, since a cgroup that delegates controllers to its
/// children cannot contain a process itself.
pub(crate) fn enter(name: &str) -> io::Result<()> {
    make(name)?;
    for hierarchy in hierarchies()? {
        let cgroup = hierarchy.path.join(name);
        if let Kind::V1 { controllers } = &hierarchy.kind
            && controllers.split(',').any(|c| c == "cpuset")
        {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                write(&cgroup.join(file), &fs::read_to_string(hierarchy.path.join(file))?)?;
            }
        }
        write(&cgroup.join("cgroup.procs"), "0")?;
    }
    Ok(())
}

/// Makes the current cgroup the root of a new cgroup namespace, and prepares it for children (v2).
pub(crate) fn enter_namespace(name: &str) -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)?;
    for hierarchy in hierarchies()?.into_iter().filter(|h| h.kind == Kind::V2) {
        let root = hierarchy.path.join(name);
        folder(&root.join("init"))?;
        write(&root.join("init/cgroup.procs"), "0")?;
        delegate(&root)?;
    }
    Ok(())
}

/// Creates a cgroup where necessary, and sets its weight, in eighths of the default weight.
///
/// Without weights, every thread of the control plane counts as much as a whole node, and probes are tens of milliseconds late
/// whenever agents restart.
pub(crate) fn weigh(name: &str, eighths: u32) -> io::Result<()> {
    for hierarchy in hierarchies()? {
        let Some((file, one)) = hierarchy.weights() else { continue };
        let cgroup = hierarchy.path.join(name);
        folder(&cgroup)?;
        let file = cgroup.join(file);
        // The file does not exist where the controller is not delegated. Weights are optional.
        if file.exists() {
            write(&file, &(eighths * one / 8).to_string())?;
        }
    }
    Ok(())
}

/// Whether cgroups below the current root can have weights.
pub(crate) fn can_weigh() -> bool {
    let weighs = |hierarchy: &Hierarchy| match hierarchy.kind {
        Kind::V1 { .. } => hierarchy.weights().is_some(),
        Kind::V2 => {
            let controllers = fs::read_to_string(hierarchy.path.join("cgroup.controllers"));
            controllers.is_ok_and(|controllers| controllers.split_whitespace().any(|c| c == "cpu"))
        }
    };
    hierarchies().is_ok_and(|hierarchies| hierarchies.iter().any(weighs))
}

/// Delegates every controller of a v2 cgroup to its children.
fn delegate(cgroup: &Path) -> io::Result<()> {
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers"))?;
    for controller in controllers.split_whitespace() {
        write(&cgroup.join("cgroup.subtree_control"), &format!("+{controller}"))?;
    }
    Ok(())
}

/// Mounts the hierarchies again at the same paths, as this cgroup namespace sees them, over a new sysfs.
pub(crate) fn remount() -> io::Result<()> {
    let hierarchies = hierarchies()?;
    file_system("sysfs", Path::new("/sys"), "")?;
    if hierarchies.iter().any(|h| h.kind != Kind::V2) {
        file_system("tmpfs", Path::new(ROOT), "mode=755")?;
    }
    for hierarchy in hierarchies {
        match &hierarchy.kind {
            Kind::V1 { controllers } => {
                folder(&hierarchy.path)?;
                file_system("cgroup", &hierarchy.path, controllers)?;
            }
            Kind::V2 => file_system("cgroup2", Path::new(ROOT), "")?,
        }
    }
    Ok(())
}

/// Memory of the processes and the tmpfs of a cgroup and its children, without page cache, bytes.
pub(crate) fn memory(name: &str) -> Option<u64> {
    let hierarchies = hierarchies().ok()?;
    let memory = hierarchies.iter().find_map(|h| match &h.kind {
        Kind::V1 { controllers } if controllers.split(',').any(|c| c == "memory") => {
            Some((h, ["total_rss", "total_shmem"]))
        }
        Kind::V1 { .. } => None,
        Kind::V2 => Some((h, ["anon", "shmem"])),
    });
    let (hierarchy, keys) = memory?;
    let stat = fs::read_to_string(hierarchy.path.join(name).join("memory.stat")).ok()?;
    let value = |key: &str| stat.lines().find_map(|l| l.strip_prefix(key)?.trim().parse::<u64>().ok());
    Some(keys.iter().filter_map(|key| value(&format!("{key} "))).sum())
}

/// Removes a cgroup and its children in every hierarchy; `Ok(false)` while one of them still has a process.
pub(crate) fn remove(name: &str) -> io::Result<bool> {
    let mut gone = true;
    for hierarchy in hierarchies()? {
        gone &= remove_tree(&hierarchy.path.join(name))?;
    }
    Ok(gone)
}

fn remove_tree(folder: &Path) -> io::Result<bool> {
    let children = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    let mut gone = true;
    for child in children {
        let child = child?;
        if child.file_type()?.is_dir() {
            gone &= remove_tree(&child.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Ok(()) => Ok(gone),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(gone),
        Err(e) if e.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_layout_is_v1() {
        let text = "25 30 0:22 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    26 30 0:23 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                    27 30 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = parse_mountinfo(text);
        let controllers: Vec<_> = found
            .iter()
            .map(|h| match &h.kind {
                Kind::V1 { controllers } => controllers.as_str(),
                Kind::V2 => "v2",
            })
            .collect();
        assert_eq!(controllers, ["cpu", "name=systemd"]);
    }

    #[test]
    fn unified_layout_is_v2() {
        let found = parse_mountinfo("25 30 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
        assert_eq!(found, [Hierarchy { path: ROOT.into(), kind: Kind::V2 }]);
    }
}
