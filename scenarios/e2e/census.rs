//! What exists on the machine that a run could have left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::command::state;

/// Everything that outlives a process, or is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    processes: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    mounts: usize,
    cgroups: BTreeSet<String>,
    listeners: BTreeSet<String>,
    ledger: BTreeSet<String>,
    scratch: BTreeSet<String>,
    logs: BTreeSet<String>,
}

impl Census {
    pub(crate) fn take() -> Self {
        let (mut processes, mut namespaces) = (BTreeSet::new(), BTreeSet::new());
        for process in names(Path::new("/proc")).into_iter().filter(|name| name.parse::<u32>().is_ok()) {
            let folder = Path::new("/proc").join(&process);
            for kind in ["net", "mnt", "pid"] {
                if let Ok(link) = fs::read_link(folder.join("ns").join(kind)) {
                    namespaces.insert(link.display().to_string());
                }
            }
            let command = fs::read(folder.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let program =
                command.split(' ').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
            let ours = ["seatrial-", "kubelet", "kube-", "etcd", "containerd", "cilium-", "probe-", "pause"];
            // A Docker daemon has a containerd of its own, and a new one after each start.
            let dockers = command.contains("/run/docker/");
            if ours.iter().any(|name| program.starts_with(name)) && !dockers {
                processes.insert(format!("{process}: {command}"));
            }
        }
        Self {
            processes,
            namespaces,
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines().count(),
            cgroups: cgroups(),
            listeners: listeners(),
            ledger: names(&state().join("clusters")),
            scratch: names(&state().join("scratch")),
            logs: names(&state().join("logs")),
        }
    }

    /// Waits until the machine is as it was `before`: what was killed needs a moment to be gone.
    pub(crate) fn wait_for(before: &Self) -> Result<(), Failed> {
        Self::wait(before, |now| now.clone())
    }

    /// The same for what runs, is mounted or listens; empty cgroups, the ledger and folders are left to `gc`.
    pub(crate) fn wait_for_processes(before: &Self) -> Result<(), Failed> {
        Self::wait(before, |now| Self {
            cgroups: BTreeSet::new(),
            ledger: BTreeSet::new(),
            scratch: BTreeSet::new(),
            logs: BTreeSet::new(),
            ..now.clone()
        })
    }

    fn wait(before: &Self, view: impl Fn(&Self) -> Self) -> Result<(), Failed> {
        until_nothing(|| view(&Self::take()).beyond(before))
    }

    fn beyond(&self, before: &Self) -> Vec<String> {
        let mut left = Vec::new();
        let sets = [
            ("process", &self.processes, &before.processes),
            ("namespace", &self.namespaces, &before.namespaces),
            ("cgroup", &self.cgroups, &before.cgroups),
            ("listener", &self.listeners, &before.listeners),
            ("ledger entry", &self.ledger, &before.ledger),
            ("folder", &self.scratch, &before.scratch),
            ("folder of logs", &self.logs, &before.logs),
        ];
        for (kind, now, then) in sets {
            left.extend(now.difference(then).map(|what| format!("{kind} {what}")));
        }
        if self.mounts > before.mounts {
            left.push(format!("{} mounts", self.mounts - before.mounts));
        }
        left
    }
}

/// Waits until nothing that carries the id of a run is left, whatever else is on the machine.
pub(crate) fn nothing_of(id: &str) -> Result<(), Failed> {
    until_nothing(|| left_of(id))
}

/// Everything of a run has its id in its name, or runs in a cgroup that does.
fn left_of(id: &str) -> Vec<String> {
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let processes = names(Path::new("/proc")).into_iter().filter(|name| name.parse::<u32>().is_ok());
    let left = processes.filter(|process| {
        let folder = Path::new("/proc").join(process);
        ["cgroup", "cmdline"].iter().any(|file| read(&folder.join(file)).contains(id))
    });
    let mut left: Vec<_> = left.map(|process| format!("process {process}")).collect();
    let mounts = read(Path::new("/proc/self/mountinfo"));
    left.extend(mounts.lines().filter(|line| line.contains(id)).map(|line| format!("mount {line}")));
    let cgroups = cgroups().into_iter().filter(|name| name.contains(id));
    left.extend(cgroups.map(|name| format!("cgroup {name}")));
    let entries = names(&state().join("clusters")).into_iter().filter(|name| name.contains(id));
    left.extend(entries.map(|name| format!("ledger entry {name}")));
    left
}

fn until_nothing(left: impl Fn() -> Vec<String>) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = left();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("left behind: {}", left.join("; ")).into());
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Names of the cgroups of runs, in every hierarchy.
fn cgroups() -> BTreeSet<String> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = names(root);
    let below = hierarchies.iter().flat_map(|hierarchy| names(&root.join(hierarchy)));
    let all = below.chain(hierarchies.iter().cloned());
    all.filter(|name| name.starts_with("seatrial-")).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Local addresses of listening TCP sockets, as the kernel prints them.
fn listeners() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let listening = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields.get(3) == Some(&"0A")).then(|| fields[1].to_owned())
    };
    table.lines().filter_map(listening).collect()
}
