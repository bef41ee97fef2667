//! Whose turn it is to measure: two runs that measure at the same time on one machine measure each other.
//!
//! Three files are the whole of it, each locked by at most one command. The kernel drops a lock with the command that
//! holds it, however that ends, and what is in a file only says who locked it last.
//!
//! | file | whoever holds it |
//! |---|---|
//! | `next` | makes its cluster and its traffic ready beside the run that measures |
//! | `measures` | measures; only who holds `next` takes it, and then lets `next` go |
//! | `changes` | measures, and has not come to the calm at its end yet; taken and looked at only by who holds `next` |
//!
//! So one run measures, at most one other is at work, and it begins in the calm of the first.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait::{self, Timeout};

/// How long others may measure before a run gives up: longer than any run, calibrations of some hours included.
const PATIENCE: Duration = Duration::from_secs(8 * 3_600);
/// A run that has not written its id yet.
const UNKNOWN: &str = "another";
/// Time between two looks at the locks.
const EVERY: Duration = Duration::from_millis(50);

/// Is told the id of the run that is waited for.
pub type Say<'a> = dyn Fn(&str) + Sync + 'a;

/// A run cannot have its turn.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// A lock cannot be used.
    #[error("the lock {} could not be {verb}; set SEATRIAL_STATE to a folder that can be used", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What was tried.
        verb: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The others did not end.
    #[error(transparent)]
    Timeout(#[from] Timeout),
}

/// The turns of all runs of a machine.
#[derive(Clone, Debug)]
pub struct Turns {
    folder: PathBuf,
}

/// How a run may begin.
#[derive(Debug)]
pub enum Begin {
    /// Nobody else measures: it is this run's turn.
    Turn(Turn),
    /// Another run measures and is calm: this one may make itself ready, with what processor time is left over.
    Next(Next),
}

/// What a look at the locks comes to.
#[derive(Debug)]
pub enum Looked {
    /// The run may begin.
    Begin(Begin),
    /// It may not; the id of the run that is before it.
    Wait(String),
}

/// The run that is next; dropped, it no longer is.
#[derive(Debug)]
pub struct Next {
    turns: Turns,
    id: String,
    beside: String,
    _lock: File,
}

/// The turn to measure; dropped, it is over.
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

    /// Looks whether a run may begin now; `beside` says whether it may make itself ready while another measures.
    ///
    /// # Errors
    /// When a lock cannot be used.
    pub fn look(&self, id: &str, beside: bool) -> Result<Looked, TurnError> {
        let next = match self.lock("next", id)? {
            Ok(next) => next,
            Err(other) => return Ok(Looked::Wait(other)),
        };
        let next = Next { turns: self.clone(), id: id.to_owned(), beside: String::new(), _lock: next };
        Ok(match next.measure()? {
            Ok(turn) => Looked::Begin(Begin::Turn(turn)),
            Err(other) if beside && self.lock("changes", id)?.is_ok() => {
                Looked::Begin(Begin::Next(Next { beside: other, ..next }))
            }
            Err(other) => Looked::Wait(other),
        })
    }

    /// Waits until a run may begin; `say` is told which run is before it, once for each.
    ///
    /// # Errors
    /// When a lock cannot be used, or others still measure after hours.
    pub async fn begin(&self, id: &str, beside: bool, say: &Say<'_>) -> Result<Begin, TurnError> {
        let mut told = BTreeSet::new();
        let look = async || match self.look(id, beside) {
            Err(e) => Ok(Err(e)),
            Ok(Looked::Begin(begin)) => Ok(Ok(begin)),
            Ok(Looked::Wait(other)) => Err(tell(&mut told, &other, say)),
        };
        wait::until("this run's turn to begin", PATIENCE, EVERY, look).await?
    }

    /// Takes the lock `name` for the run `id`; without it, the id of the run that has it.
    fn lock(&self, name: &str, id: &str) -> Result<Result<File, String>, TurnError> {
        let path = self.folder.join(name);
        let Some(mut file) = take(&path)? else { return Ok(Err(holder(&path))) };
        let written = file.set_len(0).and_then(|()| file.write_all(id.as_bytes()));
        written.map_err(|source| TurnError::Lock { path, verb: "written", source })?;
        Ok(Ok(file))
    }
}

/// Takes the lock on a file, which need not exist, if nobody has it.
fn take(path: &Path) -> Result<Option<File>, TurnError> {
    let failed = |verb| move |source| TurnError::Lock { path: path.to_owned(), verb, source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().mode(0o700).recursive(true).create(folder).map_err(failed("made"))?;
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
        // It was locked a moment ago.
        Ok(_) | Err(_) => UNKNOWN.to_owned(),
    }
}

/// Says which run is waited for, once for each, and returns it as the state of the wait.
fn tell(told: &mut BTreeSet<String>, other: &str, say: &Say<'_>) -> String {
    if other != UNKNOWN && told.insert(other.to_owned()) {
        say(other);
    }
    measures(other)
}

fn measures(other: &str) -> String {
    format!("run {other} measures")
}

