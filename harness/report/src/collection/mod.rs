//! Several runs together: one page, one JUnit file, one job summary.

pub mod github;
pub mod html;
pub mod junit;

use std::path::{Path, PathBuf};

use crate::folder::{FolderError, RunFolder};
use crate::run::{Run, Verdict};
use crate::trial::{Trial, TrialOutcome};

/// A run as its folder holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The folder.
    pub folder: PathBuf,
    /// The record.
    pub run: Run,
    /// What came of the arm of a scenario that it was.
    pub trial: Option<Trial>,
}

/// What a run means for whoever waits for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Something is wrong with the subject, or with what is expected of it.
    Bad,
    /// It says nothing about the subject.
    Untold,
    /// It is as it should be.
    Good,
}

impl Recorded {
    /// Reads a run folder.
    ///
    /// # Errors
    /// Fails when it holds no readable record.
    pub fn load(path: &Path) -> Result<Self, FolderError> {
        let folder = RunFolder::open(path)?;
        Ok(Self { folder: path.to_owned(), run: folder.load()?, trial: Trial::load(&folder)? })
    }

    /// `scenario/arm`, or the versions.
    pub fn name(&self) -> String {
        self.trial.as_ref().map_or_else(|| self.run.versions(), Trial::name)
    }

    /// What it means: a trial is held against what its scenario expects, any other run against its verdict.
    pub fn standing(&self) -> Standing {
        match (self.trial.as_ref().map(|trial| trial.outcome), self.run.verdict) {
            (Some(TrialOutcome::AsExpected), _) | (None, Verdict::Passed) => Standing::Good,
            (Some(TrialOutcome::NotAsExpected), _) | (None, Verdict::Failed) => Standing::Bad,
            (Some(TrialOutcome::NotJudged), _)
            | (None, Verdict::Errored | Verdict::Noisy | Verdict::Skipped | Verdict::Interrupted) => {
                Standing::Untold
            }
        }
    }

    /// The standing in words: `as expected`, or the verdict of a run that is no trial.
    pub fn outcome(&self) -> String {
        match &self.trial {
            None => self.run.verdict.to_string(),
            Some(trial) => match trial.outcome {
                TrialOutcome::AsExpected => "as expected".to_owned(),
                TrialOutcome::NotAsExpected => "not as expected".to_owned(),
                TrialOutcome::NotJudged => format!("not judged, {}", self.run.verdict),
            },
        }
    }

    /// Why it stands so, one sentence each.
    pub fn reasons(&self) -> Vec<&str> {
        match &self.trial {
            Some(trial) if !trial.wrong.is_empty() => trial.wrong.iter().map(String::as_str).collect(),
            _ => vec![self.run.reason.as_str()],
        }
    }

    /// The command that runs it again.
    pub fn again(&self) -> String {
        if let Some(trial) = &self.trial {
            return format!("seatrial scenario run {} --arm {}", trial.scenario, trial.arm);
        }
        let up: Vec<_> = self.run.path.iter().filter(|hop| hop.direction == "upgrade").collect();
        let (from, to) = (up.first().map_or("", |hop| &hop.from), up.last().map_or("", |hop| &hop.to));
        let back = self.run.path.iter().any(|hop| hop.direction == "rollback");
        let back = if back { " --rollback" } else { "" };
        format!("seatrial run {from} {to}{back} --nodes {}", self.run.provider.nodes.len().max(1))
    }
}

/// The run folders that a path means: itself, or all that are directly in it, in order of name.
///
/// # Errors
/// Fails when it is neither a run folder nor a folder that holds one.
pub fn folders(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let itself = RunFolder::open(path);
    if itself.is_ok() {
        return Ok(vec![path.to_owned()]);
    }
    let entries =
        std::fs::read_dir(path).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let mut found: Vec<_> =
        entries.iter().map(|entry| entry.path()).filter(|path| RunFolder::open(path).is_ok()).collect();
    found.sort();
    if found.is_empty() { itself.map(|_| found) } else { Ok(found) }
}

/// The worst first; those that stand alike in order of name.
fn sorted(runs: &[Recorded]) -> Vec<&Recorded> {
    let mut runs: Vec<_> = runs.iter().collect();
    runs.sort_by_cached_key(|run| (run.standing(), run.name(), run.run.id.clone()));
    runs
}

fn count(runs: &[Recorded], standing: Standing) -> usize {
    runs.iter().filter(|run| run.standing() == standing).count()
}

/// How many stand how, such as `2 wrong, 1 not judged, 30 as they should be`.
pub fn tally(runs: &[Recorded]) -> String {
    let (bad, untold, good) =
        (count(runs, Standing::Bad), count(runs, Standing::Untold), count(runs, Standing::Good));
    format!("{bad} wrong, {untold} not judged, {good} as they should be")
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixture;

    /// A good and a bad trial, a plain run with a finding, and one that says nothing.
    pub(crate) fn several() -> Vec<Recorded> {
        let recorded = |id: &str, run: Run, trial: Option<TrialOutcome>| Recorded {
            folder: PathBuf::from("runs").join(id),
            run: Run { id: id.to_owned(), ..run },
            trial: trial.map(fixture::trial),
        };
        vec![
            recorded("r1", fixture::clean(), None),
            recorded("r2", fixture::deny_hole(), Some(TrialOutcome::AsExpected)),
            recorded("r3", fixture::errored(), None),
            recorded("r4", fixture::deny_hole(), Some(TrialOutcome::NotAsExpected)),
        ]
    }

    #[rstest]
    #[case::passed(0, Standing::Good, "passed")]
    #[case::failed_as_it_must(1, Standing::Good, "as expected")]
    #[case::errored(2, Standing::Untold, "errored")]
    #[case::failed_otherwise(3, Standing::Bad, "not as expected")]
    fn a_run_stands_as_its_scenario_says(
        #[case] index: usize,
        #[case] standing: Standing,
        #[case] outcome: &str,
    ) {
        let run = &several()[index];
        assert_eq!((run.standing(), run.outcome().as_str()), (standing, outcome));
    }

    #[test]
    fn it_says_how_to_run_it_again() {
        let runs = several();
        assert_eq!(runs[0].again(), "seatrial run 1.5.13 1.6.12 --rollback --nodes 2");
        assert_eq!(runs[3].again(), "seatrial scenario run kvstore-keys --arm skipped");
    }

    #[test]
    fn a_folder_of_runs_means_all_that_are_in_it() {
        let base = tempfile::tempdir().unwrap();
        for id in ["b", "a"] {
            RunFolder::create(base.path(), id).unwrap().finish(&fixture::errored()).unwrap();
        }
        RunFolder::create(base.path(), "empty").unwrap();
        std::fs::write(base.path().join("index.html"), "").unwrap();
        let (a, b) = (base.path().join("a"), base.path().join("b"));
        assert_eq!(folders(base.path()).unwrap(), [a.clone(), b]);
        assert_eq!(folders(&a).unwrap(), [a]);
        let error = folders(&base.path().join("empty")).unwrap_err().to_string();
        assert!(error.contains("holds no run.json"), "{error}");
    }
}
