//! The program `seatrial`, of which images and the processes of a sandbox consist.
//!
//! A program that uses this library is usually another one, so `seatrial` has to be found: the variable
//! `SEATRIAL_PROGRAM`, this program itself, the folder of this program or the one above it (where Cargo puts it for
//! tests), and `PATH`, in this order.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::exit::Usage;

/// Overrides where the program is.
pub const VARIABLE: &str = "SEATRIAL_PROGRAM";
/// The name of the program.
const NAME: &str = "seatrial";

/// Finds the program, and makes the processes of created clusters use it.
///
/// # Errors
/// When it is not found; the message has the remedy.
pub(crate) fn use_program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program cannot be read")?;
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let program = find(&own, named, || which::which(NAME).ok())?;
    if program != own {
        cluster::use_program(&program);
    }
    Ok(program)
}

fn find(
    own: &Path,
    named: Option<PathBuf>,
    on_path: impl FnOnce() -> Option<PathBuf>,
) -> Result<PathBuf, Usage> {
    if let Some(named) = named {
        if named.is_file() {
            return Ok(named);
        }
        return Err(Usage(format!("{VARIABLE} names {}, which is not a file", named.display())));
    }
    if own.file_name().is_some_and(|name| name == NAME) {
        return Ok(own.to_owned());
    }
    let near = own.ancestors().skip(1).take(2).map(|folder| folder.join(NAME)).find(|path| path.is_file());
    near.or_else(on_path).ok_or_else(|| {
        let remedy = format!("build it with `cargo build --package seatrial`, or name it with {VARIABLE}");
        Usage(format!("the program {NAME} is neither next to {} nor on PATH: {remedy}", own.display()))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::itself("seatrial", &[], Some("seatrial"))]
    #[case::next_to_it("seatrial-bench", &["seatrial"], Some("seatrial"))]
    #[case::test_binary_of_cargo("deps/test-0123", &["seatrial"], Some("seatrial"))]
    #[case::on_path("other", &[], None)]
    fn program_is_found(#[case] own: &str, #[case] files: &[&str], #[case] expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let on_path = PathBuf::from("/usr/bin/seatrial");
        let found = find(&folder.path().join(own), None, || Some(on_path.clone())).unwrap();
        assert_eq!(found, expected.map_or(on_path, |name| folder.path().join(name)));
    }

    #[test]
    fn missing_program_is_a_usage_error_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("other");
        let error = find(&own, None, || None).unwrap_err().to_string();
        assert!(error.contains("cargo build --package seatrial") && error.contains(VARIABLE), "{error}");
        let error = find(&own, Some(folder.path().join("gone")), || None).unwrap_err().to_string();
        assert!(error.starts_with("SEATRIAL_PROGRAM names"), "{error}");
    }
}
