//! A host outside of the cluster, which is no node and knows no pod network; every provider has a way of its own to make it.
//!
//! A process on it takes requests on a socket in a folder that both sides see: one line of JSON says which role this program
//! shall play there, and what the role prints comes back, until it ends or whoever asked hangs up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::unix::pipe::Receiver;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};

use crate::spawn::this_program;

/// Name by which an image starts the process.
pub const ROLE: &str = "outside";

/// The host outside of a cluster, as it is seen from here.
#[derive(Clone, Debug)]
pub struct Outside {
    socket: PathBuf,
    address: IpAddr,
}

/// A role that is to be played.
#[derive(Debug, Serialize, Deserialize)]
struct Play {
    role: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Outside {
    /// The host whose process has its socket in this folder.
    pub(crate) fn new(folder: &Path, address: IpAddr) -> Self {
        Self { socket: socket(folder), address }
    }

    /// Its address, which nodes reach directly and pods through their node's.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Says whether its process takes requests.
    pub(crate) async fn answers(&self) -> io::Result<()> {
        UnixStream::connect(&self.socket).await.map(drop)
    }

    /// Plays a role of this program there, named as in argv\[0\], and returns what it prints.
    ///
    /// The role is ended when the stream is dropped; the stream ends when the role does.
    ///
    /// # Errors
    /// When the host is gone.
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

fn socket(folder: &Path) -> PathBuf {
    folder.join("outside.sock")
}

/// Takes requests in a folder, as a container's only process.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let ended = || {
        let folder = args.first().ok_or_else(|| io::Error::other("no folder was named"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = listen(folder.as_ref())?;
            // Root's, where whoever asks may be another user; the folder is his alone.
            std::fs::set_permissions(socket(folder.as_ref()), std::fs::Permissions::from_mode(0o666))?;
            serve(listener).await
        })
    };
    match ended() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!(error = %e, "the host outside ends");
            ExitCode::FAILURE
        }
    }
}

/// Opens the socket in a folder.
pub(crate) fn listen(folder: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(socket(folder))
}

/// Takes requests for ever.
pub(crate) async fn serve(listener: UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(play(stream));
    }
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
        let outside = Outside::new(folder.path(), [10, 250, 0, 200].into());
        let listener = listen(folder.path()).unwrap();
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
