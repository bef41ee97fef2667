//! The step `lint`.

use std::collections::BTreeMap;

use guide::lint::{Change, RuleId, Source, lint, render};
use model::Version;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// A lint against an upgrade from the version that runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lint {
    /// Version of the upgrade.
    pub to: String,
    /// Oldest kernel of the nodes.
    pub kernel: Option<String>,
    /// Files beside the policies of the cluster, such as dashboards: text by name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

impl Lint {
    /// The upgrade from `from`. Only the guide knows the version: its release is not prepared.
    fn change(&self, from: &Version) -> Result<Change, Unplannable> {
        let kernel = self.kernel.as_deref().map(str::parse).transpose();
        let kernel = kernel.map_err(|e| Unplannable::wrong(format!("{e}")))?;
        Ok(Change { from: from.clone(), to: Planner::resolve(&self.to)?, kernel })
    }
}

impl StepAction for Lint {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let change = self.change(&planner.current())?;
        planner.push(format!("lint against {}", change.to), Action::Lint(self.clone()));
        Ok(())
    }

    async fn run(&self, step: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        let policies = context.subject(step).policies().await?;
        Ok(report(&policies, &self.files, &self.change(&step.from)?)?.into())
    }
}

fn report(policies: &str, files: &BTreeMap<String, String>, change: &Change) -> anyhow::Result<String> {
    let files = files.iter().map(|(file, text)| Source { file, text });
    let sources: Vec<_> = [Source { file: "cluster", text: policies }].into_iter().chain(files).collect();
    let report = lint(&sources, change);
    if let Some(finding) = report.findings.iter().find(|finding| finding.rule == RuleId::UnreadableFile) {
        anyhow::bail!("cannot lint {}: line {}: {}", finding.file, finding.line, finding.message);
    }
    Ok(render::text(&report).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_and_files_are_linted_together() {
        let change = Change { from: "1.5.13".parse().unwrap(), to: "1.6.12".parse().unwrap(), kernel: None };
        let rules = "groups: [{name: g, rules: [{alert: A, expr: cilium_policy_l7_denied_total > 1}]}]";
        let files = BTreeMap::from([("rules.yaml".to_owned(), rules.to_owned())]);
        let text = report("", &files, &change).unwrap();
        assert!(text.contains("rules.yaml") && text.contains("policy_l7_total"), "{text}");
        let broken = BTreeMap::from([("rules.yaml".to_owned(), "groups: [".to_owned())]);
        assert!(report("", &broken, &change).unwrap_err().to_string().contains("rules.yaml"));
    }
}
