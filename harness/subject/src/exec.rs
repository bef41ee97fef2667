//! A command inside every agent's container, as `kubectl exec` runs it.

use std::time::Duration;

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, ListParams};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::{CONTAINER, DAEMONSET, NAMESPACE};

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a command said in one agent's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The agent's node.
    pub node: String,
    /// The command's exit code.
    pub code: i32,
    /// What it wrote, errors last.
    pub output: String,
}

/// A command that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The agents could not be listed.
    #[error("the agents' pods could not be listed")]
    List(#[source] Box<kube::Error>),
    /// No connection to the container.
    #[error("`{command}` could not be run in pod {NAMESPACE}/{pod}")]
    Start {
        /// The command.
        command: String,
        /// The agent's pod.
        pod: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The connection broke.
    #[error("`{command}` in pod {NAMESPACE}/{pod} was cut off: {why}")]
    Cut {
        /// The command.
        command: String,
        /// The agent's pod.
        pod: String,
        /// What was missing.
        why: String,
    },
}

/// Runs a command in every agent's container, with `input` on its standard input; in order of the nodes.
pub(crate) async fn everywhere(
    client: &kube::Client,
    command: &[String],
    input: Option<&str>,
) -> Result<Vec<Said>, ExecError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let agents = ListParams::default().labels(&format!("k8s-app={DAEMONSET}"));
    let agents = pods.list(&agents).await.map_err(|e| ExecError::List(Box::new(e)))?;
    let runs = agents.into_iter().map(async |agent: Pod| {
        let pod = agent.metadata.name.clone().unwrap_or_default();
        let late = |_| ExecError::Cut {
            command: command.join(" "),
            pod,
            why: format!("it did not end within {} s", DEADLINE.as_secs()),
        };
        timeout(DEADLINE, one(&pods, agent, CONTAINER, command, input)).await.map_err(late)?
    });
    let mut said = try_join_all(runs).await?;
    said.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(said)
}

/// Runs a command in a container of one pod.
pub(crate) async fn one(
    pods: &Api<Pod>,
    pod: Pod,
    container: &str,
    command: &[String],
    input: Option<&str>,
) -> Result<Said, ExecError> {
    let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
    let pod = pod.metadata.name.unwrap_or_default();
    let shown = command.join(" ");
    let cut = |why: String| ExecError::Cut { command: shown.clone(), pod: pod.clone(), why };
    let params = AttachParams::default().container(container).stdin(input.is_some()).stderr(true);
    let mut process = pods.exec(&pod, command, &params).await.map_err(|source| ExecError::Start {
        command: shown.clone(),
        pod: pod.clone(),
        source: Box::new(source),
    })?;
    let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
    let status = process.take_status();
    let write = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            stdin.write_all(input.as_bytes()).await?;
            stdin.shutdown().await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let ((), mut output, errors) =
        tokio::try_join!(write, all(stdout), all(stderr)).map_err(|e| cut(e.to_string()))?;
    output.push_str(&errors);
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let code = status.as_ref().and_then(exit_code).ok_or_else(|| cut("it has no exit code".to_owned()))?;
    Ok(Said { node, code, output })
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut text = String::new();
    if let Some(mut stream) = stream {
        stream.read_to_string(&mut text).await?;
    }
    Ok(text)
}

fn exit_code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let mut codes = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    codes.next()?.message.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::success(json!({"status": "Success"}), Some(0))]
    #[case::failure(
        json!({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}),
        Some(3)
    )]
    #[case::not_run(json!({"status": "Failure", "message": "container not found"}), None)]
    fn exit_codes_are_read(#[case] status: Value, #[case] expected: Option<i32>) {
        assert_eq!(exit_code(&serde_json::from_value(status).unwrap()), expected);
    }
}
