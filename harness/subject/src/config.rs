//! A ConfigMap that a user brings along.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

/// Reads a manifest of ConfigMap `cilium-config` and returns its data.
///
/// # Errors
/// A message for the user, with line and column where the text is not valid.
pub fn parse_config_map(text: &str) -> Result<BTreeMap<String, String>, String> {
    let map: ConfigMap = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    match map.metadata.name.as_deref() {
        Some(crate::CONFIG_MAP) => {}
        name => {
            let name = name.unwrap_or("(none)");
            return Err(format!("the ConfigMap is named {name}; it must be {}", crate::CONFIG_MAP));
        }
    }
    map.data.filter(|data| !data.is_empty()).ok_or_else(|| "the ConfigMap has no data".to_owned())
}

/// Writes a ConfigMap as a manifest.
pub(crate) fn manifest(map: &ConfigMap) -> String {
    serde_saphyr::to_string(map).unwrap_or_else(|e| format!("# not representable as YAML: {e}\n"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn data_is_returned() {
        let text =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config}\ndata: {debug: \"true\"}\n";
        assert_eq!(parse_config_map(text).unwrap()["debug"], "true");
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
        map.metadata.name = Some(crate::CONFIG_MAP.to_owned());
        assert_eq!(parse_config_map(&manifest(&map)).unwrap(), data);
    }

    #[rstest]
    #[case::other_name("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata: {a: b}", "named x")]
    #[case::no_data("kind: ConfigMap\napiVersion: v1\nmetadata: {name: cilium-config}", "no data")]
    #[case::not_yaml("a: [", "line")]
    fn what_is_wrong_is_said(#[case] text: &str, #[case] said: &str) {
        let error = parse_config_map(text).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}
