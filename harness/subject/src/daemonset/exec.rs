//! Commands in the agents' containers, as `kubectl exec` runs them.

use std::time::Duration;

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Installation;
use super::error::{InstallationError, request};

/// Deadline of a command.
const DEADLINE: Duration = Duration::from_secs(30);

/// The outcome of a command in one agent's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The agent's node.
    pub node: String,
    /// The command's exit code.
    pub code: i32,
    /// Standard output, then standard error.
    pub output: String,
}

impl Installation {
    /// Runs a command in every agent's container, with `input` on its standard input; in order of the nodes.
    ///
    /// # Errors
    /// When it cannot be run; a command that fails is no error.
    pub async fn in_agents(
        &self,
        command: &[String],
        input: Option<&str>,
    ) -> Result<Vec<Output>, InstallationError> {
        let pods = self.pods();
        let runs = self.agents().await?.into_iter().map(async |agent: Pod| {
            let pod = agent.metadata.name.clone().unwrap_or_default();
            let late = |_| InstallationError::CutOff {
                command: command.join(" "),
                pod,
                why: format!("it did not end within {} s", DEADLINE.as_secs()),
            };
            timeout(DEADLINE, one(&pods, agent, &self.names.container, command, input)).await.map_err(late)?
        });
        let mut outputs = try_join_all(runs).await?;
        outputs.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(outputs)
    }
}

/// Runs a command in a container of one pod.
pub(crate) async fn one(
    pods: &Api<Pod>,
    pod: Pod,
    container: &str,
    command: &[String],
    input: Option<&str>,
) -> Result<Output, InstallationError> {
    let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
    let pod = pod.metadata.name.unwrap_or_default();
    let shown = command.join(" ");
    let cut = |why: String| InstallationError::CutOff { command: shown.clone(), pod: pod.clone(), why };
    let params = AttachParams::default().container(container).stdin(input.is_some()).stderr(true);
    let what = format!("`{shown}` could not be run in pod {pod}");
    let mut process = pods.exec(&pod, command, &params).await.map_err(request(what))?;
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
    Ok(Output { node, code, output })
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
