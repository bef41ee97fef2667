//! Run folders of older versions are read, and every report is made from them.

use std::path::{Path, PathBuf};

use report::collection::{self, Recorded, Status};
use report::{Layout, RunFolder, github, html, junit, summary};
use rstest::rstest;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
}

#[rstest]
#[case::eight_outages("eight-outages", Status::Failed, 135)]
#[case::upgrade_and_rollback("upgrade-and-rollback", Status::Passed, 0)]
#[case::failed_trial("failed-trial", Status::Failed, 1)]
fn every_report_is_made_of_an_old_record(
    #[case] name: &str,
    #[case] status: Status,
    #[case] findings: usize,
) {
    let recorded = Recorded::load(&folder(name)).unwrap();
    let run = &recorded.run;
    assert_eq!((recorded.status(), run.findings.len()), (status, findings));
    for width in [Some(80), Some(100), None] {
        let layout = Layout { width, colour: false, verbose: false, report: None };
        let text = summary::render(run, &layout);
        assert!(text.contains(&run.findings.first().map_or_else(String::new, |finding| finding.id.clone())));
        for line in text.lines().filter(|line| !line.contains("reproduce: ")) {
            let fits = console::measure_text_width(line) <= width.unwrap_or(u16::MAX).into();
            assert!(fits, "{width:?}: {line}");
        }
    }
    assert!(html::render(run).unwrap().contains(&run.id));
    assert!(junit::render(run).unwrap().contains("<testcase name=\"verdict\""));
    assert!(github::summary(run).starts_with("## "));
    assert_eq!(github::annotations(run).is_empty(), status == Status::Passed);
}

#[test]
fn a_record_is_written_back_without_a_change() {
    for name in ["eight-outages", "upgrade-and-rollback"] {
        let run = RunFolder::open(&folder(name)).unwrap().load().unwrap();
        let text = serde_json::to_string_pretty(&run).unwrap() + "\n";
        assert!(text == std::fs::read_to_string(folder(name).join("run.json")).unwrap(), "{name}");
    }
}

#[test]
fn old_records_are_shown_together() {
    let folders = collection::folders(&folder("")).unwrap();
    let runs: Vec<_> = folders.iter().map(|folder| Recorded::load(folder).unwrap()).collect();
    assert_eq!(collection::tally(&runs), "2 failed, 0 not judged, 1 passed");
    assert!(collection::html::render(&runs, &folder("")).unwrap().contains("eight-outages"));
    assert_eq!(collection::junit::render(&runs).unwrap().matches("<testcase ").count(), 3);
    assert!(collection::github::summary(&runs).starts_with("## 3 runs"));
}
