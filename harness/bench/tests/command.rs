//! The command line of `seatrial-bench`. `cargo test` builds the program for this test, which is where `ci/test` takes it from.

use std::process::Command;

#[test]
#[expect(clippy::disallowed_methods, reason = "the one place of these tests that spawns")]
fn an_image_without_a_name_is_a_usage_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial-bench")).arg("image").output().unwrap();
    let help = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{help}");
    assert!(help.contains("flannel") && help.contains("kind-node"), "{help}");
}
