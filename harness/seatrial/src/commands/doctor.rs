//! `seatrial doctor`.

use std::io::Write as _;
use std::time::Instant;

use clap::Args as ClapArgs;
use cluster::doctor::{State, examine};
use cluster::{Component, Components};

use super::cluster::Place;
use crate::{exit, paths};

/// Arguments of `doctor`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Build the components that are missing (minutes, once).
    #[arg(long)]
    build: bool,
    #[command(flatten)]
    place: Place,
}

/// Says what this machine lacks, and the command that brings it.
pub(crate) async fn run(args: Args) -> anyhow::Result<u8> {
    let components = Components::new(args.place.components, paths::cache());
    if args.build {
        build(&components).await?;
    }
    let checks = examine(&components).await;
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

async fn build(components: &Components) -> anyhow::Result<()> {
    let started = Instant::now();
    let progress = |message: String| {
        let line = format!("{:6.0} s  {message}\n", started.elapsed().as_secs_f64());
        // Progress is a courtesy; a closed standard error must not stop the build.
        if std::io::stderr().write_all(line.as_bytes()).is_err() {
            tracing::debug!(message, "standard error is closed");
        }
    };
    for component in Component::CLUSTER.into_iter().chain([Component::Helm]) {
        components.resolve(component, &progress).await?;
    }
    Ok(())
}
