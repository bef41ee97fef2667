//! The agent's settings: arguments win over the environment, which wins over the ConfigMap.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The folder of the ConfigMap cannot be read.
    #[error("the configuration in {} cannot be read; mount the ConfigMap cilium-config there", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value is not one of those allowed.
    #[error("{key} is {value:?}; it has to be {expected}")]
    Value {
        /// The option.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
}

/// The agent's options by name, as the version would see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Reads arguments, then `CILIUM_*` variables, then the files of `--config-dir`.
    pub(crate) fn load(
        args: &[OsString],
        env: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let args = from_args(args);
        let mut values = match args.get("config-dir") {
            Some(folder) => from_folder(Path::new(folder))?,
            None => BTreeMap::new(),
        };
        values.extend(env.filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix("CILIUM_")?.to_lowercase().replace('_', "-");
            Some((name, value.to_str()?.to_owned()))
        }));
        values.extend(args);
        Ok(Self(values))
    }

    /// The value of `key`, if it is set.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The value of a switch.
    pub(crate) fn enabled(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.get(key) {
            None | Some("") => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => {
                Err(ConfigError::Value { key, value: other.to_owned(), expected: "true or false" })
            }
        }
    }

    /// The value of a size.
    pub(crate) fn number(&self, key: &'static str, default: u32) -> Result<u32, ConfigError> {
        match self.get(key) {
            None | Some("") => Ok(default),
            Some(text) => text.parse().map_err(|_| ConfigError::Value {
                key,
                value: text.to_owned(),
                expected: "a number",
            }),
        }
    }

    /// The path in `kvstore-opt` of etcd's configuration file; both `k=v` and a JSON object are understood.
    pub(crate) fn etcd_config(&self) -> Option<PathBuf> {
        let options = self.get("kvstore-opt")?;
        let options: BTreeMap<String, String> = serde_json::from_str(options).unwrap_or_else(|_| {
            options
                .split(',')
                .filter_map(|option| option.split_once('='))
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect()
        });
        options.get("etcd.config").map(PathBuf::from)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Settings {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(values: T) -> Self {
        Self(values.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

fn from_args(args: &[OsString]) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for arg in args.iter().filter_map(|arg| arg.to_str()) {
        let arg = arg.trim_start_matches('-');
        let (key, value) = arg.split_once('=').unwrap_or((arg, "true"));
        values
            .entry(key.to_owned())
            .and_modify(|known: &mut String| {
                known.push(',');
                known.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    values
}

/// Reads one file a key; names that begin with a dot are Kubernetes' own links.
fn from_folder(folder: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ConfigError::Folder { path, source }
    };
    let mut values = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let value = std::fs::read_to_string(entry.path()).map_err(failed(&entry.path()))?;
        values.insert(name, value.trim_end_matches('\n').to_owned());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn load(args: &[&str], env: &[(&str, &str)]) -> Settings {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        Settings::load(&args, env.iter().map(|(name, value)| (name.into(), value.into()))).unwrap()
    }

    fn config_map(values: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (key, value) in values {
            std::fs::write(folder.path().join(key), value).unwrap();
        }
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        folder
    }

    #[test]
    fn arguments_win_over_environment_and_config_map() {
        let folder = config_map(&[("kvstore", "consul"), ("debug", "true"), ("tunnel", "vxlan")]);
        let settings = load(
            &["--kvstore=etcd", &format!("--config-dir={}", folder.path().display())],
            &[("CILIUM_DEBUG", "false"), ("CILIUM_KVSTORE", "zookeeper"), ("HOME", "/root")],
        );
        assert_eq!(settings.get("kvstore"), Some("etcd"));
        assert_eq!(settings.get("debug"), Some("false"));
        assert_eq!(settings.get("tunnel"), Some("vxlan"));
        assert_eq!(settings.get("home"), None);
    }

    #[rstest]
    #[case::argument_form("etcd.config=/var/lib/etcd-config/etcd.config")]
    #[case::config_map_form(r#"{"etcd.config": "/var/lib/etcd-config/etcd.config"}"#)]
    #[case::with_others("etcd.operator=true,etcd.config=/var/lib/etcd-config/etcd.config")]
    fn finds_etcds_configuration(#[case] options: &str) {
        let settings = [("kvstore-opt", options)].into_iter().collect::<Settings>();
        assert_eq!(settings.etcd_config(), Some(PathBuf::from("/var/lib/etcd-config/etcd.config")));
    }

    #[test]
    fn a_bare_flag_is_true_and_a_bad_switch_is_an_error() {
        let settings = load(&["--debug", "--masquerade=maybe"], &[]);
        assert!(settings.enabled("debug", false).unwrap());
        assert!(settings.enabled("masquerade", true).unwrap_err().to_string().contains("true or false"));
    }

    #[test]
    fn a_missing_config_map_is_an_error() {
        let args = [OsString::from("--config-dir=/nonexistent")];
        let error = Settings::load(&args, std::iter::empty()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }
}
