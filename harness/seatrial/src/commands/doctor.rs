//! `seatrial doctor`.

use std::io::Write;
use std::time::Instant;

use clap::Args as ClapArgs;
use cluster::doctor::{Check, State};
use cluster::registry::PROVIDERS;
use cluster::{Component, Components};

use engine::{exit, paths};

use crate::options::ComponentArgs;

/// Arguments of `doctor`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Build the components that are missing (minutes, once).
    #[arg(long)]
    build: bool,
    /// Build kind as well.
    #[arg(long, requires = "build")]
    kind: bool,
    #[command(flatten)]
    components: ComponentArgs,
}

/// Says what this machine lacks, and the command that brings it.
pub(crate) async fn run(args: Args) -> anyhow::Result<u8> {
    let components = Components::new(args.components.components, paths::cache());
    if args.build {
        build(&components, args.kind).await?;
    }
    let mut out = std::io::stdout();
    let mut missing = Vec::new();
    for (number, provider) in PROVIDERS.iter().enumerate() {
        let checks = (provider.examine)(&components).await;
        if checks.is_empty() {
            continue;
        }
        if number > 0 {
            writeln!(out, "\nfor --provider {}:", provider.name)?;
        }
        write(&mut out, &checks)?;
        missing.push(checks.iter().filter(|check| check.state == State::Missing).count());
    }
    // Only the default provider is required.
    let (name, missing) = (PROVIDERS[0].name, missing.first().copied().unwrap_or_default());
    if missing == 0 {
        writeln!(out, "\na {name} can boot: seatrial cluster up")?;
        return Ok(exit::PASSED);
    }
    writeln!(out, "\n{missing} missing: no {name} can boot without them")?;
    Ok(exit::ERRORED)
}

fn write(out: &mut dyn Write, checks: &[Check]) -> std::io::Result<()> {
    let width = checks.iter().map(|check| check.what.len()).max().unwrap_or_default();
    for check in checks {
        let mark = match check.state {
            State::Fine => "ok     ",
            State::Note => "note   ",
            State::Missing => "MISSING",
        };
        writeln!(out, "{mark}  {:width$}  {}", check.what, check.detail)?;
    }
    Ok(())
}

async fn build(components: &Components, kind: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let progress = |message: String| {
        let line = format!("{:6.0} s  {message}\n", started.elapsed().as_secs_f64());
        // Progress is a courtesy; a closed standard error must not stop the build.
        if std::io::stderr().write_all(line.as_bytes()).is_err() {
            tracing::debug!(message, "standard error is closed");
        }
    };
    let kind = kind.then_some(Component::Kind);
    for component in Component::CLUSTER.into_iter().chain([Component::Helm]).chain(kind) {
        components.resolve(component, &progress).await?;
    }
    Ok(())
}
