//! Turns of the runs on one machine, so that a measurement does not disturb another one.
//!
//! There are three lock files. The kernel releases a lock when the process that holds it ends, however it ends. The content of
//! a file only names the run that locked it last.
//!
//! | file | its holder |
//! |---|---|
//! | `next` | starts its cluster and its traffic while another run measures |
//! | `measures` | measures; only the holder of `next` takes this lock, and then releases `next` |
//! | `changes` | measures, and still changes its cluster; only the holder of `next` takes or checks this lock |
//!
//! So one run measures, at most one other run is active, and that one starts during the final quiet period of the first.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait::{self, Timeout};

/// How long a run waits for others: longer than any run, including calibrations of some hours.
const PATIENCE: Duration = Duration::from_secs(8 * 3_600);
/// The name of a run that has not written its id yet.
const UNKNOWN: &str = "unknown";
/// Time between two checks of the locks.
const PAUSE: Duration = Duration::from_millis(50);

/// Receives the id of a run that must end first.
pub type OnWait<'a> = dyn Fn(&str) + Sync + 'a;

/// A run cannot get its turn.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// A lock cannot be used.
    #[error("the lock {} could not be {verb}; set SEATRIAL_STATE to a usable folder", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What failed.
        verb: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Other runs did not end in time.
    #[error(transparent)]
    Timeout(#[from] Timeout),
}

/// The turns of all runs of a machine.
#[derive(Clone, Debug)]
pub struct Turns {
    folder: PathBuf,
}

/// How a run can start.
#[derive(Debug)]
pub enum Start {
    /// No other run measures: this run has its turn.
    Turn(Turn),
    /// Another run measures and no longer changes its cluster: this one can prepare, with the remaining processor time.
    Next(Next),
}

/// Whether a run can start.
#[derive(Debug)]
pub enum TurnState {
    /// It can.
    Ready(Start),
    /// It must wait for the run with this id.
    Blocked(String),
}

/// The position of the next run; dropping this gives it up.
#[derive(Debug)]
pub struct Next {
    turns: Turns,
    id: String,
    other: String,
    _lock: File,
}

/// The turn to measure; dropping this ends it.
#[derive(Debug)]
pub struct Turn {
    next: PathBuf,
    _measures: File,
    changes: Option<File>,
}

impl Turns {
    /// The turns of the machine that this state folder belongs to.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("turns") }
    }

    /// Tries to start a run now; `may_overlap` is whether it can prepare while another run measures.
    ///
    /// # Errors
    /// When a lock cannot be used.
    pub fn try_start(&self, id: &str, may_overlap: bool) -> Result<TurnState, TurnError> {
        let next = match self.lock("next", id)? {
            Ok(next) => next,
            Err(other) => return Ok(TurnState::Blocked(other)),
        };
        let next = Next { turns: self.clone(), id: id.to_owned(), other: String::new(), _lock: next };
        Ok(match next.measure()? {
            Ok(turn) => TurnState::Ready(Start::Turn(turn)),
            Err(other) if may_overlap && self.lock("changes", id)?.is_ok() => {
                TurnState::Ready(Start::Next(Next { other, ..next }))
            }
            Err(other) => TurnState::Blocked(other),
        })
    }

    /// Waits until a run can start; `on_wait` receives the id of each run that it waits for, once.
    ///
    /// # Errors
    /// When a lock cannot be used, or another run still measures after 8 hours.
    pub async fn start(&self, id: &str, may_overlap: bool, on_wait: &OnWait<'_>) -> Result<Start, TurnError> {
        let mut reported = BTreeSet::new();
        let attempt = || {
            std::future::ready(match self.try_start(id, may_overlap) {
                Err(e) => Ok(Err(e)),
                Ok(TurnState::Ready(start)) => Ok(Ok(start)),
                Ok(TurnState::Blocked(other)) => Err(report(&mut reported, &other, on_wait)),
            })
        };
        wait::until("the turn of this run to start", PATIENCE, PAUSE, attempt).await?
    }

    /// Takes the lock `name` for the run `id`; else returns the id of the run that holds it.
    fn lock(&self, name: &str, id: &str) -> Result<Result<File, String>, TurnError> {
        let path = self.folder.join(name);
        let Some(mut file) = take(&path)? else { return Ok(Err(holder(&path))) };
        let written = file.set_len(0).and_then(|()| file.write_all(id.as_bytes()));
        written.map_err(|source| TurnError::Lock { path, verb: "written", source })?;
        Ok(Ok(file))
    }
}

