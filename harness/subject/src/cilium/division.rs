//! The parts of Cilium's charts and manifests.

use model::{Minor, Version};

use super::names::PREFLIGHT_PREFIX;
use crate::source::Division;

/// Charts up to 1.8: subcharts `agent`, `config`, `operator` and `preflight`, and values below `global`.
pub(crate) const SUBCHARTS: Division = Division::Chart {
    without_config: &[("config.enabled", "false")],
    preflight: Some(&[
        ("preflight.enabled", "true"),
        ("agent.enabled", "false"),
        ("config.enabled", "false"),
        ("operator.enabled", "false"),
    ]),
    single: false,
    flags: &[],
};
/// Charts from 1.9 on: a single chart, which renders the ConfigMap with the agents.
pub(crate) const SINGLE: Division = Division::Chart {
    without_config: &[],
    preflight: Some(&[("preflight.enabled", "true"), ("agent", "false"), ("operator.enabled", "false")]),
    single: true,
    flags: &[],
};
/// Manifests, as Cilium up to 1.5 was published.
pub(crate) const MANIFESTS: Division = Division::Manifests { preflight: Some(PREFLIGHT_PREFIX) };

/// The first minor with a single chart.
const SINGLE_FROM: Minor = Minor::new(1, 9);

/// The division of the chart of a version.
pub(super) fn of_chart(version: &Version) -> Division {
    if version.minor() < SINGLE_FROM { SUBCHARTS } else { SINGLE }
}
