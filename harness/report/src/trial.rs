//! The outcome of an arm of a scenario: `trial.json`, schema `seatrial/trial/v1`.
//!
//! A run has a verdict about the subject. A trial says whether that, and all else that the run recorded, is what the
//! scenario expects: the arm that leaves something out is as expected when its run failed for the right reason.

use std::fs;
use std::io::ErrorKind;

use serde::{Deserialize, Serialize};

use crate::folder::{FolderError, RunFolder, io_error, render_error, replace};

/// The schema name written to `trial.json`.
pub const SCHEMA: &str = "seatrial/trial/v1";

/// What came of an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Arm.
    pub arm: String,
    /// How it compares.
    pub outcome: TrialOutcome,
    /// What does not hold, one sentence each; why it was not judged.
    #[serde(default)]
    pub wrong: Vec<String>,
}

/// How an arm compares with what its scenario expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialOutcome {
    /// Everything holds.
    AsExpected,
    /// Something does not hold.
    NotAsExpected,
    /// The run says nothing about the subject.
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

    /// Reads it back; nothing where the run was no trial.
    ///
    /// # Errors
    /// Fails when it cannot be read, or has another schema.
    pub fn load(folder: &RunFolder) -> Result<Option<Self>, FolderError> {
        let path = folder.trial_json();
        let text = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(io_error("read", &path))?,
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
