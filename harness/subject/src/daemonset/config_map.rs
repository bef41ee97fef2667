//! The ConfigMap with the agents' configuration.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PostParams};
use serde_json::json;

use super::apply::MANAGER;
use super::error::{InstallationError, request};
use super::{Installation, params};

impl Installation {
    /// Adds keys to the ConfigMap, or changes them. Agents read it when they start.
    ///
    /// # Errors
    /// When the ConfigMap cannot be changed.
    pub async fn edit_config(&self, changes: &BTreeMap<String, String>) -> Result<(), InstallationError> {
        let (api, name) = self.config_maps()?;
        let what = format!("ConfigMap {name} could not be changed");
        let patch = Patch::Merge(json!({"data": changes}));
        api.patch(name, &params(), &patch).await.map_err(request(what))?;
        Ok(())
    }

    /// Exports the ConfigMap as a manifest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn config_map(&self) -> Result<String, InstallationError> {
        Ok(manifest(&self.read_config_map().await?))
    }

    /// The data of the ConfigMap.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn config(&self) -> Result<BTreeMap<String, String>, InstallationError> {
        Ok(self.read_config_map().await?.data.unwrap_or_default())
    }

    /// Replaces the data of the ConfigMap with the data of a manifest. Agents read it when they start.
    ///
    /// # Errors
    /// When the text is not a manifest of the ConfigMap, or the ConfigMap cannot be changed.
    pub async fn replace_config(&self, manifest: &str) -> Result<(), InstallationError> {
        let (api, name) = self.config_maps()?;
        let data = parse_config_map(manifest, name).map_err(InstallationError::Manifest)?;
        let failed = || request(format!("ConfigMap {name} could not be replaced"));
        let mut current = api.get(name).await.map_err(failed())?;
        current.data = Some(data);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        api.replace(name, &params, &current).await.map_err(failed())?;
        Ok(())
    }

    async fn read_config_map(&self) -> Result<ConfigMap, InstallationError> {
        let (api, name) = self.config_maps()?;
        let what = format!("ConfigMap {name} could not be read");
        let mut found = api.get(name).await.map_err(request(what))?;
        found.metadata.managed_fields = None;
        Ok(found)
    }

    fn config_maps(&self) -> Result<(Api<ConfigMap>, &str), InstallationError> {
        let name = self.names.config_map.as_deref().ok_or_else(|| self.lacks("ConfigMap"))?;
        Ok((Api::namespaced(self.client.clone(), &self.names.namespace), name))
    }
}

/// Reads a manifest of the ConfigMap `expected` and returns its data.
///
/// # Errors
/// A message for the user, with line and column where the text is not valid.
pub fn parse_config_map(text: &str, expected: &str) -> Result<BTreeMap<String, String>, String> {
    let map: ConfigMap = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    match map.metadata.name.as_deref() {
        Some(name) if name == expected => {}
        name => {
            let name = name.unwrap_or("(none)");
            return Err(format!("the ConfigMap is named {name}; it must be {expected}"));
        }
    }
    map.data.filter(|data| !data.is_empty()).ok_or_else(|| "the ConfigMap has no data".to_owned())
}

/// Writes a ConfigMap as a manifest.
fn manifest(map: &ConfigMap) -> String {
    serde_saphyr::to_string(map).unwrap_or_else(|e| format!("# not representable as YAML: {e}\n"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn data_is_returned() {
        let text =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bird-config}\ndata: {debug: \"true\"}\n";
        assert_eq!(parse_config_map(text, "bird-config").unwrap()["debug"], "true");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let data = BTreeMap::from([
            ("etcd-config".to_owned(), "---\nendpoints:\n  - http://10.0.0.1:2379\n".to_owned()),
            ("debug".to_owned(), "false".to_owned()),
            ("bpf-ct-global-tcp-max".to_owned(), "524288".to_owned()),
            ("empty".to_owned(), String::new()),
        ]);
        let mut map = ConfigMap { data: Some(data.clone()), ..ConfigMap::default() };
        map.metadata.name = Some("bird-config".to_owned());
        assert_eq!(parse_config_map(&manifest(&map), "bird-config").unwrap(), data);
    }

    #[rstest]
    #[case::other_name("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata: {a: b}", "named x")]
    #[case::no_data("kind: ConfigMap\napiVersion: v1\nmetadata: {name: bird-config}", "no data")]
    #[case::not_yaml("a: [", "line")]
    fn errors_name_the_reason(#[case] text: &str, #[case] reason: &str) {
        let error = parse_config_map(text, "bird-config").unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
