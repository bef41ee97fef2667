//! The subject's objects at one moment, to read and to compare.

use std::collections::BTreeMap;
use std::path::Path;

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use crate::names::Names;

/// Objects by name, as YAML without what the server adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    objects: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads the ConfigMap, the DaemonSet, the operator, RBAC and CRDs of the subject.
    ///
    /// # Errors
    /// When the API server does not answer; an object that does not exist is left out.
    pub async fn take(client: &kube::Client, names: &Names) -> Result<Self, kube::Error> {
        let mut objects = BTreeMap::new();
        let named = [
            ("", "v1", "ConfigMap", names.config_map.as_ref()),
            ("apps", "v1", "DaemonSet", Some(&names.daemon_set)),
            ("apps", "v1", "Deployment", names.operator.as_ref()),
        ];
        for (group, version, kind, name) in named {
            let Some(name) = name else { continue };
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &names.namespace, &resource);
            if let Some(object) = api.get_opt(name).await? {
                objects.insert(format!("{}-{name}", kind.to_lowercase()), yaml(&object));
            }
        }
        let listed = [
            ("rbac.authorization.k8s.io", "ClusterRole"),
            ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ];
        for (group, kind) in listed {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            for object in api.list(&ListParams::default()).await? {
                let name = object.metadata.name.clone().unwrap_or_default();
                if name.contains(&names.name) {
                    objects.insert(format!("{}-{name}", kind.to_lowercase()), yaml(&object));
                }
            }
        }
        Ok(Self { objects })
    }

    /// Adds something that is not an object of the API server.
    pub fn add(&mut self, name: &str, value: &Value) {
        self.objects.insert(name.to_owned(), text(value));
    }

    /// Rewrites the text of each object that may contain secrets: all but RBAC and CRDs.
    pub fn rewrite(&mut self, rewritten: impl Fn(&str) -> String) {
        let public = ["clusterrole-", "clusterrolebinding-", "customresourcedefinition-"];
        let kept =
            self.objects.iter_mut().filter(|(name, _)| !public.iter().any(|kind| name.starts_with(kind)));
        kept.for_each(|(_, text)| *text = rewritten(text));
    }

    /// Writes one file for each object.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        for (name, text) in &self.objects {
            std::fs::write(folder.join(format!("{name}.yaml")), text)?;
        }
        Ok(())
    }

    /// Names of the objects that differ from `later`, those included that exist on one side only.
    #[must_use]
    pub fn changed(&self, later: &Self) -> Vec<String> {
        let names = self.objects.keys().chain(later.objects.keys());
        let mut changed: Vec<String> =
            names.filter(|&name| self.objects.get(name) != later.objects.get(name)).cloned().collect();
        changed.sort();
        changed.dedup();
        changed
    }

    /// A unified diff to `later`; empty when nothing changed.
    #[must_use]
    pub fn diff(&self, later: &Self) -> String {
        let text = |snapshot: &Self, name: &str| snapshot.objects.get(name).cloned().unwrap_or_default();
        let one = |name: String| {
            let (before, after) = (text(self, &name), text(later, &name));
            let diff = similar::TextDiff::from_lines(&before, &after);
            diff.unified_diff()
                .header(&format!("before/{name}.yaml"), &format!("after/{name}.yaml"))
                .to_string()
        };
        self.changed(later).into_iter().map(one).collect()
    }
}

/// An object without what the API server adds.
fn yaml(object: &DynamicObject) -> String {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            let own = ["name", "namespace", "labels"];
            metadata.retain(|key, _| own.contains(&key.as_str()));
        }
    }
    text(&value)
}

fn text(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|e| format!("# not representable as YAML: {e}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_with_secrets_are_rewritten() {
        let mut taken = snapshot(&[("configmap-c", "a"), ("clusterrole-c", "a"), ("daemonset-c", "a")]);
        taken.rewrite(|_| "b".to_owned());
        assert_eq!(taken, snapshot(&[("configmap-c", "b"), ("clusterrole-c", "a"), ("daemonset-c", "b")]));
    }

    fn snapshot(objects: &[(&str, &str)]) -> Snapshot {
        Snapshot { objects: objects.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect() }
    }

    #[test]
    fn difference_names_changed_added_and_removed_objects() {
        let before = snapshot(&[("a", "x: 1\n"), ("b", "y: 1\n"), ("c", "z: 1\n")]);
        let after = snapshot(&[("a", "x: 2\n"), ("b", "y: 1\n"), ("d", "w: 1\n")]);
        assert_eq!(before.changed(&after), ["a", "c", "d"]);
        let diff = before.diff(&after);
        assert!(diff.contains("-x: 1\n+x: 2\n"), "{diff}");
        assert!(!diff.contains("y: 1"), "{diff}");
    }

    #[test]
    fn server_metadata_is_left_out() {
        let object: DynamicObject = serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "one", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}},
            "status": {"x": 1}, "data": {"k": "on"},
        }))
        .unwrap();
        let text = yaml(&object);
        assert!(
            !text.contains("uid") && !text.contains("resourceVersion") && !text.contains("status"),
            "{text}"
        );
        assert!(text.contains("name: one"), "{text}");
    }
}
