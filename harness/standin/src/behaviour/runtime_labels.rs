//! Whether labels that only the container runtime knows count for policy.

use crate::agent::config::{ConfigError, Settings};

/// The labels that the agent reads from the container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuntimeLabels {
    /// The labels of every pod's sandbox; those that Kubernetes does not know become `container:` labels.
    Fetched,
    /// Nothing.
    Left,
}

impl RuntimeLabels {
    /// Reads the option `container-runtime`; every version fetches labels unless it is `none`.
    pub(crate) fn select(settings: &Settings) -> Result<Self, ConfigError> {
        match settings.get("container-runtime").unwrap_or("auto") {
            "" | "auto" | "containerd" => Ok(Self::Fetched),
            "none" => Ok(Self::Left),
            other => Err(ConfigError::Value {
                key: "container-runtime",
                value: other.to_owned(),
                expected: "auto, containerd or none",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RuntimeLabels::{self, Fetched, Left};
    use crate::agent::config::Settings;
    use rstest::rstest;

    #[rstest]
    #[case::not_set(&[], Fetched)]
    #[case::auto(&[("container-runtime", "auto")], Fetched)]
    #[case::named(&[("container-runtime", "containerd")], Fetched)]
    #[case::none(&[("container-runtime", "none")], Left)]
    fn selects(#[case] settings: &[(&str, &str)], #[case] expected: RuntimeLabels) {
        let settings = settings.iter().copied().collect::<Settings>();
        assert_eq!(RuntimeLabels::select(&settings).unwrap(), expected);
    }

    #[test]
    fn a_runtime_that_is_not_played_is_an_error() {
        let settings = [("container-runtime", "docker")].into_iter().collect::<Settings>();
        assert!(RuntimeLabels::select(&settings).unwrap_err().to_string().contains("docker"));
    }
}
