//! The command line of `seatrial-standin`, as the harness uses it.

use std::process::{Command, Output};

/// Runs the program.
#[expect(clippy::disallowed_methods, reason = "the one place of these tests that spawns")]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
fn standin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seatrial-standin")).args(arguments).output().unwrap()
}

/// The harness tests itself against the same file. `UPDATE_DESCRIPTION=1` writes it anew.
#[test]
fn the_description_is_the_one_that_the_harness_is_tested_with() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/description.json");
    let printed = String::from_utf8(standin(&["describe"]).stdout).unwrap();
    if std::env::var_os("UPDATE_DESCRIPTION").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(path).unwrap());
}

#[test]
fn a_chart_is_written_with_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("new/chart");
    let output = standin(&["chart", "1.5", chart.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let about = std::fs::read_to_string(chart.join("Chart.yaml")).unwrap();
    assert!(about.contains("version: 1.5."), "{about}");
    assert!(chart.join("templates/daemonset.yaml").is_file());
}

#[test]
fn a_minor_without_a_chart_is_a_usage_error() {
    let output = standin(&["chart", "1.7", "/nonexistent"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("1.6") && message.contains("1.7"), "{message}");
}
