//! Every command that a plan prints, as it is printed and in its order, on a sandbox with charts and images of the
//! stand-in. Only the address of the chart repository is another one.
//!
//! Where `SEATRIAL_CHARTS` names a folder with Cilium's charts, the plans are those between its versions since 1.14.

use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use serde_json::Value;
use tempfile::TempDir;

use crate::charts;
use crate::command::{cache, check, component, run, seatrial, standin, tool};
use crate::file_server::FileServer;

/// The address that plans print.
const PUBLISHED: &str = "https://helm.cilium.io";
const OWN: [&str; 2] = ["1.15.19", "1.16.19"];

/// The check of policies, which the chart for other trials does not have.
const VALIDATOR: &str = r#"{{- if .Values.preflight.enabled }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: cilium-pre-flight-check, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {k8s-app: cilium-pre-flight-check-deployment}}
  template:
    metadata: {labels: {k8s-app: cilium-pre-flight-check-deployment}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 1
      tolerations: [{operator: Exists}]
      containers:
      - name: cnp-validator
        image: {{ include "image" . }}
        command: [/bin/sh]
        args: [-ec, "cilium preflight validate-cnp; touch /tmp/ready; sleep 1h"]
        readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 1}
{{- end }}
"#;

/// The values of the installation: what a cluster without kube-proxy needs, and what the stand-in needs.
const VALUES: &str = "k8sServiceHost: 10.250.0.1\nk8sServicePort: 6443\nkubeProxyReplacement: \"true\"\n\
                      ipam: {mode: kubernetes}\nsecurityContext: {privileged: true}\n\
                      envoy: {securityContext: {privileged: true}}\n";

pub(crate) fn commands() -> Result<(), Failed> {
    for pair in versions()?.windows(2) {
        let [(from, _), (to, _)] = pair else { continue };
        let folder = tempfile::tempdir()?;
        charts::pack(
            pair.iter().map(|(version, chart)| (version.as_str(), chart.path().into())),
            folder.path(),
        )?;
        let server = FileServer::start(folder.path())?;
        upgraded(from, to, folder.path(), &server)
            .map_err(|e| format!("{from} to {to}: {}", e.message().unwrap_or_default()))?;
    }
    Ok(())
}

/// Versions with their charts as folders; those of Cilium without digests, which images of the stand-in do not have.
fn versions() -> Result<Vec<(String, TempDir)>, Failed> {
    let Some(folder) = std::env::var_os("SEATRIAL_CHARTS") else { return OWN.map(own).into_iter().collect() };
    let mut versions: Vec<(u32, u32, String, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let version = name.trim_start_matches("cilium-").to_owned();
        let numbers: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
        if let [1, minor, patch] = numbers[..]
            && minor >= 14
        {
            versions.push((minor, patch, version, path));
        }
    }
    versions.sort();
    let unpacked = |(_, _, version, path): (u32, u32, String, PathBuf)| {
        let folder = tempfile::tempdir()?;
        let mut tar = tool("tar", &["--extract", "--strip-components=1", "--file"]);
        run(tar.arg(&path).arg("--directory").arg(folder.path()))?.expect_code(0)?;
        let values = folder.path().join("values.yaml");
        let text = std::fs::read_to_string(&values)?.replace("useDigest: true", "useDigest: false");
        std::fs::write(values, text)?;
        Ok((version, folder))
    };
    versions.into_iter().map(unpacked).collect()
}

fn own(version: &str) -> Result<(String, TempDir), Failed> {
    let folder = tempfile::tempdir()?;
    charts::write(folder.path(), version, charts::WHOLE)?;
    std::fs::write(folder.path().join("templates/validator.yaml"), VALIDATOR)?;
    Ok((version.to_owned(), folder))
}

fn upgraded(from: &str, to: &str, charts: &Path, server: &FileServer) -> Result<(), Failed> {
    let up = run(&mut seatrial(&["cluster", "up", "--cni", "none", "--nodes", "2"]))?.expect_code(0)?;
    let id = up.out.lines().next().unwrap_or_default().to_owned();
    let kubeconfig = up.out.lines().find_map(|line| line.strip_prefix("export KUBECONFIG="));
    let ended = match kubeconfig {
        Some(kubeconfig) => Shell::new(kubeconfig, server.address()).and_then(|shell| {
            load_images(&id, from, to, charts)?;
            install(&shell, from, charts)?;
            follow(&shell, from, to)
        }),
        None => Err(format!("no kubeconfig in: {}", up.out).into()),
    };
    run(&mut seatrial(&["cluster", "down", &id]))?.expect_code(0)?;
    ended
}

