//! Several runs together: one page, one table, one JUnit file, one job summary.

pub mod github;
pub mod html;
pub mod junit;
pub mod table;

use std::path::{Path, PathBuf};

use model::Direction;

use crate::folder::{FolderError, RunFolder};
use crate::names;
use crate::printable;
use crate::run::{Run, Verdict};
use crate::trial::{Trial, TrialOutcome};

/// A recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The run folder.
    pub folder: PathBuf,
    /// The record.
    pub run: Run,
    /// The outcome of the trial, where the run was one.
    pub trial: Option<Trial>,
}

/// What a run contributes to the result of all runs, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// There are findings, or the trial is not as expected.
    Failed,
    /// There is no verdict on the subject.
    NotJudged,
    /// The run passed, or the trial is as expected.
    Passed,
}

impl Recorded {
    /// Reads a run folder.
    ///
    /// # Errors
    /// Fails when it holds no readable record.
    pub fn load(path: &Path) -> Result<Self, FolderError> {
        let folder = RunFolder::open(path)?;
        let (mut run, trial) = (folder.load()?, Trial::load(&folder)?);
        // Older records have no name.
        run.name = run.name.or_else(|| trial.as_ref().map(Trial::name));
        Ok(Self { folder: path.to_owned(), run, trial })
    }

    /// `scenario/arm`, or the versions.
    pub fn name(&self) -> String {
        self.trial.as_ref().map_or_else(|| self.run.versions(), Trial::name)
    }

    /// `scenario/arm`, or the minors: the same from run to run.
    pub(crate) fn stable_name(&self) -> String {
        self.trial.as_ref().map_or_else(|| names::of_run(&self.run), Trial::name)
    }

    /// The status: a trial is compared with the expectations of its scenario, any other run has its verdict.
    pub fn status(&self) -> Status {
        match (self.trial.as_ref().map(|trial| trial.outcome), self.run.verdict) {
            (Some(TrialOutcome::AsExpected), _) | (None, Verdict::Passed) => Status::Passed,
            (Some(TrialOutcome::NotAsExpected), _) | (None, Verdict::Failed) => Status::Failed,
            (Some(TrialOutcome::NotJudged), _)
            | (None, Verdict::Errored | Verdict::Noisy | Verdict::Skipped | Verdict::Interrupted) => {
                Status::NotJudged
            }
        }
    }

    /// The status in words: `as expected`, or the verdict of a run that is no trial.
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

    /// The reasons for the status, one sentence each.
    pub fn reasons(&self) -> Vec<&str> {
        match &self.trial {
            Some(trial) if !trial.wrong.is_empty() => trial.wrong.iter().map(String::as_str).collect(),
            _ => vec![self.run.reason.as_str()],
        }
    }

    /// The command that repeats the run, quoted for a shell.
    pub fn command(&self) -> String {
        let quoted = |word: &str| {
            let word = printable::line(word);
            shlex::try_quote(&word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
        };
        if let Some(trial) = &self.trial {
            return format!("seatrial scenario run {} --arm {}", quoted(&trial.scenario), quoted(&trial.arm));
        }
        let up: Vec<_> = self.run.path.iter().filter(|hop| hop.direction == Direction::Upgrade).collect();
        let (from, to) = (up.first().map_or("", |hop| &hop.from), up.last().map_or("", |hop| &hop.to));
        let back = self.run.path.iter().any(|hop| hop.direction == Direction::Rollback);
        let back = if back { " --rollback" } else { "" };
        let nodes = self.run.provider.nodes.len().max(1);
        format!("seatrial run {} {}{back} --nodes {nodes}", quoted(from), quoted(to))
    }

    /// The recorded run with every text on one line and without control characters.
    #[must_use]
    pub fn printable(&self) -> Self {
        let trial = self.trial.as_ref().map(Trial::printable);
        Self { folder: self.folder.clone(), run: self.run.printable(), trial }
    }
}

/// Lists the run folders at a path: the folder itself, or all run folders directly in it, in order of name.
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
    let folders = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut found: Vec<_> =
        folders.map(|entry| entry.path()).filter(|path| RunFolder::open(path).is_ok()).collect();
    found.sort();
    if found.is_empty() { itself.map(|_| found) } else { Ok(found) }
}

/// The runs ready to be shown, the worst first, and those of one status in order of name.
fn sorted(runs: &[Recorded]) -> Vec<Recorded> {
    let mut runs: Vec<_> = runs.iter().map(Recorded::printable).collect();
    runs.sort_by_cached_key(|run| (run.status(), run.name(), run.run.id.clone()));
    runs
}

fn count(runs: &[Recorded], status: Status) -> usize {
    runs.iter().filter(|run| run.status() == status).count()
}

/// Counts the runs by status, such as `2 failed, 1 not judged, 30 passed`.
pub fn tally(runs: &[Recorded]) -> String {
    let (failed, unjudged, passed) =
        (count(runs, Status::Failed), count(runs, Status::NotJudged), count(runs, Status::Passed));
    format!("{failed} failed, {unjudged} not judged, {passed} passed")
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixture;

    /// Two trials, one as expected and one not, a run that passed, and one without a verdict.
    pub(crate) fn several() -> Vec<Recorded> {
        let recorded = |id: &str, run: Run, trial: Option<TrialOutcome>| Recorded {
            folder: PathBuf::from("runs").join(id),
            run: Run { id: id.to_owned(), ..run },
            trial: trial.map(fixture::trial),
        };
        vec![
            recorded("r1", fixture::clean(), None),
            recorded("r2", fixture::deny_leak(), Some(TrialOutcome::AsExpected)),
            recorded("r3", fixture::errored(), None),
            recorded("r4", fixture::deny_leak(), Some(TrialOutcome::NotAsExpected)),
        ]
    }

    #[rstest]
    #[case::passed(0, Status::Passed, "passed")]
    #[case::failed_as_expected(1, Status::Passed, "as expected")]
    #[case::errored(2, Status::NotJudged, "errored")]
    #[case::not_as_expected(3, Status::Failed, "not as expected")]
    fn a_trial_has_the_status_of_its_outcome(
        #[case] index: usize,
        #[case] status: Status,
        #[case] outcome: &str,
    ) {
        let run = &several()[index];
        assert_eq!((run.status(), run.outcome().as_str()), (status, outcome));
    }

    #[test]
    fn the_command_repeats_the_run() {
        let runs = several();
        assert_eq!(runs[0].command(), "seatrial run 1.5.13 1.6.12 --rollback --nodes 2");
        assert_eq!(runs[3].command(), "seatrial scenario run kvstore-keys --arm skipped");
    }

    #[test]
    fn no_word_of_a_record_becomes_a_command() {
        let mut run = several().remove(1);
        run.trial.as_mut().unwrap().scenario = "x; rm -rf ~\n".into();
        assert_eq!(run.command(), "seatrial scenario run 'x; rm -rf ~' --arm skipped");
    }

    #[test]
    fn a_folder_of_runs_stands_for_all_of_them() {
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
