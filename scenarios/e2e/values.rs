//! Values files: rebased, and compared by what the charts of both versions render.

use std::path::Path;

use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::command::{Said, run, seatrial};

const AGENTS: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: cilium}}
  template:
    metadata: {labels: {k8s-app: cilium}}
    spec: {containers: [{name: cilium-agent, image: "example.org/cilium:v{{ .Chart.Version }}"}]}
"#;
/// The source: the chart of 1.14 sets the key from `tunnel`.
const BY_TUNNEL: &str = "tunnel: {{ .Values.tunnel }}";
/// The target: the chart of 1.15 sets the new key from `routingMode`.
const BY_ROUTING_MODE: &str = "routing-mode: {{ .Values.routingMode }}";
/// A target that ignores the value.
const ALWAYS_TUNNEL: &str = "routing-mode: tunnel";
/// A target that refuses the values.
const REFUSING: &str = "routing-mode: {{ fail \"routingMode is not for everybody\" }}";

const VALUES: &str = "# routed\ntunnel: disabled\nupgradeCompatibility: \"1.12\"\n";

/// Behaviour is kept and the restart named; a chart that changes the behaviour or refuses the values gives exit code 1.
pub(crate) fn rebased() -> Result<(), Failed> {
    let kept = rebase(BY_ROUTING_MODE)?.expect_code(0)?;
    let kept =
        kept.expect_words(&["changed: DaemonSet kube-system/cilium: agents restart on every node;"])?;
    if !kept.out.starts_with("# routed\nroutingMode: native\n") {
        return Err(format!("the rebased values are:\n{}", kept.out).into());
    }
    rebase(ALWAYS_TUNNEL)?.expect_code(1)?.expect_words(&[
        "behaviour changes: routing-mode: \"native\" keeps the behaviour, and the chart sets \"tunnel\"",
    ])?;
    rebase(REFUSING)?.expect_code(1)?.expect_words(&[
        "conflict: the chart of 1.15.19 refuses the values",
        "routingMode is not for everybody",
    ])?;
    let charts = charts(BY_ROUTING_MODE)?;
    on(charts.path(), "1.16.19")?
        .expect_code(2)?
        .expect_words(&["there is no chart of Cilium 1.16.19", "which has 1.14.19, 1.15.19"])?;
    Ok(())
}

fn rebase(target: &str) -> Result<Said, Failed> {
    on(charts(target)?.path(), "1.15.19")
}

fn on(folder: &Path, to: &str) -> Result<Said, Failed> {
    let values = folder.join("values.yaml");
    std::fs::write(&values, VALUES)?;
    let mut command = seatrial(&["rebase", "--from", "1.14.19", "--to", to, "--values"]);
    run(command.arg(&values).arg("--charts").arg(folder))
}

fn charts(target: &str) -> Result<TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    for (version, routing, own) in
        [("1.14.19", BY_TUNNEL, "tunnel: vxlan\n"), ("1.15.19", target, "routingMode: \"\"\n")]
    {
        let templates = folder.path().join(version).join("templates");
        std::fs::create_dir_all(&templates)?;
        let about = format!("apiVersion: v2\nname: cilium\nversion: {version}\n");
        std::fs::write(templates.with_file_name("Chart.yaml"), about)?;
        std::fs::write(templates.with_file_name("values.yaml"), own)?;
        let config = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cilium-config, namespace: kube-system}}\ndata:\n  \
             identity-allocation-mode: crd\n  ipam: cluster-pool\n  {routing}\n"
        );
        std::fs::write(templates.join("agents.yaml"), AGENTS)?;
        std::fs::write(templates.join("config.yaml"), config)?;
    }
    Ok(folder)
}