impl Next {
    /// The turn if nobody has it, and then this run shall no longer be next; else, the id of the run that has it.
    fn measure(&self) -> Result<Result<Turn, String>, TurnError> {
        let measures = match self.turns.lock("measures", &self.id)? {
            Ok(measures) => measures,
            Err(other) => return Ok(Err(other)),
        };
        // Whoever measured before lets it go as well, a moment later perhaps; without it others would take this run for calm.
        let changes = match self.turns.lock("changes", &self.id)? {
            Ok(changes) => changes,
            Err(other) => return Ok(Err(other)),
        };
        let next = self.turns.folder.join("next");
        Ok(Ok(Turn { next, _measures: measures, changes: Some(changes) }))
    }

    /// The run that measures meanwhile.
    #[must_use]
    pub fn beside(&self) -> &str {
        &self.beside
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// When a lock cannot be used, or the other still measures after hours.
    pub async fn turn(self) -> Result<Turn, TurnError> {
        let wait = async {
            let mut looks = tokio::time::interval(EVERY);
            loop {
                looks.tick().await;
                if let Ok(turn) = self.measure()? {
                    return Ok(turn);
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| {
            let condition = "this run's turn to measure".to_owned();
            Err(Timeout { condition, waited: PATIENCE, last: measures(&self.beside) }.into())
        })
    }
}

impl Turn {
    /// Nothing more is done to the cluster of this run: another may make itself ready.
    pub fn calm(&mut self) {
        self.changes = None;
    }

    /// Whether another run is next.
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
    async fn begin(turns: &Turns, id: &str) -> Begin {
        let soon = turns.begin(id, true, &|_| ());
        tokio::time::timeout(Duration::from_secs(5), soon).await.expect("it may begin").unwrap()
    }

    fn waits_for(turns: &Turns, id: &str, beside: bool) -> String {
        match turns.look(id, beside).unwrap() {
            Looked::Wait(other) => other,
            Looked::Begin(begin) => panic!("{id} begins: {begin:?}"),
        }
    }

    #[tokio::test]
    async fn one_measures_and_one_is_next_once_the_first_is_calm() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let Begin::Turn(mut first) = begin(&turns, "first").await else { panic!("nobody else is there") };
        assert_eq!(waits_for(&turns, "second", true), "first");
        first.calm();
        assert!(!first.is_awaited().unwrap());
        let Begin::Next(second) = begin(&turns, "second").await else { panic!("first still measures") };
        assert!(first.is_awaited().unwrap());
        assert_eq!(waits_for(&turns, "third", true), "second");
        drop(first);
        assert_eq!(waits_for(&turns, "third", true), "second", "nobody overtakes the one that is next");
        let second = second.turn().await.unwrap();
        assert_eq!(waits_for(&turns, "third", true), "second", "the second has not come to its calm");
        drop(second);
        assert!(matches!(begin(&turns, "third").await, Begin::Turn(_)));
    }

    #[tokio::test]
    async fn no_turn_is_had_while_another_still_changes() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let changes = turns.lock("changes", "first").unwrap().unwrap();
        assert_eq!(waits_for(&turns, "second", true), "first");
        drop(changes);
        assert!(matches!(begin(&turns, "second").await, Begin::Turn(_)));
    }

    #[tokio::test]
    async fn what_cannot_be_held_back_begins_with_its_turn() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let Begin::Turn(mut first) = begin(&turns, "first").await else { panic!("nobody else is there") };
        first.calm();
        assert_eq!(waits_for(&turns, "second", false), "first");
        drop(first);
        let second = turns.begin("second", false, &|_| ()).await.unwrap();
        assert!(matches!(second, Begin::Turn(_)));
    }

    #[tokio::test]
    async fn a_run_that_waits_is_told_once_for_whom() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let first = begin(&turns, "first").await;
        let told = std::sync::Mutex::new(Vec::new());
        let say = |other: &str| told.lock().unwrap().push(other.to_owned());
        let waits = tokio::time::timeout(3 * EVERY, turns.begin("second", true, &say)).await;
        assert!(waits.is_err(), "it begins beside the first");
        assert_eq!(*told.lock().unwrap(), ["first"]);
        drop(first);
        begin(&turns, "third").await;
    }

    #[test]
    fn runs_that_take_turns_before_it_are_told_once_each() {
        let (mut told, said) = (BTreeSet::new(), std::sync::Mutex::new(Vec::new()));
        for other in ["first", UNKNOWN, "second", "first", UNKNOWN, "second"] {
            tell(&mut told, other, &|other: &str| said.lock().unwrap().push(other.to_owned()));
        }
        assert_eq!(*said.lock().unwrap(), ["first", "second"]);
    }

    #[tokio::test]
    async fn who_gives_up_is_no_longer_next() {
        let state = tempfile::tempdir().unwrap();
        let turns = Turns::new(state.path());
        let Begin::Turn(mut first) = begin(&turns, "first").await else { panic!("nobody else is there") };
        first.calm();
        let Begin::Next(second) = begin(&turns, "second").await else { panic!("first still measures") };
        assert_eq!(second.beside(), "first");
        assert!(
            tokio::time::timeout(3 * EVERY, second.turn()).await.is_err(),
            "it measures beside the first"
        );
        drop(first);
        assert!(matches!(begin(&turns, "third").await, Begin::Turn(_)));
    }
}
