//! The scenario file, and its parser.

use std::collections::BTreeMap;

use probe::budget::Budgets;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::expect::Expected;
use crate::steps::{Arm, StepEntry, one_action};

/// One scenario: a version, the steps from it, and the expectations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Scenario {
    /// Name: that of the file without its extension.
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9][a-z0-9.-]*$"))]
    pub name: Spanned<String>,
    /// One line on what it shows.
    pub title: String,
    /// Section of the upgrade guide.
    pub guide: String,
    /// Hazard of the guide that it shows, by its name in `guide/data/hazards.yaml`.
    #[schemars(with = "Option<String>")]
    pub hazard: Option<Spanned<String>>,
    /// Number of nodes.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 5))]
    pub nodes: u8,
    /// The installation before the first step.
    pub install: Install,
    /// The steps, in order.
    #[schemars(with = "Vec<StepEntry>")]
    pub steps: Vec<Spanned<StepEntry>>,
    /// The expectations.
    pub expect: Expect,
    /// Budgets of the flows, instead of the standard ones.
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    pub budgets: Option<Budgets>,
    /// Notes for readers, such as what is not shown.
    pub notes: Option<String>,
}

/// The first version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Install {
    /// Version, such as 1.5 (the latest patch) or 1.5.13.
    #[schemars(with = "String")]
    pub version: Spanned<String>,
    /// Keys that are merged into the chart's ConfigMap.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Policies that exist before any traffic: the `spec` of each, by name.
    #[serde(default)]
    pub policies: BTreeMap<String, Value>,
    /// Whether a pod `name-client` also probes addresses outside the cluster: 192.0.2.10, which has the name
    /// `outside.seatrial.svc.cluster.local`, and 192.0.2.11, which has none and must not be reached. The pod knows the
    /// addresses, and queries the name in the step `ask-names` only.
    #[serde(default)]
    pub names: bool,
}

/// The expectations of each arm; without `skipped` there is only the documented procedure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Expect {
    /// Expectations of the documented procedure; by default, every flow stays within its budget.
    #[serde(default)]
    pub followed: Expected,
    /// Expectations of the procedure that leaves something out.
    pub skipped: Option<Expected>,
}

/// A scenario that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ScenarioError {
    file: String,
    line: u64,
    column: u64,
    message: String,
}

impl ScenarioError {
    pub(super) fn at(file: &str, place: Location, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: place.line(), column: place.column(), message: message.into() }
    }
}

fn two() -> u8 {
    2
}

impl Scenario {
    /// Reads a scenario; unknown keys are errors.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_saphyr::from_str(text).map_err(|e| {
            let place = e.location().unwrap_or(Location::UNKNOWN);
            let shown = e.without_snippet().to_string();
            // The place stands in front already.
            let suffix = format!(" at line {}, column {}", place.line(), place.column());
            ScenarioError::at(file, place, shown.strip_suffix(&suffix).unwrap_or(&shown))
        })?;
        scenario.check(file)?;
        Ok(scenario)
    }

    fn check(&self, file: &str) -> Result<(), ScenarioError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if self.name.value.is_empty() || !self.name.value.chars().all(allowed) {
            let message = "a name has lower-case letters, digits, dots and hyphens only";
            return Err(ScenarioError::at(file, self.name.referenced, message));
        }
        if !(1..=5).contains(&self.nodes) {
            let message = format!("{} nodes: a cluster has 1 to 5", self.nodes);
            return Err(ScenarioError::at(file, self.name.referenced, message));
        }
        if let Some(hazard) = &self.hazard
            && !guide::hazard_ids().contains(hazard.value.as_str())
        {
            let known: Vec<_> = guide::hazard_ids().into_iter().collect();
            let message = format!("no hazard is named {}; the names are {}", hazard.value, known.join(", "));
            return Err(ScenarioError::at(file, hazard.referenced, message));
        }
        if let Some(step) = self.steps.iter().find(|step| step.value.action().is_none()) {
            return Err(ScenarioError::at(file, step.referenced, one_action()));
        }
        let differs = self.steps.iter().find(|step| step.value.arm.is_some());
        match (&self.expect.skipped, differs) {
            (None, Some(step)) => Err(ScenarioError::at(
                file,
                step.referenced,
                "a step belongs to one arm, but expect.skipped is missing for the other",
            )),
            (Some(_), None) => Err(ScenarioError::at(
                file,
                self.name.referenced,
                "expect.skipped needs a step with `arm: followed` or `arm: skipped`, or both arms are the same",
            )),
            _ => Ok(()),
        }
    }

    /// Its arms.
    pub(super) fn arms(&self) -> Vec<Arm> {
        let skipped = self.expect.skipped.is_some().then_some(Arm::Skipped);
        [Arm::Followed].into_iter().chain(skipped).collect()
    }

    /// The expectations of an arm.
    pub(super) fn expected(&self, arm: Arm) -> &Expected {
        match (arm, &self.expect.skipped) {
            (Arm::Skipped, Some(skipped)) => skipped,
            _ => &self.expect.followed,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEAD: &str = "name: a\ntitle: t\nguide: g\ninstall: {version: \"1.5\"}\n";

    #[rstest]
    #[case::unknown_key("expect: {}\nsteps: []\nstep: []\n", "f.yaml:7:1: ", "step")]
    #[case::unknown_step("expect: {}\nsteps:\n- soak: {seconds: 3}\n", "f.yaml:7:3: ", "soak")]
    #[case::unknown_option(
        "expect: {}\nsteps:\n- upgrade: {to: \"1.6\", now: true}\n",
        "f.yaml:7:24: ",
        "now"
    )]
    #[case::no_action("expect: {}\nsteps:\n- within-seconds: 3\n", "f.yaml:7:3: ", "exactly one action")]
    #[case::two_actions(
        "expect: {}\nsteps:\n- {restart: {}, rollout-undo: {}}\n",
        "f.yaml:7:3: ",
        "exactly one"
    )]
    #[case::unknown_arm("expect: {}\nsteps:\n- {arm: both, restart: {}}\n", "f.yaml:7:9: ", "both")]
    #[case::one_armed(
        "expect: {}\nsteps:\n- {arm: skipped, restart: {}}\n",
        "f.yaml:7:3: ",
        "expect.skipped"
    )]
    #[case::same_arms("expect: {skipped: {}}\nsteps: []\n", "f.yaml:1:7: ", "both arms are the same")]
    #[case::unknown_hazard(
        "hazard: kvstore-key\nexpect: {}\nsteps: []\n",
        "f.yaml:5:9: no hazard is named kvstore-key; the names are ",
        "kvstore-keys, "
    )]
    #[case::not_yaml("expect: [\n", "f.yaml:", "")]
    fn what_is_wrong_is_said_with_its_place(#[case] rest: &str, #[case] place: &str, #[case] word: &str) {
        let error = Scenario::parse("f.yaml", &format!("{HEAD}{rest}")).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(word), "{error}");
        assert!(!error.contains(" at line "), "{error}");
    }

    #[test]
    fn nodes_and_name_are_checked() {
        let error = |text: &str| Scenario::parse("f", text).unwrap_err().to_string();
        let rest = "expect: {}\nsteps: []\n";
        let nodes = error(&format!("{HEAD}{rest}nodes: 9\n"));
        assert!(nodes.contains("1 to 5"), "{nodes}");
        let name = error(&format!("{HEAD}{rest}").replace("name: a", "name: A b"));
        assert!(name.starts_with("f:1:7: a name"), "{name}");
    }
}
