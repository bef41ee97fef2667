//! The parts of what is installed.

/// Parts that can be rendered apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Everything but the pre-flight check.
    All,
    /// The same without the ConfigMap, where that can be left out.
    WithoutConfig,
    /// The pre-flight check alone.
    Preflight,
}

/// A list of Helm values.
pub(crate) type Values = &'static [(&'static str, &'static str)];

/// How the parts of a version are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// By Helm values.
    Chart {
        /// Values that leave the ConfigMap out; empty where it cannot be left out.
        without_config: &'static [(&'static str, &'static str)],
        /// Values that render the pre-flight check alone; `None` if there is no such check.
        preflight: Option<&'static [(&'static str, &'static str)]>,
        /// Whether the chart is a single one, so that its own values show which values it ignores.
        single: bool,
        /// Further flags of `helm template`.
        flags: &'static [&'static str],
    },
    /// Manifests instead of a chart: by the names of the objects.
    Manifests {
        /// Prefix of the names of the pre-flight check's objects.
        preflight: Option<&'static str>,
    },
}

impl Division {
    /// A chart without a pre-flight check: with its CRDs, and without its tests.
    pub const PLAIN_CHART: Self = Self::Chart {
        without_config: &[],
        preflight: None,
        single: true,
        flags: &["--include-crds", "--skip-tests"],
    };
    /// Manifests without a pre-flight check.
    pub const PLAIN_MANIFESTS: Self = Self::Manifests { preflight: None };

    /// Whether it is manifests and not a chart.
    #[must_use]
    pub fn is_manifests(self) -> bool {
        matches!(self, Self::Manifests { .. })
    }

    /// Further flags of `helm template`.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Chart { flags, .. } => flags,
            Self::Manifests { .. } => &[],
        }
    }

    /// The values that render these parts; `None` if a chart has no such part.
    pub(crate) fn values(self, parts: Parts) -> Option<Values> {
        match (self, parts) {
            (Self::Chart { without_config, .. }, Parts::WithoutConfig) => Some(without_config),
            (Self::Chart { preflight, .. }, Parts::Preflight) => preflight,
            (Self::Chart { .. }, Parts::All) | (Self::Manifests { .. }, _) => Some(&[]),
        }
    }

    /// Whether an object belongs to these parts, by its name.
    pub(crate) fn has(self, parts: Parts, name: &str, config_map: Option<&str>) -> bool {
        let Self::Manifests { preflight } = self else { return true };
        let preflight = preflight.is_some_and(|prefix| name.starts_with(prefix));
        match parts {
            Parts::All => !preflight,
            Parts::WithoutConfig => !preflight && config_map != Some(name),
            Parts::Preflight => preflight,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::agents(Parts::All, "bird", true)]
    #[case::configuration(Parts::All, "bird-config", true)]
    #[case::configuration_left_out(Parts::WithoutConfig, "bird-config", false)]
    #[case::check_is_apart(Parts::All, "bird-check-check", false)]
    #[case::check_alone(Parts::Preflight, "bird-check-check", true)]
    #[case::agents_are_no_check(Parts::Preflight, "bird", false)]
    fn manifests_are_divided_by_name(#[case] parts: Parts, #[case] name: &str, #[case] expected: bool) {
        let manifests = Division::Manifests { preflight: Some("bird-check") };
        assert_eq!(manifests.has(parts, name, Some("bird-config")), expected);
        assert!(Division::PLAIN_CHART.has(parts, name, Some("bird-config")));
    }

    #[test]
    fn a_component_without_a_check_has_no_parts_of_one() {
        assert_eq!(Division::PLAIN_CHART.values(Parts::Preflight), None);
        assert!(!Division::PLAIN_MANIFESTS.has(Parts::Preflight, "bird-check-check", None));
    }
}
