//! Recorded runs, checked against the expectations of an arm.
//!
//! A run of the documented procedure must not meet the expectations of the other arm, or the finding of that arm would come
//! from its file and not from what it leaves out.

use std::io::Write;
use std::path::PathBuf;

use report::collection::{Recorded, folders};
use report::run::Verdict;

use super::file::Scenario;
use super::steps::{NoProcedure, procedure};
use crate::errors;
use crate::exit::{self, Usage};
use crate::run::recipe::{Recipe, Story};
use crate::steps::Arm;

/// Which recorded runs are judged.
#[derive(Clone, Debug)]
pub struct JudgeOptions {
    /// Run folders, or folders of run folders.
    pub runs: Vec<PathBuf>,
    /// Only runs of this arm.
    pub arm: Option<Arm>,
}

/// A run and the file that it followed.
struct Judged {
    recorded: Recorded,
    name: String,
    arm: String,
    scenario: Scenario,
}

/// Judges the runs, and names those that followed no scenario. The exit code is 0 when all are as expected, 1 when one is
/// not, and 4 when there was nothing to judge.
///
/// # Errors
/// When a folder cannot be read.
pub fn judge(args: &JudgeOptions, against: Option<Arm>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut code = exit::SKIPPED;
    let (all, left_out) = read(args)?;
    for folder in left_out {
        writeln!(out, "left out: {} followed no scenario", folder.display())?;
    }
    for judged in all {
        let arm = against.map_or_else(|| judged.arm.clone(), |arm| arm.to_string());
        let title = format!("{}/{} held against {arm}", judged.name, judged.arm);
        let told = matches!(judged.recorded.run.verdict, Verdict::Passed | Verdict::Failed);
        let (said, own) = match judged.wrong(&arm) {
            _ if !told => (format!("not judged, the run is {}", judged.recorded.run.verdict), exit::ERRORED),
            None => ("there is no such arm".to_owned(), exit::SKIPPED),
            Some(wrong) if wrong.is_empty() => ("as expected".to_owned(), exit::PASSED),
            Some(wrong) => (format!("NOT as expected\n  {}", wrong.join("\n  ")), exit::FINDINGS),
        };
        writeln!(out, "{title}: {said}")?;
        code = worse(code, own);
    }
    Ok(code)
}

/// An arm that is not there neither passes nor fails.
fn worse(so_far: u8, next: u8) -> u8 {
    match (so_far, next) {
        (exit::SKIPPED, other) | (other, exit::SKIPPED) => other,
        (one, other) => one.max(other),
    }
}

/// The runs of scenarios, and the folders of others.
fn read(args: &JudgeOptions) -> Result<(Vec<Judged>, Vec<PathBuf>), Usage> {
    let usage = |e: report::folder::FolderError| Usage(errors::line(&e.into()));
    let (mut all, mut left_out) = (Vec::new(), Vec::new());
    for path in &args.runs {
        for folder in folders(path).map_err(usage)? {
            let story = Recipe::find(&folder)?.map(|recipe| recipe.story);
            let Some(Story::Scenario { name, arm, text }) = story else {
                left_out.push(folder);
                continue;
            };
            if args.arm.is_some_and(|only| only.to_string() != arm) {
                continue;
            }
            let recorded = Recorded::load(&folder).map_err(usage)?;
            let scenario = Scenario::parse(&name, &text).map_err(|e| Usage(e.to_string()))?;
            all.push(Judged { recorded, name, arm, scenario });
        }
    }
    Ok((all, left_out))
}

impl Judged {
    /// What does not hold of what this arm expects; nothing where the scenario lacks it.
    fn wrong(&self, arm: &str) -> Option<Vec<String>> {
        let arm = self.scenario.arms().into_iter().find(|own| own.to_string() == arm)?;
        let objects = self.recorded.folder.join("objects");
        // Steps are those of the arm that was run, whichever arm's expectations are compared.
        let own = self.scenario.arms().into_iter().find(|own| own.to_string() == self.arm)?;
        let procedure = match procedure(&self.name, &self.scenario, own) {
            Ok(procedure) => procedure,
            Err(NoProcedure::File(e) | NoProcedure::Refused(e)) => return Some(vec![e.to_string()]),
        };
        Some(self.scenario.expected(arm).judge(&self.recorded.run, &procedure, &objects))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::good(&[exit::PASSED, exit::PASSED], exit::PASSED)]
    #[case::one_wrong(&[exit::FINDINGS, exit::PASSED], exit::FINDINGS)]
    #[case::no_such_arm(&[exit::SKIPPED, exit::FINDINGS], exit::FINDINGS)]
    #[case::one_untold(&[exit::FINDINGS, exit::ERRORED], exit::ERRORED)]
    #[case::nothing(&[], exit::SKIPPED)]
    fn the_worst_decides(#[case] codes: &[u8], #[case] expected: u8) {
        assert_eq!(codes.iter().fold(exit::SKIPPED, |so_far, next| worse(so_far, *next)), expected);
    }
}