fn load_images(id: &str, from: &str, to: &str, charts: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("images.tar");
    let mut image = seatrial(&["image", "--shim", from, "--shim", to, "--charts"]);
    run(image.arg(charts).arg(&archive))?.expect_code(0)?;
    for node in ["node1", "node2"] {
        let import = ["cluster", "exec", id, node, "--", "ctr", "-n", "k8s.io", "images", "import"];
        run(seatrial(&import).arg(&archive))?.expect_code(0)?;
    }
    Ok(())
}

fn install(shell: &Shell, from: &str, charts: &Path) -> Result<(), Failed> {
    std::fs::write(shell.folder.path().join("install.yaml"), VALUES)?;
    // The stand-in reads more than Cilium's agent does.
    shell.run(
        "kubectl create clusterrolebinding standin --clusterrole=cluster-admin --serviceaccount=kube-system:cilium \
         --serviceaccount=kube-system:cilium-operator --serviceaccount=kube-system:cilium-pre-flight \
         --serviceaccount=kube-system:default",
    )?;
    let chart = charts.join(format!("cilium-{from}.tgz"));
    shell.run(&format!("helm install cilium {} -n kube-system --values install.yaml", chart.display()))?;
    shell.run("kubectl -n kube-system rollout status daemonset/cilium --timeout=120s")
}

/// Runs the commands of every stage, those of its rollback last.
fn follow(shell: &Shell, from: &str, to: &str) -> Result<(), Failed> {
    let plan = run(&mut seatrial(&["plan", from, to, "--output", "json"]))?.expect_code(0)?;
    let plan: Value = serde_json::from_str(&plan.out)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut count = 0;
    for stage in list(&plan["stages"]) {
        let steps = list(&stage["steps"]).into_iter().flat_map(|step| list(&step["commands"]));
        for command in steps.chain(list(&stage["rollback"]["commands"])) {
            shell.run(command.as_str().unwrap_or_default())?;
            count += 1;
        }
    }
    check(count > 10, format!("the plan has only {count} commands"))
}

/// A shell with helm, kubectl and seatrial on its path, in a temporary folder.
struct Shell {
    folder: TempDir,
    path: String,
    kubeconfig: String,
    repository: String,
}

impl Shell {
    fn new(kubeconfig: &str, repository: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let seatrial = PathBuf::from(env!("CARGO_BIN_EXE_seatrial"));
        let programs = [PathBuf::from(component("helm")?), kubectl()?, seatrial];
        let folders = programs.iter().filter_map(|program| program.parent());
        let own = std::env::var("PATH").unwrap_or_default();
        let path = folders.map(|it| it.display().to_string()).chain([own]).collect::<Vec<_>>().join(":");
        Ok(Self { folder, path, kubeconfig: kubeconfig.to_owned(), repository: repository.to_owned() })
    }

    fn run(&self, command: &str) -> Result<(), Failed> {
        let command = command.replace(PUBLISHED, &self.repository);
        let mut shell = tool("bash", &["-euc", &command]);
        shell.current_dir(self.folder.path()).env("PATH", &self.path).env("KUBECONFIG", &self.kubeconfig);
        shell.env("FIRST_INSTALLED_MINOR", "1.14").env("SEATRIAL_STANDIN", standin());
        for (name, folder) in
            [("HELM_CONFIG_HOME", "config"), ("HELM_CACHE_HOME", "cache"), ("HELM_DATA_HOME", "data")]
        {
            shell.env(name, self.folder.path().join(folder));
        }
        let ended = run(&mut shell)?;
        // A rebase that leaves a decision to a person is no failure of the command.
        let decides = command.starts_with("seatrial rebase") && ended.code == Some(1);
        if decides { Ok(()) } else { ended.expect_code(0).map(drop).map_err(|e| named(&command, &e)) }
    }
}

fn named(command: &str, failed: &Failed) -> Failed {
    format!("`{command}`: {}", failed.message().unwrap_or_default()).into()
}

/// kubectl, which was built for the images of kind's nodes.
fn kubectl() -> Result<PathBuf, Failed> {
    let components = std::fs::read_dir(cache().join("components"))?;
    let found = components.flatten().map(|entry| entry.path().join("kubectl")).find(|path| path.is_file());
    found.ok_or_else(|| "there is no kubectl in the cache; `ci/kind-node-image` builds it".into())
}
