//! One page for several runs, the worst first, with a link to the report of each.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Recorded, Status, sorted, tally};
use crate::html::{HtmlError, page};
use crate::units;

/// What must be escaped in the path of a link.
const IN_PATHS: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug, Serialize)]
struct Page {
    title: String,
    class: &'static str,
    mark: &'static str,
    tally: String,
    took: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    link: String,
    versions: String,
    subject: String,
    place: String,
    class: &'static str,
    outcome: String,
    reasons: Vec<String>,
    took: String,
    started: String,
    command: String,
}

/// Renders the runs as one self-contained page in the folder `from`, to which its links are relative.
///
/// # Errors
/// Fails only when the template asks for something that the page's data lacks.
pub fn render(runs: &[Recorded], from: &Path) -> Result<String, HtmlError> {
    let rows: Vec<_> = sorted(runs).iter().map(|run| row(run, from)).collect();
    let worst = runs.iter().map(Recorded::status).min().unwrap_or(Status::NotJudged);
    let (class, mark) = look(worst);
    let took = units::duration(runs.iter().map(|run| run.run.elapsed_ms).sum());
    let title = units::plural(runs.len(), "run");
    page("index", &Page { title, class, mark, tally: tally(runs), took, rows })
}

/// The class of the style sheet, and a mark for readers who do not see colours.
fn look(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Passed => ("passed", "✓"),
        Status::Failed => ("failed", "✗"),
        Status::NotJudged => ("errored", "!"),
    }
}

fn row(run: &Recorded, from: &Path) -> Row {
    let good = run.status() == Status::Passed;
    let provider = &run.run.provider;
    Row {
        name: run.name(),
        link: link(&run.folder, from),
        versions: run.run.versions(),
        subject: run.run.subject.clone(),
        place: format!("{} {}", provider.name, provider.kubernetes),
        class: look(run.status()).0,
        outcome: run.outcome(),
        reasons: if good { Vec::new() } else { run.reasons().into_iter().map(str::to_owned).collect() },
        took: units::duration(run.run.elapsed_ms),
        started: run.run.started.clone(),
        command: run.command(),
    }
}

/// The report of a run as a link: relative where the run lies beside or below the page.
fn link(folder: &Path, from: &Path) -> String {
    let report = folder.strip_prefix(from).unwrap_or(folder).join("report.html");
    utf8_percent_encode(&report.to_string_lossy(), &IN_PATHS).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests::several;
    use super::*;

    #[test]
    fn every_run_is_on_the_page_with_a_link_to_its_report() {
        let runs = several();
        let page = render(&runs, Path::new("runs")).unwrap();
        assert_eq!(page.matches("<tr class=").count(), runs.len());
        for run in &runs {
            assert!(page.contains(&format!("href=\"{}&#x2f;report.html\"", run.run.id)), "{page}");
        }
        assert!(page.contains("1 failed, 1 not judged, 2 passed"));
        let (bad, good) = (page.find("not as expected"), page.find(">as expected"));
        assert!(bad.is_some() && bad < good, "the failed run does not come first");
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_hostile_text_stays_text() {
        let mut runs = several();
        let hostile = "<script>alert('x')</script>\"' onload=\"x()";
        runs[3].run.subject = hostile.to_owned();
        runs[3].folder = Path::new("runs").join(hostile);
        runs[3].trial.as_mut().unwrap().wrong = vec![hostile.to_owned()];
        let page = render(&runs, Path::new("runs")).unwrap();
        for outside in ["http://", "https://", "src=", "url(", "@import", "<script", "<link", "\"' onload"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn links_leave_the_page_only_where_they_must() {
        assert_eq!(link(Path::new("/a/b/r 1"), Path::new("/a")), "b/r%201/report.html");
        assert_eq!(link(Path::new("/other/r1"), Path::new("/a")), "/other/r1/report.html");
    }
}
