//! Runs of scenarios: one for each arm, checked against the expectations of the arm.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use report::run::Verdict;
use subject::Subject;

use super::record::{self, Outcome};
use super::steps::{NoProcedure, procedure};
use super::{ScenarioOptions, Source};
use crate::command_line::CommandLine;
use crate::exit::{self, Usage};
use crate::id::new_id;
use crate::procedure::upgrade;
use crate::run::procedure::Procedure;
use crate::run::recipe::{Recipe, Story};
use crate::run::request::{Request, check_place};
use crate::steps::Arm;
use crate::subjects;

/// One arm, planned.
struct Trial<'a> {
    source: &'a Source,
    arm: Arm,
    /// The procedure, or why the guide does not list it.
    procedure: Result<Procedure, String>,
}

/// Plans everything first, so that bad input creates nothing; then runs one arm after the other.
pub(super) async fn run(
    args: &ScenarioOptions,
    line: CommandLine,
    out: &mut dyn Write,
) -> anyhow::Result<u8> {
    let sources = args.sources()?;
    let mut subject = subjects::choose(&args.subject)?;
    if !subject.is_documented() {
        let why = "scenarios follow Cilium's guide: use a subject file with `seatrial run`";
        return Err(Usage(why.to_owned()).into());
    }
    args.provider.can_pull(subject.needs_registry())?;
    subject.load_versions(&args.provider.components()).await.map_err(subjects::failed)?;
    let subject: Arc<dyn Subject> = subject.into();
    let mut trials = Vec::new();
    for source in &sources {
        let arms = source.scenario.arms().into_iter().filter(|arm| args.arm.is_none_or(|only| only == *arm));
        for arm in arms {
            trials.push(plan(&*subject, source, arm)?);
        }
    }
    if trials.is_empty() {
        writeln!(out, "nothing ran: none of the scenarios has this arm")?;
        return Ok(exit::SKIPPED);
    }
    if trials.iter().any(|trial| trial.procedure.is_ok()) {
        args.provider.check()?;
    }
    if args.provider.is_there() {
        one_upgrade(&trials)?;
    }
    let started = Instant::now();
    let (mut outcomes, mut folders) = (Vec::new(), Vec::new());
    for (number, trial) in trials.iter().enumerate() {
        let (outcome, folder) = trial.run(args, &line, &subject, number).await?;
        folders.extend(folder);
        let interrupted = matches!(outcome, Outcome::Unjudged(Verdict::Interrupted, _));
        write!(out, "{}", trial.say(&outcome))?;
        outcomes.push(outcome);
        if interrupted {
            break;
        }
    }
    if trials.len() > 1 {
        let good = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::AsExpected)).count();
        let seconds = started.elapsed().as_secs();
        writeln!(out, "{good} of {} arms are as expected, in {seconds} s", trials.len())?;
        if let Some(index) = record::index(&std::path::absolute(&args.out)?, &folders)? {
            writeln!(out, "index: {}", index.display())?;
        }
    }
    Ok(code(&outcomes))
}

/// Checks that an existing cluster gets one upgrade of what runs in it.
fn one_upgrade(trials: &[Trial<'_>]) -> Result<(), Usage> {
    let [trial] = trials else {
        return Err(Usage("an existing cluster takes one arm: choose it with --arm".to_owned()));
    };
    let install = &trial.source.scenario.install;
    if install.config.is_empty() && !install.names {
        return Ok(());
    }
    Err(Usage(format!("{} installs Cilium with special settings: run it on a new cluster", trial.name())))
}

fn plan<'a>(subject: &dyn Subject, source: &'a Source, arm: Arm) -> Result<Trial<'a>, Usage> {
    let procedure = match procedure(&source.file, &source.scenario, arm) {
        Ok(procedure) => {
            for version in procedure.versions() {
                subject.supports(&version)?;
            }
            Ok(procedure)
        }
        Err(NoProcedure::Refused(why)) if source.scenario.expected(arm).refused.is_some() => {
            Err(why.to_string())
        }
        Err(e) => return Err(Usage(e.to_string())),
    };
    Ok(Trial { source, arm, procedure })
}