/// Takes the lock on a file, which is created where necessary; `None` when another process holds it.
fn take(path: &Path) -> Result<Option<File>, TurnError> {
    let failed = |verb| move |source| TurnError::Lock { path: path.to_owned(), verb, source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().mode(0o700).recursive(true).create(folder).map_err(failed("created"))?;
    }
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(path).map_err(failed("opened"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(failed("taken")(e)),
    }
}

/// The run that locked a file last.
fn holder(path: &Path) -> String {
    match std::fs::read_to_string(path) {
        Ok(id) if !id.is_empty() => id,
        // It was locked a moment ago, and has no id yet.
        Ok(_) | Err(_) => UNKNOWN.to_owned(),
    }
}

/// Reports a run that is waited for, once, and returns the state of the wait.
fn report(reported: &mut BTreeSet<String>, other: &str, on_wait: &OnWait<'_>) -> String {
    if other != UNKNOWN && reported.insert(other.to_owned()) {
        on_wait(other);
    }
    measures(other)
}

fn measures(other: &str) -> String {
    format!("run {other} measures")
}

impl Next {
    /// The turn, unless another run has it; else the id of that run. The caller then gives up its position as the next run.
    fn measure(&self) -> Result<Result<Turn, String>, TurnError> {
        let measures = match self.turns.lock("measures", &self.id)? {
            Ok(measures) => measures,
            Err(other) => return Ok(Err(other)),
        };
        // The run before may release it a moment later. Without this lock, others would take this run for a quiet one.
        let changes = match self.turns.lock("changes", &self.id)? {
            Ok(changes) => changes,
            Err(other) => return Ok(Err(other)),
        };
        let next = self.turns.folder.join("next");
        Ok(Ok(Turn { next, _measures: measures, changes: Some(changes) }))
    }

    /// The id of the run that measures meanwhile.
    #[must_use]
    pub fn other(&self) -> &str {
        &self.other
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// When a lock cannot be used, or the other run still measures after 8 hours.
    pub async fn turn(self) -> Result<Turn, TurnError> {
        let attempt = || {
            std::future::ready(match self.measure() {
                Err(e) => Ok(Err(e)),
                Ok(Ok(turn)) => Ok(Ok(turn)),
                Ok(Err(other)) => Err(measures(&other)),
            })
        };
        wait::until("the turn of this run to measure", PATIENCE, PAUSE, attempt).await?
    }
}

impl Turn {
    /// This run no longer changes its cluster: another one can prepare.
    pub fn quiet(&mut self) {
        self.changes = None;
    }

    /// Whether another run waits for the turn.
    ///
    /// # Errors
    /// When a lock cannot be used.
    pub fn is_awaited(&self) -> Result<bool, TurnError> {
        Ok(take(&self.next)?.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that another test is starting holds copies of all locks for a moment.
    async fn start(turns: &Turns, id: &str) -> Start {
        let soon = turns.start(id, true, &|_| ());
        tokio::time::timeout(Duration::from_secs(5), soon).await.expect("it can start").unwrap()
    }

    fn waits_for(turns: &Turns, id: &str, may_overlap: bool) -> String {
        match turns.try_start(id, may_overlap).unwrap() {
            TurnState::Blocked(other) => other,
            TurnState::Ready(start) => panic!("{id} starts: {start:?}"),
        }
    }

    #[tokio::test]
    async fn one_run_measures_and_one_is_next_once_the_first_is_quiet() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let Start::Turn(mut first) = start(&turns, "first").await else { panic!("no other run exists") };
        assert_eq!(waits_for(&turns, "second", true), "first");
        first.quiet();
        assert!(!first.is_awaited().unwrap());
        let Start::Next(second) = start(&turns, "second").await else { panic!("first still measures") };
        assert!(first.is_awaited().unwrap());
        assert_eq!(waits_for(&turns, "third", true), "second");
        drop(first);
        assert_eq!(waits_for(&turns, "third", true), "second", "the next run cannot be overtaken");
        let second = second.turn().await.unwrap();
        assert_eq!(waits_for(&turns, "third", true), "second", "the second is not quiet");
        drop(second);
        assert!(matches!(start(&turns, "third").await, Start::Turn(_)));
    }

    #[tokio::test]
    async fn there_is_no_turn_while_another_run_changes_its_cluster() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let changes = turns.lock("changes", "first").unwrap().unwrap();
        assert_eq!(waits_for(&turns, "second", true), "first");
        drop(changes);
        assert!(matches!(start(&turns, "second").await, Start::Turn(_)));
    }

    #[tokio::test]
    async fn run_without_cpu_weight_starts_with_its_turn() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let Start::Turn(mut first) = start(&turns, "first").await else { panic!("no other run exists") };
        first.quiet();
        assert_eq!(waits_for(&turns, "second", false), "first");
        drop(first);
        let second = turns.start("second", false, &|_| ()).await.unwrap();
        assert!(matches!(second, Start::Turn(_)));
    }

    #[tokio::test]
    async fn run_that_waits_gets_the_id_of_the_other_once() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let first = start(&turns, "first").await;
        let reported = std::sync::Mutex::new(Vec::new());
        let on_wait = |other: &str| reported.lock().unwrap().push(other.to_owned());
        let waits = tokio::time::timeout(3 * PAUSE, turns.start("second", true, &on_wait)).await;
        assert!(waits.is_err(), "it starts while the first measures");
        assert_eq!(*reported.lock().unwrap(), ["first"]);
        drop(first);
        start(&turns, "third").await;
    }

    #[test]
    fn each_run_before_it_is_reported_once() {
        let (mut reported, calls) = (BTreeSet::new(), std::sync::Mutex::new(Vec::new()));
        for other in ["first", UNKNOWN, "second", "first", UNKNOWN, "second"] {
            report(&mut reported, other, &|other: &str| calls.lock().unwrap().push(other.to_owned()));
        }
        assert_eq!(*calls.lock().unwrap(), ["first", "second"]);
    }

    #[tokio::test]
    async fn run_that_gives_up_is_no_longer_next() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let Start::Turn(mut first) = start(&turns, "first").await else { panic!("no other run exists") };
        first.quiet();
        let Start::Next(second) = start(&turns, "second").await else { panic!("first still measures") };
        assert_eq!(second.other(), "first");
        assert!(tokio::time::timeout(3 * PAUSE, second.turn()).await.is_err(), "both measure");
        drop(first);
        assert!(matches!(start(&turns, "third").await, Start::Turn(_)));
    }
}
