//! Writes and reads a file on every node, with short-lived pods: this works with every provider.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use serde_json::json;

use crate::wait::{self, Timeout};

/// The name of this role in an image, argv\[0\].
pub const ROLE: &str = "node-file";

const NAMESPACE: &str = "kube-system";
/// The mount point of the folder of the file in the pod.
const MOUNT: &str = "/node";
/// The environment variable with the text to write.
const TEXT: &str = "SEATRIAL_TEXT";
const DEADLINE: Duration = Duration::from_secs(30);

/// A file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum NodeFileError {
    /// The path has no folder or no name.
    #[error("{} is not an absolute path of a file", .0.display())]
    Path(PathBuf),
    /// The API server refused.
    #[error("{what}")]
    Api {
        /// What failed.
        what: String,
        /// Its response.
        #[source]
        source: Box<kube::Error>,
    },
    /// The pod did not end.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// The pod failed.
    #[error("{} on node {node} cannot be used: {why}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// The node.
        node: String,
        /// The output of the pod.
        why: String,
    },
}

/// Files on the nodes of a cluster.
#[derive(Clone)]
pub struct NodeFiles {
    client: kube::Client,
    image: String,
}

impl NodeFiles {
    /// The files of a cluster whose nodes have `image`, which contains the role.
    #[must_use]
    pub fn new(client: kube::Client, image: String) -> Self {
        Self { client, image }
    }

    /// Writes a file on every node.
    ///
    /// # Errors
    /// When a pod cannot be created, does not end, or cannot write.
    pub async fn write(&self, path: &Path, text: &str) -> Result<(), NodeFileError> {
        self.everywhere(path, Some(text)).await.map(drop)
    }

    /// Reads a file on every node: its text by the node's name, `None` where there is no such file.
    ///
    /// # Errors
    /// When a pod cannot be created, does not end, or cannot read.
    pub async fn read(&self, path: &Path) -> Result<BTreeMap<String, Option<String>>, NodeFileError> {
        let unclear = |node: &str, output: &str| NodeFileError::Failed {
            path: path.to_owned(),
            node: node.to_owned(),
            why: format!("unexpected output {output:?}"),
        };
        let outputs = self.everywhere(path, None).await?;
        outputs
            .into_iter()
            .map(|(node, output)| match serde_json::from_str(output.trim()) {
                Ok(text) => Ok((node, text)),
                Err(_) => Err(unclear(&node, &output)),
            })
            .collect()
    }

    /// Runs a pod on every node; returns the output of each.
    async fn everywhere(
        &self,
        path: &Path,
        text: Option<&str>,
    ) -> Result<Vec<(String, String)>, NodeFileError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let listed =
            nodes.list(&ListParams::default()).await.map_err(api("the nodes could not be listed"))?;
        let names = listed.into_iter().filter_map(|node| node.metadata.name);
        try_join_all(names.map(|node| self.on(node, path, text))).await
    }

    async fn on(
        &self,
        node: String,
        path: &Path,
        text: Option<&str>,
    ) -> Result<(String, String), NodeFileError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let object = pod(&self.image, &node, path, text)?;
        let what = format!("a pod for {} could not be created on node {node}", path.display());
        let created = pods.create(&PostParams::default(), &object).await.map_err(api(what))?;
        let name = created.metadata.name.unwrap_or_default();
        let ended = ended(&pods, &name).await;
        let output = pods.logs(&name, &LogParams::default()).await;
        // The pod is deleted whether it succeeded or not.
        let deleted = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
        let succeeded = ended?;
        let output = output.map_err(api(format!("the log of pod {NAMESPACE}/{name} could not be read")))?;
        deleted.map_err(api(format!("pod {NAMESPACE}/{name} could not be deleted")))?;
        if succeeded {
            return Ok((node, output));
        }
        Err(NodeFileError::Failed { path: path.to_owned(), node, why: output.trim().to_owned() })
    }
}

/// Waits until a pod has ended; returns whether it succeeded.
async fn ended(pods: &Api<Pod>, name: &str) -> Result<bool, Timeout> {
    let probe = async || {
        let pod = pods.get(name).await.map_err(|e| e.to_string())?;
        match pod.status.and_then(|status| status.phase).as_deref() {
            Some("Succeeded") => Ok(true),
            Some("Failed") => Ok(false),
            phase => Err(format!("its phase is {}", phase.unwrap_or("unknown"))),
        }
    };
    let condition = format!("pod {NAMESPACE}/{name} to end");
    wait::until(&condition, DEADLINE, Duration::from_millis(50), probe).await
}

fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> NodeFileError {
    let what = what.into();
    move |source| NodeFileError::Api { what, source: Box::new(source) }
}

/// A pod on the host network: it is used to look at the pod network from outside.
fn pod(image: &str, node: &str, path: &Path, text: Option<&str>) -> Result<Pod, NodeFileError> {
    let parts = path.parent().zip(path.file_name()).filter(|_| path.is_absolute());
    let (folder, name) = parts.ok_or_else(|| NodeFileError::Path(path.to_owned()))?;
    let file = Path::new(MOUNT).join(name);
    let (verb, env) = match text {
        Some(text) => ("write", json!([{"name": TEXT, "value": text}])),
        None => ("read", json!([])),
    };
    let pod = json!({
        "metadata": {"generateName": format!("{ROLE}-"), "namespace": NAMESPACE, "labels": {"app": ROLE}},
        "spec": {
            "nodeName": node,
            "hostNetwork": true,
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{
                "name": ROLE, "image": image, "imagePullPolicy": "IfNotPresent",
                "command": [ROLE, verb, file], "env": env,
                "volumeMounts": [{"name": "folder", "mountPath": MOUNT}],
            }],
            "volumes": [{"name": "folder", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}],
        },
    });
    match serde_json::from_value(pod) {
        Ok(pod) => Ok(pod),
        Err(e) => unreachable!("a literal pod is one: {e}"),
    }
}

/// The role: `write FILE` with the text in the environment, or `read FILE`, which prints the text as JSON.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let text = std::env::var(TEXT).ok();
    let (output, code) = match act(args, text.as_deref()) {
        Ok(output) => (output, ExitCode::SUCCESS),
        Err(why) => (why, ExitCode::FAILURE),
    };
    match writeln!(std::io::stdout(), "{output}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn act(args: &[OsString], text: Option<&str>) -> Result<String, String> {
    let (verb, path) = match args {
        [verb, path] => (verb.to_str().unwrap_or_default(), Path::new(path)),
        _ => return Err(format!("usage: {ROLE} read|write FILE")),
    };
    match (verb, text) {
        ("read", _) => read(path).map(|text| json!(text).to_string()),
        ("write", Some(text)) => write(path, text).map(|()| String::new()),
        ("write", None) => Err(format!("{TEXT} is not set")),
        _ => Err(format!("usage: {ROLE} read|write FILE")),
    }
    .map_err(|e| format!("{}: {e}", path.display()))
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// Writes the file atomically.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new"));
    let done = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    done.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act_on(verb: &str, path: &Path, text: Option<&str>) -> Result<String, String> {
        act(&[verb.into(), path.into()], text)
    }

    #[test]
    fn written_file_is_read_and_a_missing_one_is_null() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("05-cilium.conf");
        assert_eq!(act_on("read", &path, None).unwrap(), "null");
        act_on("write", &path, Some("{\n}\n")).unwrap();
        let output = act_on("read", &path, None).unwrap();
        assert_eq!(serde_json::from_str::<Option<String>>(&output).unwrap().as_deref(), Some("{\n}\n"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn error_names_the_file() {
        let error = act_on("write", Path::new("/nonexistent/a"), Some("")).unwrap_err();
        assert!(error.contains("/nonexistent/a"), "{error}");
        assert!(act(&["read".into()], None).unwrap_err().contains("usage"));
    }

    #[test]
    fn pod_mounts_only_the_folder_of_the_file() {
        let made = pod("image", "node1", Path::new("/etc/cni/net.d/05-cilium.conf"), Some("text")).unwrap();
        let spec = serde_json::to_value(made.spec.unwrap()).unwrap();
        assert_eq!(spec["volumes"][0]["hostPath"]["path"], "/etc/cni/net.d");
        assert_eq!(spec["containers"][0]["command"], json!([ROLE, "write", "/node/05-cilium.conf"]));
        assert_eq!((&spec["nodeName"], &spec["hostNetwork"]), (&json!("node1"), &json!(true)));
        assert!(matches!(pod("image", "node1", Path::new("here"), None), Err(NodeFileError::Path(_))));
    }
}
