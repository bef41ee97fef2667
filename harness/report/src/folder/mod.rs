//! The run folder, `runs/<id>/`: everything that a run leaves behind, written as it happens.
//!
//! Logs and samples may hold what nobody else on the machine should read: folders have the mode 0700, files 0600.

mod error;
mod read;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::event::Event;
use crate::run::{Run, SCHEMA};
use crate::{html, junit};
pub use error::FolderError;
pub(crate) use error::{io_error, render_error};

const FOLDERS: [&str; 3] = ["samples", "objects", "logs"];
/// The largest record that is read, bytes.
pub(crate) const LARGEST_RECORD: u64 = 256 << 20;

/// A run folder on disk.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates `base/id` with its sub-folders; fails if it exists already.
    ///
    /// # Errors
    /// Fails when the file system refuses; the message names the path and the remedy.
    pub fn create(base: &Path, id: &str) -> Result<Self, FolderError> {
        fs::create_dir_all(base).map_err(io_error("create", base))?;
        let path = base.join(id);
        let private =
            |path: &Path| DirBuilder::new().mode(0o700).create(path).map_err(io_error("create", path));
        private(&path)?;
        for folder in FOLDERS {
            private(&path.join(folder))?;
        }
        Ok(Self { path })
    }

    /// Opens the folder of a run that was recorded before.
    ///
    /// # Errors
    /// Fails when the folder holds no `run.json`.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned() };
        if read::is_regular(&folder.run_json()).unwrap_or(false) {
            Ok(folder)
        } else {
            Err(FolderError::NotARun(folder.path))
        }
    }

    /// Names a folder that may hold a run.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the sample store goes: one file a flow.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// Where Kubernetes objects go, before and after.
    pub fn objects(&self) -> PathBuf {
        self.path.join("objects")
    }

    /// Where logs go.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The record of the run.
    pub fn run_json(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// What came of the arm of a scenario that the run was.
    pub fn trial_json(&self) -> PathBuf {
        self.path.join("trial.json")
    }

    /// The report for people.
    pub fn report_html(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The report for CI systems.
    pub fn junit_xml(&self) -> PathBuf {
        self.path.join("junit.xml")
    }

    /// Opens `events.jsonl` for appending.
    ///
    /// # Errors
    /// Fails when the file system refuses.
    pub fn events(&self) -> Result<EventLog, FolderError> {
        let path = self.path.join("events.jsonl");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("create", &path))?;
        Ok(EventLog { file, path })
    }

    /// Replaces `run.json` in one step, so that a crash leaves either the old or the new record.
    ///
    /// # Errors
    /// Fails when the file system refuses.
    pub fn save(&self, run: &Run) -> Result<(), FolderError> {
        let path = self.run_json();
        let mut text = serde_json::to_vec_pretty(run).map_err(render_error(&path))?;
        text.push(b'\n');
        replace(&path, &text)
    }

    /// Writes `run.json`, `junit.xml` and `report.html`, and takes every right of other users to the folder away.
    ///
    /// # Errors
    /// Tries everything, then reports the first that failed.
    pub fn finish(&self, run: &Run) -> Result<(), FolderError> {
        let saved = self.save(run);
        let junit = self.write_report(&self.junit_xml(), junit::render(run));
        let html = self.write_report(&self.report_html(), html::render(run));
        saved.and(junit).and(html).and(self.make_private())
    }

    /// Sets the mode of every file that anything wrote into the folder.
    fn make_private(&self) -> Result<(), FolderError> {
        for file in self.files("")? {
            let path = self.path.join(file);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .map_err(io_error("write", &path))?;
        }
        Ok(())
    }

    /// Reads `run.json` back.
    ///
    /// # Errors
    /// Fails when it is missing, or written to another schema.
    pub fn load(&self) -> Result<Run, FolderError> {
        let path = self.run_json();
        let text = self.read("run.json", LARGEST_RECORD)?;
        let run: Run = serde_json::from_slice(&text).map_err(|source| FolderError::Unreadable {
            path: path.clone(),
            schema: SCHEMA,
            source,
        })?;
        if run.schema != SCHEMA {
            let source =
                <serde_json::Error as serde::de::Error>::custom(format!("its schema is {:?}", run.schema));
            return Err(FolderError::Unreadable { path, schema: SCHEMA, source });
        }
        Ok(run)
    }

    fn write_report<E>(&self, path: &Path, text: Result<String, E>) -> Result<(), FolderError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        replace(path, text.map_err(render_error(path))?.as_bytes())
    }
}

