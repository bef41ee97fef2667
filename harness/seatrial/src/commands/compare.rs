//! `seatrial compare`: two recorded runs side by side.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use report::Layout;
use report::collection::Recorded;
use report::compare::{Change, Comparison};

use engine::errors;
use engine::exit::{self, Usage};

/// Arguments of `compare`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Run folder of the reference.
    before: PathBuf,
    /// Run folder to compare with it.
    after: PathBuf,
}

/// Runs the command; a flow that was out for longer is a finding.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<u8> {
    let load = |folder: &Path| Recorded::load(folder).map_err(|e| Usage(errors::line(&e.into())));
    let (before, after) = (load(&args.before)?, load(&args.after)?);
    let comparison = Comparison::of(&before.run, &after.run).map_err(|e| Usage(e.to_string()))?;
    write!(out, "{}", comparison.render(&Layout { colour: false, ..Layout::stdout() }))?;
    Ok(if comparison.count(Change::Longer) == 0 { exit::PASSED } else { exit::FINDINGS })
}
