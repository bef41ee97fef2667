//! Images of the stand-in under the names that charts use, for machines without a registry: it is the agent, and the rest
//! is idle.
//!
//! Shells and the small programs that pods of every version call are copied from this machine; what would change a node,
//! such as mounting file systems from an init container, succeeds without any effect.

use std::collections::BTreeMap;
use std::path::Path;

use cluster::Image;
use cluster::images::{LayerBuilder, host_program};
use kube::api::DynamicObject;
use model::{Minor, Version};
use serde_json::{Value, json};

use super::names::NAMESPACE;
use crate::error::PrepareError;
use crate::source::containers;
use crate::standin_program::Program;

/// Programs that commands of charts call, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 14] = [
    ("sh", "dash"),
    ("bash", "bash"),
    ("cat", "coreutils"),
    ("chmod", "coreutils"),
    ("cp", "coreutils"),
    ("echo", "coreutils"),
    ("grep", "grep"),
    ("ls", "coreutils"),
    ("mkdir", "coreutils"),
    ("rm", "coreutils"),
    ("sleep", "coreutils"),
    ("stat", "coreutils"),
    ("touch", "coreutils"),
    ("true", "coreutils"),
];
/// Programs that would change the node: `true` replaces them.
const IDLE: [&str; 6] = [
    "/usr/bin/cilium-mount",
    "/usr/bin/cilium-sysctlfix",
    "/usr/bin/iptables-restore",
    "/usr/bin/iptables-save",
    "/usr/bin/mount",
    "/usr/bin/nsenter",
];

/// The images of some charts.
pub(super) struct Shim<'a> {
    program: &'a Program,
    base: Image,
    /// Environment by image.
    wanted: BTreeMap<String, BTreeMap<String, String>>,
}

impl<'a> Shim<'a> {
    /// Packs the layers that all of them share.
    pub(super) async fn new(program: &'a Program, scratch: &Path) -> Result<Self, PrepareError> {
        let mut layer = LayerBuilder::create(&scratch.join("shim.tar"))?;
        for (program, package) in PROGRAMS {
            layer.program(&host_program(program, package)?, &format!("/usr/bin/{program}")).await?;
        }
        for path in IDLE {
            layer.link(path, "/usr/bin/true")?;
        }
        layer.link("/bin", "usr/bin")?;
        let base = Image {
            reference: String::new(),
            layers: vec![program.layer(scratch).await?, layer.finish()?],
            entrypoint: vec!["/usr/bin/cilium-operator".to_owned()],
            env: Vec::new(),
        };
        Ok(Self { program, base, wanted: BTreeMap::new() })
    }

    /// Adds the images that these objects of a version use.
    pub(super) fn cover(&mut self, version: &Version, objects: &[DynamicObject]) {
        let (played, names) = (self.program.played(version), self.program.environment());
        for container in containers(objects) {
            let Some(image) = container["image"].as_str() else { continue };
            let environment = self.wanted.entry(image.to_owned()).or_default();
            environment.insert(names.version.clone(), played.clone());
            if let Some(port) = health_port(container) {
                environment.insert(names.health_port.clone(), port.to_string());
            }
        }
    }

    pub(super) fn images(self) -> Vec<Image> {
        let image = |(reference, environment): (String, BTreeMap<String, String>)| Image {
            reference,
            env: environment.into_iter().collect(),
            ..self.base.clone()
        };
        self.wanted.into_iter().map(image).collect()
    }
}

/// The port of a container's HTTP probes, which may be given by its name.
fn health_port(container: &Value) -> Option<u64> {
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    probes.into_iter().find_map(|probe| {
        let port = &container[probe]["httpGet"]["port"];
        port.as_u64().or_else(|| {
            let named = container["ports"].as_array()?.iter().find(|named| named["name"] == *port)?;
            named["containerPort"].as_u64()
        })
    })
}

/// Values that images of the stand-in require: no digests, which they do not have, and no list of capabilities, some of
/// which a machine may lack.
pub(super) fn values(version: &Version) -> Vec<(String, String)> {
    let since = |minor| version.minor() >= Minor::new(1, minor);
    let mut values = Vec::new();
    if since(9) {
        for image in ["image", "operator.image", "preflight.image", "envoy.image", "preflight.envoy.image"] {
            values.push((format!("{image}.useDigest"), "false".to_owned()));
        }
    }
    if since(12) {
        values.push(("securityContext.privileged".to_owned(), "true".to_owned()));
        values.push(("envoy.securityContext.privileged".to_owned(), "true".to_owned()));
    }
    values
}

/// Permissions of the stand-in that charts of some versions do not grant to Cilium.
pub(super) fn permissions() -> Vec<DynamicObject> {
    let name = "seatrial-shim";
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let read = ["get", "list", "watch"];
    let account = |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE});
    let objects = [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [
                rule("", &["nodes", "pods", "services", "namespaces", "configmaps"], &read),
                rule("discovery.k8s.io", &["endpointslices"], &read),
                rule("apiextensions.k8s.io", &["customresourcedefinitions"], &["get", "list", "watch", "create"]),
                rule("cilium.io", &["*"], &["*"]),
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [account("cilium"), account("cilium-pre-flight")],
        }),
    ];
    let object = |value| match serde_json::from_value(value) {
        Ok(object) => object,
        Err(e) => unreachable!("a literal object has kind and name: {e}"),
    };
    objects.into_iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects() -> Vec<DynamicObject> {
        let template = json!({"spec": {
            "initContainers": [{"name": "clean-cilium-state", "image": "registry/init:1"}],
            "containers": [{
                "name": "cilium-agent", "image": "registry/cilium:v1.9.18",
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 9876}},
            }],
        }});
        let daemon_set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "cilium"},
            "spec": {"template": template},
        });
        vec![serde_json::from_value(daemon_set).unwrap()]
    }

    #[tokio::test]
    async fn every_image_of_a_chart_is_covered() {
        let scratch = tempfile::tempdir().unwrap();
        let description = include_bytes!("../../../standin/description.json");
        let program = Program::described("/bin/true".into(), description).unwrap();
        let mut shim = Shim::new(&program, scratch.path()).await.unwrap();
        shim.cover(&"1.9.18".parse().unwrap(), &objects());
        let images = shim.images();
        let references: Vec<_> = images.iter().map(|image| image.reference.as_str()).collect();
        assert_eq!(references, ["registry/cilium:v1.9.18", "registry/init:1"]);
        let environment: BTreeMap<_, _> = images[0].env.iter().cloned().collect();
        assert_eq!(environment["STANDIN_HEALTH_PORT"], "9876");
        assert_eq!(environment["STANDIN_VERSION"], "v1.6.12");
    }
}
