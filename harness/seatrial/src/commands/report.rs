//! `seatrial report`: a recorded run, shown again.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use report::folder::RunFolder;
use report::summary::{self, Layout};
use report::{github, html, junit};

use crate::exit::Usage;

/// Arguments of `report`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Folder of a run, such as runs/20261124-101500-3f2.
    run: PathBuf,
    /// Write the HTML report to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the JUnit report to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print a job summary and annotations for GitHub instead of the table.
    #[arg(long)]
    github: bool,
    /// List the flows that lost nothing as well.
    #[arg(long, short)]
    verbose: bool,
}

/// Shows the run; the exit code is the run's own.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let folder = RunFolder::open(&args.run).map_err(|e| Usage(crate::errors::line(&e.into())))?;
    let run = folder.load().map_err(|e| Usage(crate::errors::line(&e.into())))?;
    if let Some(path) = &args.html {
        write(path, &html::render(&run)?)?;
    }
    if let Some(path) = &args.junit {
        write(path, &junit::render(&run)?)?;
    }
    let text = if args.github {
        format!("{}\n{}", github::summary(&run), github::annotations(&run))
    } else {
        let html = folder.report_html();
        let layout = Layout {
            width: console::Term::stdout().size_checked().map_or(100, |(_, columns)| columns),
            colour: console::colors_enabled(),
            verbose: args.verbose,
            report: html.exists().then_some(html.as_path()),
        };
        summary::render(&run, &layout)
    };
    write!(std::io::stdout(), "{text}")?;
    Ok(run.exit_code)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} could not be written", path.display()))
}
