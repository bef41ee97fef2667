//! What goes wrong before a cluster is up: one clear message, the right exit code, nothing left.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use libtest_mimic::Failed;
use report::run::{Run, Verdict};

use crate::command::{check, record, run, seatrial, standin};

const RUN: [&str; 5] = ["run", "1.5", "1.6", "--subject", "standin"];

fn only_run(out: &Path) -> Result<Run, Failed> {
    let folder = std::fs::read_dir(out)?.flatten().next().ok_or("no run folder")?.path();
    if !folder.join("junit.xml").exists() {
        return Err("junit.xml is not written when bring-up fails".into());
    }
    record(&folder)
}

/// A folder of components that does not hold them.
pub(crate) fn missing_component() -> Result<(), Failed> {
    let (out, empty) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut command = seatrial(&RUN);
    command.arg("--components").arg(empty.path()).arg("--out").arg(out.path());
    run(&mut command)?.expect_code(3)?.expect_words(&["helm is not in", "--components"])?;
    let verdict = only_run(out.path())?.verdict;
    check(verdict == Verdict::Errored, format!("the verdict is {verdict}"))
}

/// Nothing in the cache, and no Go to build with.
pub(crate) fn no_go() -> Result<(), Failed> {
    let (out, cache) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut command = seatrial(&RUN);
    command.arg("--out").arg(out.path()).env("SEATRIAL_CACHE", cache.path());
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env_remove("KUBEBUILDER_ASSETS");
    run(&mut command)?.expect_code(3)?.expect_words(&["Go is not installed", "--components"])?;
    Ok(())
}

/// The port that was asked for belongs to somebody else.
pub(crate) fn port_taken() -> Result<(), Failed> {
    let out = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let mut command = seatrial(&RUN);
    command.args(["--api-port", &port]).arg("--out").arg(out.path());
    run(&mut command)?.expect_code(3)?.expect_words(&[&format!("port {port} of 127.0.0.1"), "--api-port"])?;
    Ok(())
}

/// The run folder's disk is full.
pub(crate) fn disk_full() -> Result<(), Failed> {
    let mount = tempfile::tempdir()?;
    let shell = |line: &str| -> Result<(), Failed> {
        #[expect(clippy::disallowed_methods, reason = "mounting is part of the arrangement")]
        let done = std::process::Command::new("sh").args(["-c", line]).status()?;
        if done.success() { Ok(()) } else { Err(format!("{line}: {done}").into()) }
    };
    shell(&format!("mount -t tmpfs -o size=64k tmpfs {}", mount.path().display()))?;
    let mut command = seatrial(&RUN);
    command.arg("--out").arg(mount.path());
    let said = run(&mut command);
    shell(&format!("umount {}", mount.path().display()))?;
    said?.expect_code(3)?.expect_words(&["No space left on device", "free"])?;
    Ok(())
}

/// Namespaces need root.
pub(crate) fn not_root() -> Result<(), Failed> {
    let out = tempfile::tempdir()?;
    // The programs may be where this user cannot read them: copies in a folder that is open to all.
    let binary = out.path().join("seatrial");
    std::fs::copy(env!("CARGO_BIN_EXE_seatrial"), &binary)?;
    std::fs::copy(standin(), out.path().join("seatrial-standin"))?;
    let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(out.path(), open)?;
    #[expect(clippy::disallowed_methods, reason = "a copy of the binary under test")]
    let mut command = std::process::Command::new(&binary);
    command.args(RUN).current_dir("/").uid(65_534).gid(65_534).env_remove("SEATRIAL_STANDIN");
    run(&mut command)?.expect_code(3)?.expect_words(&["root", "sudo"])?;
    Ok(())
}
