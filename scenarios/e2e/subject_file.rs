//! A network component that no guide is about, from a subject file: flannel. `ci/flannel` makes its images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use model::{Change, Role};
use report::observation::Observation;
use report::run::{Run, Verdict};

use crate::command::{Running, check, run, seatrial};

const VERSIONS: [&str; 2] = ["0.25.7", "0.26.7"];
const FILES: [(&str, &str); 7] = [
    ("flannel.yaml", include_str!("flannel/flannel.yaml")),
    ("flannel-chart.yaml", include_str!("flannel/flannel-chart.yaml")),
    ("chart/Chart.yaml", include_str!("flannel/chart/Chart.yaml")),
    ("chart/values.yaml", include_str!("flannel/chart/values.yaml")),
    ("chart/templates/flannel.yaml", include_str!("flannel/chart/templates/flannel.yaml")),
    ("0.25.7.yaml", include_str!("flannel/0.25.7.yaml")),
    ("0.26.7.yaml", include_str!("flannel/0.26.7.yaml")),
];
/// What flannel carries, by where it goes; the rest of the standard traffic is not planned.
const CARRIED: [&str; 10] = [
    "canary-udp/cross-node",
    "held-tcp/cross-node/pod-ip/",
    "held-tcp/cross-node/pod-ipv6/",
    "held-tcp/same-node/pod-ip/",
    "new-tcp/pod-to-host/host-ip",
    "packet-icmp/same-node/pod-ip/",
    "packet-icmp/cross-node/pod-ipv6/",
    "packet-udp/same-node/pod-ipv6/",
    "packet-udp/host-to-pod/pod-ip",
    "pod-tcp/cross-node/pod-ip",
];

/// Agents of each version start on both nodes there and back, and what goes from pod to pod loses nothing.
pub(crate) fn upgrade() -> Result<(), Failed> {
    upgrade_with("flannel.yaml")
}

/// The same with a Helm chart instead of manifests.
pub(crate) fn upgrade_of_a_chart() -> Result<(), Failed> {
    upgrade_with("flannel-chart.yaml")
}

fn upgrade_with(file: &str) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut running = start(folder.path(), file, |_, text| text.to_owned(), &["--rollback"])?;
    let code = running.ended()?;
    check(code == Some(0), running.console())?;
    let record = running.record()?;
    check(record.subject == "flannel" && record.verdict == Verdict::Passed, running.console())?;
    for version in VERSIONS {
        let ready = ready(&record, version);
        check(ready == BTreeSet::from(["node1", "node2"]), format!("{version} was ready on {ready:?}"))?;
    }
    for carried in CARRIED {
        let found = record.flows.iter().any(|flow| flow.id.starts_with(carried));
        check(found, format!("no flow {carried}"))?;
    }
    for flow in &record.flows {
        let id = &flow.id;
        let carried = ["/pod-ip/no-policy", "/pod-ipv6/no-policy", "/host-ip/no-policy"]
            .iter()
            .any(|way| id.contains(way));
        check(carried, format!("flannel does not carry {id}"))?;
        check(flow.answered > 0, format!("{id} was not answered"))?;
        // From a pod to a host flanneld masquerades, and removes that when it stops: a packet may be lost.
        let kept = id.contains("pod-to-host") || flow.outages.is_empty();
        check(kept, format!("{id}: {flow:#?}"))?;
    }
    let budgets = &record.budgets;
    let kept = budgets.iter().all(|budget| budget.kept == Some(true));
    check(budgets.len() == 4 && kept, format!("{budgets:?}"))?;
    restored(&running)?;
    speaks_of_flannel_alone(&running)?;
    let folder = running.folder().ok_or("no run folder")?;
    let bundle = folder.join("bundle");
    let said = run(seatrial(&["repro"]).arg(folder).arg("--out").arg(&bundle))?.expect_code(0)?;
    said.expect_words(&["repro.sh --subject-file ", "charts, manifests and images are not included"])
        .map(drop)
}

/// Agents that take the bridge of their pods for the way to other nodes are all ready; traffic alone tells.
pub(crate) fn wrong_interface() -> Result<(), Failed> {
    let (record, console) = found_by_traffic(|text| text.replace("--ip-masq", "--ip-masq, --iface=cni0"))?;
    let found = found(&record);
    for lost in ["packet-udp/cross-node/pod-ip/no-policy", "held-tcp/cross-node/pod-ip/no-policy"] {
        check(found.contains(lost), format!("{lost} is not among {found:?}"))?;
    }
    let near = found.iter().find(|flow| flow.contains("same-node"));
    check(near.is_none(), format!("{near:?} does not cross nodes\n{console}"))?;
    check(record.noise.canary_clean, "the nodes themselves were cut off")
}

