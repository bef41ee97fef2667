//! What stands in the way of an upgrade by chart, found before anything is applied.

use guide::hazard_remedy;
use kube::api::DynamicObject;
use subject::{Installation, Obstacle, Parts, Release};

use crate::judge::StepFinding;
use crate::record::Produced;
use crate::steps::Hop;

/// A documented hazard of charts that this upgrade meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstruction {
    /// Name of the hop.
    pub hop: String,
    /// Its name in the guide.
    pub hazard: &'static str,
    /// Objects and values.
    pub evidence: String,
    /// Whether nothing can be applied as long as it is there.
    pub blocks: bool,
}

impl Obstruction {
    /// What it means for the upgrade, and what to do.
    pub(super) fn summary(&self) -> String {
        let meets = if self.blocks { "cannot be applied" } else { "meets a documented hazard" };
        let remedy = hazard_remedy(self.hazard).unwrap_or_default();
        format!("{} {meets}, {}: {remedy}", self.hop, self.hazard)
    }

    pub(super) fn finding(&self) -> StepFinding {
        StepFinding { hazard: self.hazard, summary: self.summary(), evidence: self.evidence.clone() }
    }
}

/// What a chart renders for an upgrade, and what stands in its way.
pub(super) struct Rendered {
    pub(super) objects: Vec<DynamicObject>,
    pub(super) obstructions: Vec<Obstruction>,
}

impl Produced for Rendered {
    fn detail(&self) -> Option<String> {
        let hazards = self.obstructions.iter().map(|found| found.hazard).collect::<Vec<_>>().join(", ");
        let objects = self.objects.len();
        Some(if hazards.is_empty() {
            format!("{objects} objects")
        } else {
            format!("{objects} objects; {hazards}")
        })
    }
}

/// Renders a chart, and looks at what stands in the way of applying it, as far as the guide names that.
pub(super) async fn render(
    subject: &Installation,
    hop: &Hop,
    release: &Release,
    parts: Parts,
) -> anyhow::Result<Rendered> {
    let objects = release.chart.render(parts).await?;
    if !release.documented {
        return Ok(Rendered { objects, obstructions: Vec::new() });
    }
    let found = |hazard, evidence, blocks| Obstruction { hop: hop.name(), hazard, evidence, blocks };
    let mut obstructions: Vec<_> = subject
        .obstacles(&objects)
        .await?
        .into_iter()
        .map(|obstacle| {
            let hazard = match obstacle {
                Obstacle::Selector { .. } => "immutable-selector",
                Obstacle::ProbeHandler { .. } => "probe-handlers",
            };
            found(hazard, obstacle.evidence(), obstacle.blocks())
        })
        .collect();
    let ignored = release.chart.ignored_values(&release.given).await?;
    if !ignored.is_empty() {
        let chart = release.chart.path.display();
        let evidence = format!("{chart} ignores the given values {}", ignored.join(", "));
        obstructions.push(found("helm-values", evidence, false));
    }
    Ok(Rendered { objects, obstructions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hazard_that_is_named_is_in_the_guide_with_a_remedy() {
        for hazard in ["immutable-selector", "probe-handlers", "helm-values"] {
            let found = Obstruction {
                hop: "upgrade 1.6.12 -> 1.7.1".to_owned(),
                hazard,
                evidence: String::new(),
                blocks: true,
            };
            assert!(
                hazard_remedy(hazard).is_some_and(|remedy| found.summary().ends_with(remedy)),
                "{hazard}"
            );
        }
    }
}
