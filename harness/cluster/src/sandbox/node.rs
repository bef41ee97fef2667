//! A node from the supervisor: a process in its own namespaces.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::report;
use super::spec::{NodeSpec, NodeStart, Report, Spec};
use crate::spawn::{Run, this_program};

/// A started node.
#[derive(Debug)]
pub(super) struct NodeProcess {
    name: String,
    stdin: ChildStdin,
}

impl NodeProcess {
    /// Starts the process of the node, connects it to the bridge, and lets it start containerd.
    pub(super) async fn start(
        spec: &Spec,
        node: &NodeSpec,
        index: u8,
        failures: &mpsc::Sender<String>,
    ) -> Result<Self, String> {
        let name = node.name.clone();
        let failed = |what: &str| {
            let name = name.clone();
            let what = what.to_owned();
            move |e: std::io::Error| format!("{name}: {what}: {e}")
        };
        let mut command = this_program(super::Role::Node.name()).map_err(failed("could not be started"))?;
        command.arg(&name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Command::from(command).spawn().map_err(failed("could not be started"))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both are pipes");
        };
        let mut reports = BufReader::new(stdout).lines();
        match report::next(&mut reports).await {
            Some(Report::Entered) => {}
            other => return Err(format!("{name}: did not enter its namespaces: {other:?}")),
        }
        let process = child.id().ok_or_else(|| format!("{name}: ended at once"))?;
        connect(&format!("veth{index}"), process).await?;
        let start = serde_json::to_string(&NodeStart {
            node: node.clone(),
            index,
            ca: spec.pki.ca.clone(),
            socket: spec.folder.join(format!("{name}.sock")),
            logs: spec.logs.clone(),
            programs: spec.programs.clone(),
            images: spec.images.clone(),
            pause_image: spec.pause_image.clone(),
            cni: spec.cni,
        })
        .map_err(|e| e.to_string())?;
        stdin
            .write_all(format!("{start}\n").as_bytes())
            .await
            .map_err(failed("did not read its specification"))?;
        follow(name.clone(), child, reports, failures.clone());
        Ok(Self { name, stdin })
    }

    /// Signals that the API server responds, so that the kubelet does not start too early.
    pub(super) async fn api_is_up(&mut self) -> Result<(), String> {
        self.stdin.write_all(b"api\n").await.map_err(|e| format!("{}: {e}", self.name))
    }
}

/// Connects the network namespace of a process to the bridge; `link` names the end at the bridge.
pub(super) async fn connect(link: &str, process: u32) -> Result<(), String> {
    let batch =
        format!("link add {link} type veth peer name eth0 netns {process}\nlink set {link} master br0 up\n");
    Run::new("ip").args(["-batch", "-"]).stdin(batch).output().await.map_err(|e| e.to_string())?;
    Ok(())
}

/// Forwards the reports of a process, and reports a failure when it fails or ends.
pub(super) fn follow(
    name: String,
    mut child: Child,
    mut reports: Lines<BufReader<ChildStdout>>,
    failures: mpsc::Sender<String>,
) {
    tokio::spawn(async move {
        let mut reason = None;
        while let Some(node_report) = report::next(&mut reports).await {
            match node_report {
                Report::Progress { message } => {
                    report::send(&Report::Progress { message: format!("{name}: {message}") });
                }
                Report::Failed { message } => reason = Some(message),
                Report::Entered | Report::Up => {}
            }
        }
        let status = child.wait().await.map_or_else(|e| e.to_string(), |s| s.to_string());
        let message = reason.unwrap_or_else(|| format!("its process ended with {status}"));
        if failures.send(format!("{name}: {message}")).await.is_err() {
            tracing::debug!(name, "ended while the sandbox was ending");
        }
    });
}