/// Agents that come with a rule against forwarded IPv6 are all ready; traffic over IPv6 tells, and that over IPv4 is clean.
pub(crate) fn closed_to_ipv6() -> Result<(), Failed> {
    const RULE: &str = "      initContainers:
      - name: close
        image: seatrial.local/flannel:v0.26.7
        imagePullPolicy: Never
        command:
        - nft
        - add table ip6 closed; add chain ip6 closed forward { type filter hook forward priority 0; policy drop; }
        securityContext: {capabilities: {add: [NET_ADMIN]}}
";
    let (record, console) = found_by_traffic(|text| text.replace("      initContainers:\n", RULE))?;
    let found = found(&record);
    for kind in ["packet-udp", "packet-icmp", "held-tcp", "new-tcp"] {
        let lost = format!("{kind}/cross-node/pod-ipv6/no-policy");
        check(found.contains(lost.as_str()), format!("{lost} is not among {found:?}"))?;
    }
    let other = found.iter().find(|flow| !flow.contains("/pod-ipv6/"));
    check(other.is_none(), format!("{other:?} does not go over IPv6\n{console}"))
}

/// Upgrades to manifests that `edit` makes something wrong of, where agents are all ready and traffic is lost: the record,
/// and what the console said.
fn found_by_traffic(edit: impl Fn(&str) -> String) -> Result<(Run, String), Failed> {
    let folder = tempfile::tempdir()?;
    let [_, to] = VERSIONS;
    let wrong = |name: &str, text: &str| match name.strip_suffix(".yaml") {
        Some(version) if version == to => edit(text),
        _ => text.to_owned(),
    };
    let mut running = start(folder.path(), "flannel.yaml", wrong, &[])?;
    let (code, console) = (running.ended()?, running.console());
    check(code == Some(1), &console)?;
    let record = running.record()?;
    let ready = ready(&record, to);
    check(ready.len() == 2, format!("{to} was ready on {ready:?}\n{console}"))?;
    Ok((record, console))
}

/// The flows of a record's findings.
fn found(record: &Run) -> BTreeSet<&str> {
    record.findings.iter().map(|finding| finding.flow.as_deref().unwrap_or_default()).collect()
}

/// Runs the upgrade with a subject file, after `edit` has changed the text of each file.
fn start(
    folder: &Path,
    file: &str,
    edit: impl Fn(&str, &str) -> String,
    options: &[&str],
) -> Result<Running, Failed> {
    std::fs::create_dir_all(folder.join("chart/templates"))?;
    for (name, text) in FILES {
        std::fs::write(folder.join(name), edit(name, text))?;
    }
    let images = images();
    check(images.is_file(), format!("{} is missing; make it with ci/flannel", images.display()))?;
    let [from, to] = VERSIONS;
    let (file, images) = (folder.join(file), images.display().to_string());
    let file = file.display().to_string();
    let words = ["run", from, to, "--subject-file", &file, "--images", &images];
    Running::start(&words.iter().chain(options).copied().collect::<Vec<_>>())
}

/// Where `ci/flannel` writes the images.
fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/flannel.tar")
}

/// The nodes on which an agent of a version became ready.
fn ready<'a>(record: &'a Run, version: &str) -> BTreeSet<&'a str> {
    let of_version = |seen: &&Observation| {
        let detail = seen.detail.as_deref().unwrap_or_default();
        seen.role == Role::Agent && seen.change == Change::Ready && detail.ends_with(version)
    };
    let observations = record.observations.iter().map(|observation| &observation.what);
    observations.filter(of_version).map(|seen| seen.node.as_deref().unwrap_or_default()).collect()
}

fn restored(running: &Running) -> Result<(), Failed> {
    let objects = running.folder().ok_or("no run folder")?.join("objects");
    for (point, version) in
        [("installed", "0.25.7"), ("upgraded-0.26.7", "0.26.7"), ("rolled-back-0.25.7", "0.25.7")]
    {
        let path = objects.join(point).join("daemonset-kube-flannel.yaml");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        check(
            text.contains(&format!("flannel:v{version}")),
            format!("{} has another image", path.display()),
        )?;
        for object in ["configmap-flannel-config", "clusterrole-flannel"] {
            let path = objects.join(point).join(format!("{object}.yaml"));
            check(path.is_file(), format!("{} was not kept", path.display()))?;
        }
    }
    Ok(())
}

/// The output of the run mentions no other component.
fn speaks_of_flannel_alone(running: &Running) -> Result<(), Failed> {
    let folder = running.folder().ok_or("no run folder")?;
    let mut read = vec![("the console", running.console())];
    for file in ["report.html", "junit.xml", "run.json"] {
        read.push((file, std::fs::read_to_string(folder.join(file))?));
    }
    for (place, text) in read {
        let line = text.lines().find(|line| line.to_lowercase().contains("cilium"));
        check(line.is_none(), format!("{place} mentions Cilium: {line:?}"))?;
    }
    Ok(())
}
