//! A host outside of the cluster: a network namespace on the nodes' underlay that is no node and knows no pod network.
//!
//! Its process takes requests on a socket in the cluster's folder: one line of JSON says which role this program shall play
//! there, and what the role prints comes back, until it ends or whoever asked hangs up.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::unix::pipe::Receiver;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::cgroup;
use super::node::{follow, next_report, wire};
use super::node_role::NODE_WEIGHT;
use super::spec::{Report, Spec};
use super::supervisor::report;
use crate::spawn::{Run, this_program};

/// Its name, and that of its cgroup.
const NAME: &str = "outside";
/// Its address, on the network of the nodes.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 200);

/// The host outside of a cluster, as the host side of the sandbox sees it.
#[derive(Clone, Debug)]
pub struct Outside {
    socket: PathBuf,
}

/// A role that is to be played.
#[derive(Debug, Serialize, Deserialize)]
struct Play {
    role: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Outside {
    pub(super) fn new(folder: &Path) -> Self {
        Self { socket: folder.join(format!("{NAME}.sock")) }
    }

    /// Its address, which nodes reach directly and pods through their node's.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        ADDRESS
    }

    /// Plays a role of this program there, named as in argv\[0\], and returns what it prints.
    ///
    /// The role is ended when the stream is dropped; the stream ends when the role does.
    ///
    /// # Errors
    /// When the sandbox has ended.
    pub async fn play(
        &self,
        role: &str,
        args: Vec<String>,
        env: BTreeMap<String, String>,
    ) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let mut line = serde_json::to_vec(&Play { role: role.to_owned(), args, env })?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        Ok(stream)
    }
}

/// Starts the host's process and wires it to the bridge; returns when it takes requests.
pub(super) async fn start(spec: &Spec, failures: &mpsc::Sender<String>) -> Result<(), String> {
    let failed = |e: io::Error| format!("the host outside could not be started: {e}");
    let mut command = this_program(super::Role::Outside.name()).map_err(failed)?;
    command.arg(&spec.folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Command::from(command).spawn().map_err(failed)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        unreachable!("both were asked for");
    };
    let mut reports = BufReader::new(stdout).lines();
    match next_report(&mut reports).await {
        Some(Report::Entered) => {}
        other => return Err(format!("the host outside did not enter its namespaces: {other:?}")),
    }
    let process = child.id().ok_or("the host outside ended at once")?;
    wire(NAME, process).await?;
    stdin.write_all(b"wired\n").await.map_err(failed)?;
    match next_report(&mut reports).await {
        Some(Report::Up) => {}
        other => return Err(format!("the host outside did not come up: {other:?}")),
    }
    follow(NAME.to_owned(), child, reports, failures.clone());
    Ok(())
}

/// The host's process; single-threaded until it has entered its namespaces.
pub(super) fn outside(folder: &str) -> io::Result<ExitCode> {
    cgroup::enter(NAME)?;
    cgroup::weigh(NAME, NODE_WEIGHT)?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)?;
    nix::unistd::sethostname(NAME)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        report(&Report::Entered);
        let mut wired = BufReader::new(tokio::io::stdin()).lines();
        if wired.next_line().await?.is_none() {
            return Ok(ExitCode::FAILURE);
        }
        let batch = format!("link set lo up\naddr add {ADDRESS}/24 dev eth0\nlink set eth0 up\n");
        Run::new("ip").args(["-batch", "-"]).stdin(batch).output().await.map_err(io::Error::other)?;
        let socket = UnixListener::bind(Outside::new(folder.as_ref()).socket)?;
        report(&Report::Up);
        loop {
            let (stream, _) = socket.accept().await?;
            tokio::spawn(play(stream));
        }
    })
}

/// Plays the role that is asked for, until it ends or nobody wants it any more.
async fn play(stream: UnixStream) -> io::Result<()> {
    let (asked, mut answer) = stream.into_split();
    let mut asked = BufReader::new(asked);
    let (mut child, mut output) = match begin(&mut asked).await {
        Ok(begun) => begun,
        Err(e) => return answer.write_all(format!("it could not be started: {e}\n").as_bytes()).await,
    };
    tokio::select! {
        // Nothing more is said there: it ends when the other side hangs up.
        _hung_up = asked.read_u8() => child.kill().await,
        copied = tokio::io::copy(&mut output, &mut answer) => {
            copied?;
            child.wait().await.map(drop)
        }
    }
}

/// Starts what is asked for; its errors go where its output goes, as in the log of a pod.
async fn begin(asked: &mut BufReader<OwnedReadHalf>) -> io::Result<(Child, Receiver)> {
    let mut line = String::new();
    asked.read_line(&mut line).await?;
    let Play { role, args, env } = serde_json::from_str(&line)?;
    let (output, input) = io::pipe()?;
    let mut command = this_program(&role)?;
    command.args(args).envs(env).stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    let child = Command::from(command).kill_on_drop(true).spawn()?;
    Ok((child, Receiver::from_owned_fd(output.into())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for a role of this very program, which the tests are, and returns all that comes back.
    async fn printed(request: impl AsyncFnOnce(&Outside) -> UnixStream) -> String {
        let folder = tempfile::tempdir().unwrap();
        let outside = Outside::new(folder.path());
        let listener = UnixListener::bind(&outside.socket).unwrap();
        let serving = tokio::spawn(async move { play(listener.accept().await.unwrap().0).await });
        let mut text = String::new();
        request(&outside).await.read_to_string(&mut text).await.unwrap();
        serving.await.unwrap().unwrap();
        text
    }

    #[tokio::test]
    async fn what_a_role_prints_comes_back_until_it_ends() {
        let args = vec!["--list".to_owned(), "what_a_role_prints".to_owned()];
        let list =
            printed(async |outside| outside.play("a-role", args, BTreeMap::new()).await.unwrap()).await;
        assert!(list.contains("what_a_role_prints_comes_back_until_it_ends: test"), "{list}");
    }

    #[tokio::test]
    async fn what_a_role_complains_of_comes_back_as_well() {
        let args = vec!["--no-such-option".to_owned()];
        let said =
            printed(async |outside| outside.play("a-role", args, BTreeMap::new()).await.unwrap()).await;
        assert!(said.contains("no-such-option"), "{said}");
    }

    #[tokio::test]
    async fn a_request_that_cannot_be_read_is_answered() {
        let request = async |outside: &Outside| {
            let mut stream = UnixStream::connect(&outside.socket).await.unwrap();
            stream.write_all(b"{}\n").await.unwrap();
            stream
        };
        let said = printed(request).await;
        assert!(said.starts_with("it could not be started: missing field `role`"), "{said}");
    }
}
