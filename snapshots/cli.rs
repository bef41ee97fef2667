//! Golden tests of the command line: its help, what its errors say, and with which exit code.

mod install;

use std::fmt::Write as _;

use assert_cmd::Command;
use insta::assert_snapshot;

/// A stand-in that can do nothing but describe itself: cargo builds no programs of other packages for these tests.
const STANDIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../snapshots/standin");

/// Runs the program in an empty folder and writes down all that a person would see of it.
fn session(commands: &[&[&str]]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut seen = String::new();
    for arguments in commands {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
        // Its value would be part of the help.
        command.env_remove("SEATRIAL_COMPONENTS").env_remove("SEATRIAL_KIND_IMAGE").env_remove("KUBECONFIG");
        command.env("SEATRIAL_STANDIN", STANDIN);
        let output = command.args(*arguments).current_dir(folder.path()).output().expect("an output");
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().expect("an exit code");
        writeln!(seen, "$ seatrial {}", arguments.join(" ")).expect("a string");
        writeln!(seen, "{}[{code}]\n", String::from_utf8(said).expect("UTF-8")).expect("a string");
    }
    seen
}

#[test]
fn help() {
    assert_snapshot!(session(&[
        &["help"],
        &["help", "run"],
        &["help", "watch"],
        &["help", "image"],
        &["help", "compare"],
        &["help", "plan"],
        &["help", "rebase"],
        &["help", "lint"],
        &["help", "report"],
        &["help", "history"],
        &["help", "repro"],
        &["help", "matrix"],
        &["help", "scenario", "judge"],
        &["help", "cluster"],
        &["help", "cluster", "up"],
        &["help", "cluster", "down"],
        &["help", "cluster", "exec"],
        &["help", "gc"],
        &["help", "calibrate"],
        &["help", "doctor"],
        &["help", "completions"],
        &["help", "man"],
    ]));
}

#[test]
fn bad_usage() {
    assert_snapshot!(session(&[
        &[],
        &["upgrade"],
        &["run", "1.5"],
        &["run", "1.5", "1.6"],
        &["run", "1.6", "1.5", "--subject", "standin"],
        &["run", "1.5", "1.42", "--subject", "standin"],
        &["run", "1.5", "1.6", "--nodes", "9"],
        &["run", "1.5", "1.6", "--kind-config", "two-node"],
        &["run", "1.5", "1.6", "--subject", "standin", "--provider", "kind", "--kind-config", "missing"],
        &["run", "1.6", "1.7", "--subject", "cilium"],
        &["run", "1.6", "1.7", "--charts", "missing"],
        &["run", "1.6", "1.7", "--subject", "cilium", "--charts", "missing"],
        &["run", "1.6", "1.7", "--subject", "cilium", "--charts", "."],
        &["run", "1.6", "1.7", "--subject", "cilium", "--charts", "https://charts.example"],
        &[
            "run",
            "1.6",
            "1.7",
            "--subject",
            "cilium",
            "--charts",
            "https://charts.example",
            "--set",
            "tunnel"
        ],
        &["run", "0.25.7", "0.26.7", "--subject-file", "missing.yaml"],
        &["run", "0.25.7", "0.26.7", "--subject-file", "missing.yaml", "--charts", "."],
        &["run", "0.25.7", "0.26.7", "--subject-file", "missing.yaml", "--subject", "cilium"],
        &["run", "1.5", "1.6", "--images", "missing.tar"],
        &["plan", "1.5", "newest"],
        &["plan", "1.6", "1.5"],
        &["plan", "1.1", "1.6", "--direct"],
        &["rebase", "--from", "1.5", "--to", "1.6", "missing.yaml"],
        &["rebase", "--from", "1.5", "--to", "1.6"],
        &["rebase", "--from", "1.15", "--to", "1.16", "--values", "missing.yaml"],
        &["lint"],
        &["lint", "--to", "1.6"],
        &["lint", "--explain", "no-such-rule"],
        &["report", "missing"],
        &["compare", "missing", "missing"],
        &["history"],
        &["repro", "missing"],
        &["watch"],
        &["watch", "--context", "c", "--image", "i", "--kubeconfig", "/missing/config"],
        &["watch", "--context", "c", "--image", "i", "--dns", "kube-dns"],
        &["matrix", "--shard", "5/4"],
        &["scenario", "judge", "missing"],
        &["completions", "ksh"],
    ]));
}
