//! The program under test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use report::run::Run;
use serde_json::Value;
use tempfile::TempDir;

/// Folder of the ledger.
pub(crate) fn state() -> PathBuf {
    folder("SEATRIAL_STATE", "XDG_STATE_HOME", ".local/state")
}

/// Folder of built components.
pub(crate) fn cache() -> PathBuf {
    folder("SEATRIAL_CACHE", "XDG_CACHE_HOME", ".cache")
}

fn folder(own: &str, base: &str, below_home: &str) -> PathBuf {
    let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
    let base = std::env::var_os(base).map_or_else(|| home.join(below_home), PathBuf::from);
    std::env::var_os(own).map_or_else(|| base.join("seatrial"), PathBuf::from)
}

/// `seatrial` with arguments.
pub(crate) fn seatrial(arguments: &[&str]) -> Command {
    tool(env!("CARGO_BIN_EXE_seatrial"), arguments)
}

/// Builds the stand-in next to the binary, with its profile, unless `SEATRIAL_STANDIN` names one: cargo builds for tests
/// only the programs of their own package.
pub(crate) fn build_standin() -> Result<(), Failed> {
    if std::env::var_os("SEATRIAL_STANDIN").is_some() {
        return Ok(());
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_seatrial"));
    let mut folders = binary.ancestors().skip(1);
    let (Some(folder), Some(target)) = (folders.next(), folders.next()) else {
        return Err(format!("{} is in no target folder", binary.display()).into());
    };
    let profile = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut cargo = tool(env!("CARGO"), &["build", "--quiet", "--package", "standin", "--profile", profile]);
    cargo.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    run(&mut cargo)?.expect_code(0).map(drop)
}

/// The stand-in's program.
pub(crate) fn standin() -> PathBuf {
    let beside = || Path::new(env!("CARGO_BIN_EXE_seatrial")).with_file_name("seatrial-standin");
    std::env::var_os("SEATRIAL_STANDIN").map_or_else(beside, PathBuf::from)
}

/// Any program with arguments.
#[expect(clippy::disallowed_methods, reason = "the one place of these tests that spawns")]
pub(crate) fn tool(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Path of a component, such as helm.
pub(crate) fn component(name: &str) -> Result<String, Failed> {
    let doctor = run(&mut seatrial(&["doctor"]))?;
    let found = |line: &str| {
        let (what, path) = line.strip_prefix("ok")?.trim_start().split_once(' ')?;
        (what == name).then(|| path.trim().to_owned())
    };
    let found = doctor.out.lines().find_map(found);
    found.ok_or_else(|| format!("no {name}; `seatrial doctor --build --kind` builds it").into())
}

/// Fails with `message` unless the condition holds.
pub(crate) fn check(holds: bool, message: impl Into<String>) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message.into().into()) }
}

/// The output of a command that has ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<Said, Failed> {
    let Output { status, stdout, stderr } = command.output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { code: status.code(), out: text(&stdout), err: text(&stderr) })
}

impl Said {
    /// Fails unless the command ended with `code`.
    pub(crate) fn expect_code(self, code: i32) -> Result<Self, Failed> {
        if self.code == Some(code) {
            return Ok(self);
        }
        Err(format!("exit code {:?}, not {code}\n{}\n{}", self.code, self.err, self.out).into())
    }

    /// Fails unless standard output or standard error holds all of `words`.
    pub(crate) fn expect_words(self, words: &[&str]) -> Result<Self, Failed> {
        let all = format!("{}\n{}", self.err, self.out);
        match words.iter().find(|word| !all.contains(**word)) {
            None => Ok(self),
            Some(word) => Err(format!("it does not say `{word}`:\n{all}").into()),
        }
    }
}

/// A run in the background, with a separate folder.
pub(crate) struct Running {
    pub(crate) out: TempDir,
    child: Child,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Failed> {
        let out = tempfile::tempdir()?;
        let log = std::fs::File::create(out.path().join("console.log"))?;
        let child =
            seatrial(arguments).arg("--out").arg(out.path()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { out, child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The run's folder, once there is one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let mut entries = std::fs::read_dir(self.out.path()).ok()?.flatten();
        entries.find(|entry| entry.path().is_dir()).map(|entry| entry.path())
    }

    /// The run's id.
    pub(crate) fn id(&self) -> Option<String> {
        Some(self.folder()?.file_name()?.to_string_lossy().into_owned())
    }

    /// Waits until an event that holds all of `words` was recorded.
    pub(crate) fn wait_for_event(&mut self, words: &[&str]) -> Result<Value, Failed> {
        self.wait_for_events(1, words)
    }

    /// Waits until so many events that hold all of `words` were recorded, and returns the last of them.
    pub(crate) fn wait_for_events(&mut self, count: usize, words: &[&str]) -> Result<Value, Failed> {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            if let Some(event) = self.event(count, words)? {
                return Ok(event);
            }
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(format!("no event with {words:?}:\n{}", self.console()).into());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The last of so many events that hold all of `words`, if they were recorded.
    pub(crate) fn event(&self, count: usize, words: &[&str]) -> Result<Option<Value>, Failed> {
        let text = self.folder().and_then(|f| std::fs::read_to_string(f.join("events.jsonl")).ok());
        let text = text.unwrap_or_default();
        let mut found = text.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        Ok(found.nth(count.saturating_sub(1)).map(serde_json::from_str).transpose()?)
    }

    /// Waits `time`, or until the run has ended.
    pub(crate) fn let_run(&mut self, time: Duration) -> Result<(), Failed> {
        let until = Instant::now() + time;
        while Instant::now() < until && self.child.try_wait()?.is_none() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for the end of the run and returns its exit code.
    pub(crate) fn ended(&mut self) -> Result<Option<i32>, Failed> {
        Ok(self.child.wait()?.code())
    }

    pub(crate) fn console(&self) -> String {
        std::fs::read_to_string(self.out.path().join("console.log")).unwrap_or_default()
    }

    /// The record of the run.
    pub(crate) fn record(&self) -> Result<Run, Failed> {
        let folder = self.folder().ok_or("the run made no folder")?;
        record(&folder)
    }
}

/// A test that fails early interrupts its run.
impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // It takes itself down; errors show as what is left behind.
            if kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGINT).is_ok()
                && self.child.wait().is_err()
            {
                unreachable!("a child can be waited for once");
            }
        }
    }
}

/// Reads `run.json` of a run folder.
pub(crate) fn record(folder: &Path) -> Result<Run, Failed> {
    Ok(serde_json::from_slice(&std::fs::read(folder.join("run.json"))?)?)
}
