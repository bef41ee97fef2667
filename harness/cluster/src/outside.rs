//! A host outside of the cluster, which is not a node and has no route to pods. Each provider creates it in its own way.
//!
//! A process on the host accepts requests on a socket in a folder that both sides share. A request is one line of JSON with
//! the role of this program to play. The response is the output of the role, until the role ends or the client disconnects.

use std::collections::BTreeMap;
use std::convert::Infallible;
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

use crate::accept;
use crate::spawn::this_program;

/// Name by which an image starts the process.
pub const ROLE: &str = "outside";

/// The host outside of a cluster.
#[derive(Clone, Debug)]
pub struct Outside {
    socket: PathBuf,
    address: IpAddr,
}

/// A request to play a role.
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

    /// Its address. Nodes reach it directly, pods from the address of their node.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Fails unless its process accepts requests.
    pub(crate) async fn accepts(&self) -> io::Result<()> {
        UnixStream::connect(&self.socket).await.map(drop)
    }

    /// Plays a role of this program on the host, named as in argv\[0\], and returns its output.
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

/// Accepts requests in a folder, as the only process of a container.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let ended = || -> io::Result<ExitCode> {
        let folder =
            args.first().ok_or_else(|| io::Error::other("the argument with the folder is missing"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = listen(folder.as_ref())?;
            // The process is root, the client may be another user; only that user can enter the folder.
            std::fs::set_permissions(socket(folder.as_ref()), std::fs::Permissions::from_mode(0o666))?;
            match serve(listener).await {}
        })
    };
    match ended() {
        Ok(never) => never,
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

/// Accepts requests for ever.
pub(crate) async fn serve(listener: UnixListener) -> Infallible {
    loop {
        let (stream, _) = accept::next(|| listener.accept()).await;
        tokio::spawn(play(stream));
    }
}

/// Plays the requested role, until it ends or the client disconnects.
async fn play(stream: UnixStream) -> io::Result<()> {
    let (request, mut response) = stream.into_split();
    let mut request = BufReader::new(request);
    let (mut child, mut output) = match begin(&mut request).await {
        Ok(begun) => begun,
        Err(e) => {
            return response.write_all(format!("the role could not be started: {e}\n").as_bytes()).await;
        }
    };
    tokio::select! {
        // The client sends nothing more: this ends when it disconnects.
        _disconnected = request.read_u8() => child.kill().await,
        copied = tokio::io::copy(&mut output, &mut response) => {
            copied?;
            child.wait().await.map(drop)
        }
    }
}

/// Starts the requested role; its errors go where its output goes, as in the log of a pod.
async fn begin(request: &mut BufReader<OwnedReadHalf>) -> io::Result<(Child, Receiver)> {
    let mut line = String::new();
    request.read_line(&mut line).await?;
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

    /// Requests a role of this program, which is the test binary, and returns its output.
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
    async fn output_of_a_role_is_returned_until_it_ends() {
        let args = vec!["--list".to_owned(), "output_of_a_role".to_owned()];
        let list =
            printed(async |outside| outside.play("a-role", args, BTreeMap::new()).await.unwrap()).await;
        assert!(list.contains("output_of_a_role_is_returned_until_it_ends: test"), "{list}");
    }

    #[tokio::test]
    async fn errors_of_a_role_are_returned() {
        let args = vec!["--no-such-option".to_owned()];
        let output =
            printed(async |outside| outside.play("a-role", args, BTreeMap::new()).await.unwrap()).await;
        assert!(output.contains("no-such-option"), "{output}");
    }

    #[tokio::test]
    async fn malformed_request_gets_a_response() {
        let request = async |outside: &Outside| {
            let mut stream = UnixStream::connect(&outside.socket).await.unwrap();
            stream.write_all(b"{}\n").await.unwrap();
            stream
        };
        let output = printed(request).await;
        assert!(output.starts_with("the role could not be started: missing field `role`"), "{output}");
    }
}
