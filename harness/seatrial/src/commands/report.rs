//! `seatrial report`: a recorded run, shown again.

use std::fmt::Write as _;
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
    /// Write every sample into this folder, one CSV file a flow.
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
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
    if let Some(path) = &args.csv {
        export(&folder.samples(), path)?;
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

/// Writes the samples of each flow as CSV; times in µs, `due` since the first probe, the others since `due`.
fn export(samples: &Path, folder: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("the samples in {} cannot be listed", samples.display());
    std::fs::create_dir_all(folder).with_context(|| format!("{} could not be made", folder.display()))?;
    for entry in std::fs::read_dir(samples).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let flow = probe::store::read(&path)?;
        let mut text = String::from("seq,due_us,class,late_us,sent_us,ended_us,cut\n");
        for sample in &flow.samples {
            let optional = |us: Option<u32>| us.map_or_else(String::new, |us| us.to_string());
            writeln!(
                text,
                "{},{},{},{},{},{},{}",
                sample.seq,
                sample.due_ns.saturating_sub(flow.start_ns) / 1_000,
                sample.class,
                sample.late_us,
                optional(sample.sent_us),
                optional(sample.ended_us),
                sample.cut
            )?;
        }
        let name = Path::new(path.file_name().unwrap_or_default()).with_extension("csv");
        write(&folder.join(name), &text)?;
    }
    Ok(())
}
