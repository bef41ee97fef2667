//! `seatrial doctor`.

use std::io::Write as _;

use clap::Args as ClapArgs;
use cluster::Components;
use cluster::doctor::{State, examine};

use super::cluster::Place;
use crate::{exit, paths};

/// Arguments of `doctor`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
}

/// Says what this machine lacks, and the command that brings it.
pub(crate) async fn run(args: Args) -> anyhow::Result<u8> {
    let checks = examine(&Components::new(args.place.components, paths::cache())).await;
    let mut out = std::io::stdout();
    let width = checks.iter().map(|check| check.what.len()).max().unwrap_or_default();
    for check in &checks {
        let mark = match check.state {
            State::Fine => "ok     ",
            State::Note => "note   ",
            State::Missing => "MISSING",
        };
        writeln!(out, "{mark}  {:width$}  {}", check.what, check.detail)?;
    }
    let missing = checks.iter().filter(|check| check.state == State::Missing).count();
    if missing == 0 {
        writeln!(out, "\na sandbox can be brought up: seatrial cluster up")?;
        return Ok(exit::PASSED);
    }
    writeln!(out, "\n{missing} missing: no sandbox comes up without them")?;
    Ok(exit::ERRORED)
}