/// `events.jsonl`: one event a line, on disk before `append` returns.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    path: PathBuf,
}

impl EventLog {
    /// Appends one event.
    ///
    /// # Errors
    /// Fails when the file system refuses.
    pub fn append(&mut self, event: &Event) -> Result<(), FolderError> {
        let mut line = serde_json::to_vec(event).map_err(render_error(&self.path))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(io_error("write", &self.path))
    }
}

pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), FolderError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(text)?;
        file.persist(path).map_err(|failed| failed.error)?;
        Ok(())
    };
    write().map_err(io_error("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::What;
    use crate::fixture;

    fn created() -> (tempfile::TempDir, RunFolder) {
        let base = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&base.path().join("runs"), "r1").unwrap();
        (base, folder)
    }

    #[test]
    fn other_users_can_read_nothing() {
        let (_base, folder) = created();
        folder.events().unwrap().append(&progress("x")).unwrap();
        fs::write(folder.logs().join("agent.log"), "password").unwrap();
        folder.finish(&fixture::errored()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        for name in FOLDERS {
            assert_eq!(mode(&folder.path().join(name)), 0o700, "{name}");
        }
        let files = folder.files("").unwrap();
        assert_eq!(files.len(), 5);
        for file in files {
            assert_eq!(mode(&folder.path().join(&file)), 0o600, "{}", file.display());
        }
    }

    fn progress(message: &str) -> Event {
        Event { at_ms: 1.0, what: What::Progress { step: "s".into(), message: message.into() } }
    }

    #[test]
    fn a_run_is_read_back_as_it_was_saved() {
        let (_base, folder) = created();
        for run in [fixture::errored(), fixture::clean()] {
            folder.save(&run).unwrap();
            assert_eq!(RunFolder::open(folder.path()).unwrap().load().unwrap(), run);
        }
    }

    #[test]
    fn finish_writes_every_report_and_leaves_no_temporary_file() {
        let (_base, folder) = created();
        folder.finish(&fixture::errored()).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["junit.xml", "logs", "objects", "report.html", "run.json", "samples"]);
    }

    #[test]
    fn events_are_on_disk_line_by_line() {
        let (_base, folder) = created();
        let mut log = folder.events().unwrap();
        log.append(&progress("one\ntwo")).unwrap();
        let text = || fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
        assert_eq!(text().lines().count(), 1);
        folder.events().unwrap().append(&progress("three")).unwrap();
        let events: Vec<Event> = text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events, [progress("one\ntwo"), progress("three")]);
    }

    #[test]
    fn a_full_disk_is_named_with_its_remedy() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut log = EventLog { file, path: "/runs/r1/events.jsonl".into() };
        assert_eq!(
            log.append(&progress("x")).unwrap_err().to_string(),
            "cannot write /runs/r1/events.jsonl: the disk is full; free some space, or choose another --out"
        );
    }

    #[test]
    fn an_existing_run_is_never_overwritten() {
        let (base, _folder) = created();
        let error = RunFolder::create(&base.path().join("runs"), "r1").unwrap_err().to_string();
        assert!(error.contains("runs/r1: it exists already"), "{error}");
    }

    #[test]
    fn a_base_that_is_a_file_is_refused() {
        let base = tempfile::NamedTempFile::new().unwrap();
        let error = RunFolder::create(&base.path().join("runs"), "r1").unwrap_err().to_string();
        assert!(error.contains("a part of the path is a file"), "{error}");
    }

    #[test]
    fn a_folder_without_a_record_is_no_run() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(RunFolder::open(empty.path()), Err(FolderError::NotARun(_))));
    }

    #[test]
    fn a_record_of_another_schema_is_refused() {
        let (_base, folder) = created();
        let mut run = fixture::errored();
        run.schema = "seatrial/run/v9".into();
        folder.save(&run).unwrap();
        assert!(matches!(folder.load(), Err(FolderError::Unreadable { .. })));
    }
}
