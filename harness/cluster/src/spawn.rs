//! Runs other programs; no other module of this crate does.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use tokio::io::AsyncWriteExt as _;

/// How long a command may run that has no deadline of its own.
const DEADLINE: Duration = Duration::from_secs(600);

/// A program could not be run, failed, or did not end in time.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: `{command}`{}", indented(output))]
pub struct CommandError {
    /// The command line, quoted for a shell.
    pub command: String,
    /// The output of the program.
    pub output: String,
    kind: Kind,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("could not start ({0})")]
    Start(std::io::Error),
    #[error("failed with {0}")]
    Failed(ExitStatus),
    #[error("did not end within {} s and was killed", .0.as_secs_f64())]
    Late(Duration),
}

fn indented(output: &str) -> String {
    output.lines().map(|line| format!("\n    {line}")).collect()
}

/// A command that is run to its end, with a deadline; its output is captured.
#[derive(Debug)]
pub struct Run {
    command: std::process::Command,
    stdin: Input,
    deadline: Duration,
}

/// The standard input of a command.
#[derive(Debug)]
enum Input {
    Nothing,
    Text(String),
    File(File),
}

impl Run {
    /// A command without arguments, which reads nothing.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: std::process::Command::new(program), stdin: Input::Nothing, deadline: DEADLINE }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets what it reads.
    #[must_use]
    pub fn stdin(mut self, text: String) -> Self {
        self.stdin = Input::Text(text);
        self
    }

    pub(crate) fn stdin_file(mut self, file: File) -> Self {
        self.stdin = Input::File(file);
        self
    }

    /// Sets the deadline; the default is 10 minutes.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Lets the command and its children hold a lock as long as any of them runs. They get a process group of their own:
    /// at Ctrl-C, this program ends them in order.
    pub(crate) fn holding(mut self, lock: OwnedFd) -> std::io::Result<Self> {
        self.command.process_group(0);
        let mapping = FdMapping { parent_fd: lock, child_fd: 3 };
        self.command.fd_mappings(vec![mapping]).map_err(std::io::Error::other)?;
        Ok(self)
    }

    /// Runs the command and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started, fails, or does not end in time; the error has its output.
    pub async fn output(self) -> Result<String, CommandError> {
        let line = command_line(&self.command);
        let error = |kind, output| CommandError { command: line.clone(), output, kind };
        let mut command = tokio::process::Command::from(self.command);
        command.kill_on_drop(true);
        let (stdin, text) = match self.stdin {
            Input::Nothing => (Stdio::null(), None),
            Input::Text(text) => (Stdio::piped(), Some(text)),
            Input::File(file) => (file.into(), None),
        };
        command.stdin(stdin);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|e| error(Kind::Start(e), String::new()))?;
        let Ok(ended) = tokio::time::timeout(self.deadline, finish(child, text, &line)).await else {
            return Err(error(Kind::Late(self.deadline), String::new()));
        };
        let output = ended.map_err(|e| error(Kind::Start(e), String::new()))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(error(Kind::Failed(output.status), format!("{stdout}{stderr}")))
    }
}

/// Writes the input of a process and waits for its end.
async fn finish(
    mut child: tokio::process::Child,
    text: Option<String>,
    line: &str,
) -> std::io::Result<std::process::Output> {
    if let (Some(text), Some(mut stdin)) = (text, child.stdin.take()) {
        // A program that stops reading gives the reason on its standard error, which is reported.
        if let Err(e) = stdin.write_all(text.as_bytes()).await {
            tracing::debug!(command = line, error = %e, "standard input not read to its end");
        }
    }
    child.wait_with_output().await
}

/// A long-running program that writes to a log file.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) log: PathBuf,
    child: tokio::process::Child,
}

impl Daemon {
    /// Starts `program`. `log` is open already, since a later mount may hide its folder.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        args: &[String],
        log: &Log,
    ) -> Result<Self, CommandError> {
        #[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
        let mut command = std::process::Command::new(program);
        command.args(args).stdin(Stdio::null());
        let line = command_line(&command);
        let error = |e| CommandError { command: line.clone(), output: String::new(), kind: Kind::Start(e) };
        command.stdout(log.file.try_clone().map_err(error)?).stderr(log.file.try_clone().map_err(error)?);
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(error)?;
        Ok(Self { name: name.to_owned(), log: log.path.clone(), child })
    }

    /// Waits until the program ends, and describes how.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => format!("{} ended with {status}; its log is {}", self.name, self.log.display()),
            Err(e) => format!("{} cannot be waited for: {e}", self.name),
        }
    }
}

/// An open log file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    pub(crate) fn create(path: PathBuf) -> std::io::Result<Self> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Self { path, file })
    }
}

/// The program that plays the roles; this one where none was set.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Makes another program than this one play the roles of created clusters, from now on; the first call decides.
pub fn use_program(program: &Path) {
    PROGRAM.get_or_init(|| program.to_owned());
}

/// The program for a role in another process.
pub(crate) fn this_program(role: &str) -> std::io::Result<std::process::Command> {
    let program = PROGRAM.get().map_or(Path::new("/proc/self/exe"), PathBuf::as_path);
    #[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
    let mut command = std::process::Command::new(program);
    command.arg0(role);
    Ok(command)
}

/// A command line, quoted for a shell.
pub(crate) fn command_line(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn error_of_a_failed_command_has_its_output_and_command_line() {
        let error = Run::new("sh").args(["-c", "echo it broke >&2; exit 3"]).output().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed with exit status: 3: `sh -c 'echo it broke >&2; exit 3'`\n    it broke"
        );
    }

    #[tokio::test]
    async fn command_that_does_not_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let late = folder.path().join("late");
        let script = format!("sleep 0.3; touch {}", late.display());
        let run = Run::new("sh").args(["-c", &script]).within(Duration::from_millis(50));
        let error = run.output().await.unwrap_err().to_string();
        assert!(error.starts_with("did not end within 0.05 s and was killed: `sh -c "), "{error}");
        crate::wait::pause(Duration::from_millis(600)).await;
        assert!(!late.exists(), "it still ran");
    }

    #[tokio::test]
    async fn missing_program_is_named() {
        let error = Run::new("no-such-program").output().await.unwrap_err();
        assert!(error.to_string().starts_with("could not start (No such file or directory"), "{error}");
    }
}
