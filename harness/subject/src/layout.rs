//! How what is installed is divided, and what leaves parts of it out.

/// The parts that are rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Everything but the pre-flight check.
    All,
    /// The same without the ConfigMap, where that can be left out.
    WithoutConfig,
    /// The pre-flight check and nothing else.
    Preflight,
}

/// The division of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Subcharts `agent`, `config`, `operator` and `preflight`, and values below `global`: Cilium's charts up to 1.8.
    Subcharts,
    /// One chart, which renders the ConfigMap with the agents: Cilium's charts from 1.9.
    Whole,
    /// No chart: a manifest, or a folder of them, as Cilium up to 1.5 was published.
    Manifests,
}

impl Layout {
    /// The values that render these parts.
    pub(crate) fn values(self, parts: Parts) -> &'static [(&'static str, &'static str)] {
        match (self, parts) {
            (Self::Subcharts, Parts::WithoutConfig) => &[("config.enabled", "false")],
            (Self::Subcharts, Parts::Preflight) => &[
                ("preflight.enabled", "true"),
                ("agent.enabled", "false"),
                ("config.enabled", "false"),
                ("operator.enabled", "false"),
            ],
            (Self::Whole, Parts::Preflight) => {
                &[("preflight.enabled", "true"), ("agent", "false"), ("operator.enabled", "false")]
            }
            (_, Parts::All) | (Self::Whole, Parts::WithoutConfig) | (Self::Manifests, _) => &[],
        }
    }

    /// Whether an object of manifests belongs to these parts, by its name.
    pub(crate) fn has(self, parts: Parts, name: &str) -> bool {
        let preflight = name.starts_with("cilium-pre-flight");
        match parts {
            _ if self != Self::Manifests => true,
            Parts::All => !preflight,
            Parts::WithoutConfig => !preflight && name != crate::CONFIG_MAP,
            Parts::Preflight => preflight,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::agents(Parts::All, "cilium", true)]
    #[case::configuration(Parts::All, "cilium-config", true)]
    #[case::configuration_left_alone(Parts::WithoutConfig, "cilium-config", false)]
    #[case::check_is_apart(Parts::All, "cilium-pre-flight-check", false)]
    #[case::check_alone(Parts::Preflight, "cilium-pre-flight-check", true)]
    #[case::nothing_beside_the_check(Parts::Preflight, "cilium", false)]
    fn manifests_are_divided_by_name(#[case] parts: Parts, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(Layout::Manifests.has(parts, name), expected);
        assert!(Layout::Whole.has(parts, name));
    }
}