impl Trial<'_> {
    fn name(&self) -> String {
        format!("{}/{}", self.source.scenario.name.value, self.arm)
    }

    /// Runs its procedure, if there is one; returns the outcome and the run folder.
    async fn run(
        &self,
        args: &ScenarioOptions,
        line: &CommandLine,
        subject: &Arc<dyn Subject>,
        number: usize,
    ) -> anyhow::Result<(Outcome, Option<PathBuf>)> {
        let expected = self.source.scenario.expected(self.arm);
        let procedure = match (&self.procedure, &expected.refused) {
            (Err(why), Some(words)) if why.contains(words) => return Ok((Outcome::AsExpected, None)),
            (Err(why), _) => {
                return Ok((
                    Outcome::Wrong(vec![format!("it was refused with another reason: {why}")]),
                    None,
                ));
            }
            (Ok(_), Some(words)) => {
                return Ok((
                    Outcome::Wrong(vec![format!("it was not refused; the reason must be: {words}")]),
                    None,
                ));
            }
            (Ok(procedure), None) => procedure,
        };
        let request = self.request(args, line, subject, procedure.clone(), number).await?;
        let folder = request.out.join(request.place.id());
        let run = upgrade(&request).await?;
        let outcome = match run.verdict {
            Verdict::Passed | Verdict::Failed => {
                match expected.judge(&run, procedure, &folder.join("objects")) {
                    wrong if wrong.is_empty() => Outcome::AsExpected,
                    wrong => Outcome::Wrong(wrong),
                }
            }
            other => Outcome::Unjudged(other, run.reason),
        };
        record::outcome(&folder, &self.source.scenario.name.value, self.arm, &outcome)?;
        Ok((outcome, Some(folder)))
    }

    async fn request(
        &self,
        args: &ScenarioOptions,
        line: &CommandLine,
        subject: &Arc<dyn Subject>,
        procedure: Procedure,
        number: usize,
    ) -> anyhow::Result<Request> {
        let scenario = &self.source.scenario;
        let story = Story::Scenario {
            name: scenario.name.value.clone(),
            arm: self.arm.to_string(),
            text: self.source.text.clone(),
        };
        let config = scenario.install.config.clone();
        let line = line.clone().without(&["all"]).with_positionals([self.source.file.clone()]);
        let line = line.with_option("arm", self.arm.to_string());
        // Runs of one process may begin in the same second.
        let id = format!("{}-{number}", new_id());
        let place = args.provider.place(&id, scenario.nodes).await?;
        check_place(&place, &args.subject, &procedure)?;
        Ok(Request {
            place,
            procedure,
            again: line.to_string(),
            recipe: Recipe::new(subject.option(), scenario.nodes, &config, story).with_options(&line),
            budgets: scenario.budgets.clone(),
            subject: subject.clone(),
            config,
            policies: scenario.install.policies.clone(),
            names: scenario.install.names,
            required: Vec::new(),
            out: std::path::absolute(&args.out)?,
            verbose: args.verbose,
        })
    }

    fn say(&self, outcome: &Outcome) -> String {
        let name = self.name();
        match outcome {
            Outcome::AsExpected => format!("scenario {name}: as expected\n\n"),
            Outcome::Wrong(wrong) => {
                format!("scenario {name}: NOT as expected\n  {}\n\n", wrong.join("\n  "))
            }
            Outcome::Unjudged(verdict, reason) => {
                format!("scenario {name}: not judged, {verdict}: {reason}\n\n")
            }
        }
    }
}

/// The worst outcome decides: interrupted, then errored, then findings.
fn code(outcomes: &[Outcome]) -> u8 {
    let code = |outcome: &Outcome| match outcome {
        Outcome::AsExpected => exit::PASSED,
        Outcome::Wrong(_) => exit::FINDINGS,
        Outcome::Unjudged(verdict, _) => exit::of(*verdict),
    };
    outcomes.iter().map(code).max().unwrap_or(exit::SKIPPED)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::all_good(&[Outcome::AsExpected, Outcome::AsExpected], 0)]
    #[case::one_wrong(&[Outcome::AsExpected, Outcome::Wrong(vec![])], 1)]
    #[case::noise_says_nothing(&[Outcome::Wrong(vec![]), Outcome::Unjudged(Verdict::Noisy, String::new())], 3)]
    #[case::interrupted(&[Outcome::Unjudged(Verdict::Interrupted, String::new())], 130)]
    #[case::nothing_ran(&[], 4)]
    fn worst_outcome_decides(#[case] outcomes: &[Outcome], #[case] expected: u8) {
        assert_eq!(code(outcomes), expected);
    }
}
