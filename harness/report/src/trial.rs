//! The outcome of an arm of a scenario: `trial.json`, schema `seatrial/trial/v1`.
//!
//! A run has a verdict on the subject. A trial compares the record of the run with the expectations of its scenario: an arm
//! that skips a documented step is as expected when its run failed for the right reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::folder::{FolderError, LARGEST_RECORD, RunFolder, render_error, replace};
use crate::printable;

/// The schema name written to `trial.json`.
pub const SCHEMA: &str = "seatrial/trial/v1";

/// The outcome of an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Always `seatrial/trial/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Arm of the scenario, such as `followed` or `skipped`.
    pub arm: String,
    /// How the run compares with the expectations.
    pub outcome: TrialOutcome,
    /// Expectations that are not met, or the reason why the run was not judged; one sentence each.
    #[serde(default)]
    pub wrong: Vec<String>,
}

/// How an arm compares with the expectations of its scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrialOutcome {
    /// All expectations are met.
    AsExpected,
    /// At least one expectation is not met.
    NotAsExpected,
    /// The run has no verdict on the subject.
    NotJudged,
}

impl Trial {
    /// Writes `trial.json` into the folder of the run.
    ///
    /// # Errors
    /// Fails when the file system refuses.
    pub fn save(&self, folder: &RunFolder) -> Result<(), FolderError> {
        let path = folder.trial_json();
        let mut text = serde_json::to_vec_pretty(self).map_err(render_error(&path))?;
        text.push(b'\n');
        replace(&path, &text)
    }

    /// Reads `trial.json`; none where the run was no trial.
    ///
    /// # Errors
    /// Fails when the file cannot be read, or has another schema.
    pub fn load(folder: &RunFolder) -> Result<Option<Self>, FolderError> {
        let path = folder.trial_json();
        let text = match folder.read("trial.json", LARGEST_RECORD) {
            Err(e) if e.is_not_found() => return Ok(None),
            read => read?,
        };
        let trial: Self = serde_json::from_slice(&text).map_err(|source| FolderError::Unreadable {
            path: path.clone(),
            schema: SCHEMA,
            source,
        })?;
        if trial.schema == SCHEMA {
            return Ok(Some(trial));
        }
        let what = format!("its schema is {:?}", trial.schema);
        let source = <serde_json::Error as serde::de::Error>::custom(what);
        Err(FolderError::Unreadable { path, schema: SCHEMA, source })
    }

    /// `scenario/arm`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.scenario, self.arm)
    }

    /// The trial with every text on one line and without control characters.
    #[must_use]
    pub fn printable(&self) -> Self {
        let mut trial = self.clone();
        let Self { schema, scenario, arm, wrong, .. } = &mut trial;
        [schema, scenario, arm].into_iter().chain(wrong).for_each(printable::clean);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_trial_is_read_back_as_it_was_saved() {
        let base = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(base.path(), "r1").unwrap();
        assert_eq!(Trial::load(&folder).unwrap(), None);
        let trial = fixture::trial(TrialOutcome::NotAsExpected);
        trial.save(&folder).unwrap();
        assert_eq!(Trial::load(&folder).unwrap(), Some(trial));
    }

    #[test]
    fn another_schema_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(base.path(), "r1").unwrap();
        let mut trial = fixture::trial(TrialOutcome::AsExpected);
        trial.schema = "seatrial/trial/v9".into();
        trial.save(&folder).unwrap();
        let error = Trial::load(&folder).unwrap_err().to_string();
        assert!(error.contains("trial.json is not a seatrial/trial/v1 record"), "{error}");
    }
}
