//! `seatrial report`: recorded runs, shown again.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use report::collection::{self, Recorded, Status};
use report::folder::{FolderError, RunFolder};
use report::{Layout, github, html, junit, summary};

use engine::exit::{self, Usage};

/// The largest CSV file that is copied, bytes.
const LARGEST_CSV: u64 = 256 << 20;

/// Arguments of `report`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Run folders, such as runs/20261124-101500-3f2, or folders of run folders, such as runs.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write the HTML report of one run to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write an HTML index of all runs to this file.
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Write the JUnit report to this file; several runs become one test case each.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the samples of one run to this folder, one CSV file for each flow.
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
    /// Print a GitHub job summary and annotations instead of the table. The summary is appended to
    /// $GITHUB_STEP_SUMMARY where that is set.
    #[arg(long)]
    github: bool,
    /// Also list the flows without losses.
    #[arg(long, short)]
    verbose: bool,
}

/// Shows the runs; the exit code is the run's own, or that of the worst of several.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let runs = load(&args.runs)?;
    if let Some(path) = &args.index {
        write(path, &index(&runs, path)?)?;
    }
    match &runs[..] {
        [one] => single(args, one),
        several => together(args, several),
    }
}

fn load(paths: &[PathBuf]) -> Result<Vec<Recorded>, Usage> {
    let usage = |e: FolderError| Usage(engine::errors::line(&e.into()));
    let mut runs = Vec::new();
    for path in paths {
        for folder in collection::folders(path).map_err(usage)? {
            runs.push(Recorded::load(&folder).map_err(usage)?);
        }
    }
    Ok(runs)
}

/// A page whose links hold from where it lies, however the paths were given.
fn index(runs: &[Recorded], page: &Path) -> anyhow::Result<String> {
    let absolute = |path: &Path| std::path::absolute(path).context("the current folder cannot be told");
    let mut runs = runs.to_vec();
    for run in &mut runs {
        run.folder = absolute(&run.folder)?;
    }
    let page = absolute(page)?;
    Ok(collection::html::render(&runs, page.parent().unwrap_or(&page))?)
}

fn single(args: &Args, recorded: &Recorded) -> anyhow::Result<u8> {
    let (folder, run) = (RunFolder::open(&recorded.folder)?, &recorded.run);
    if let Some(path) = &args.html {
        write(path, &html::render(run)?)?;
    }
    if let Some(path) = &args.junit {
        write(path, &junit::render(run)?)?;
    }
    if let Some(path) = &args.csv {
        export(&folder, path)?;
    }
    if args.github {
        for_github(&github::summary(run), &github::annotations(run))?;
    } else {
        let html = folder.report_html();
        let layout = Layout {
            verbose: args.verbose,
            report: html.exists().then_some(html.as_path()),
            ..Layout::stdout()
        };
        write!(std::io::stdout(), "{}", summary::render(run, &layout))?;
    }
    Ok(run.exit_code)
}

fn together(args: &Args, runs: &[Recorded]) -> anyhow::Result<u8> {
    if args.html.is_some() || args.csv.is_some() {
        return Err(Usage("--html and --csv are for one run; --index lists several".to_owned()).into());
    }
    if let Some(path) = &args.junit {
        write(path, &collection::junit::render(runs)?)?;
    }
    if args.github {
        for_github(&collection::github::summary(runs), &collection::github::annotations(runs))?;
    } else {
        write!(std::io::stdout(), "{}", collection::table::render(runs, &Layout::stdout()))?;
    }
    let codes = runs.iter().map(|run| match run.status() {
        Status::Passed => exit::PASSED,
        Status::Failed => exit::FINDINGS,
        Status::NotJudged => exit::of(run.run.verdict),
    });
    Ok(codes.max().unwrap_or(exit::SKIPPED))
}

/// The summary goes to the file that GitHub names, or else before the annotations.
fn for_github(summary: &str, annotations: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match std::env::var_os("GITHUB_STEP_SUMMARY") {
        None => write!(out, "{summary}\n{annotations}")?,
        Some(path) => {
            let path = Path::new(&path);
            let failed = || format!("the job summary {} could not be written", path.display());
            let mut file =
                std::fs::OpenOptions::new().create(true).append(true).open(path).with_context(failed)?;
            file.write_all(summary.as_bytes()).with_context(failed)?;
            out.write_all(annotations.as_bytes())?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} could not be written", path.display()))
}

/// Writes the samples of each flow as CSV, times in µs: `due` since the first probe, the others since `due`. Files that are CSV
/// already are copied.
fn export(run: &RunFolder, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for file in run.files("samples")? {
        let name = Path::new(file.file_name().unwrap_or_default()).with_extension("csv");
        let target = folder.join(&name);
        // The shortage of CPU time is recorded as CSV.
        if file.ends_with(&name) {
            std::fs::write(&target, run.read(&file, LARGEST_CSV)?)
                .with_context(|| format!("cannot write {}", target.display()))?;
            continue;
        }
        let flow = probe::store::read(&run.path().join(&file))?;
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
        write(&target, &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_file_is_copied() {
        let (base, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = RunFolder::create(base.path(), "r1").unwrap();
        std::fs::write(run.samples().join("processors.csv"), "node,at_ns\n").unwrap();
        export(&run, folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("processors.csv")).unwrap(), "node,at_ns\n");
    }

    #[test]
    fn a_file_without_samples_is_named() {
        let (base, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = RunFolder::create(base.path(), "r1").unwrap();
        std::fs::write(run.samples().join("a.samples"), "no samples").unwrap();
        let error = export(&run, folder.path()).unwrap_err().to_string();
        assert!(error.contains("a.samples"), "{error}");
    }

    #[test]
    fn no_link_of_a_run_folder_is_followed() {
        let (base, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = RunFolder::create(base.path(), "r1").unwrap();
        std::fs::write(base.path().join("secret.csv"), "hunter2").unwrap();
        std::os::unix::fs::symlink(base.path().join("secret.csv"), run.samples().join("secret.csv")).unwrap();
        assert!(export(&run, folder.path()).is_err());
        assert!(!folder.path().join("secret.csv").exists());
    }
}
