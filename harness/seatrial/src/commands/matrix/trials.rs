//! All trials: every arm of every scenario, and the guide's transitions that no scenario covers.

use model::{Direction, Minor, Version};
use report::matrix::{LeftOut, Trial};

use engine::command_line::CommandLine;
use engine::run::procedure::Procedure;
use engine::scenario::planned::{self, Planned};
use engine::steps::{Arm, Hop};
use subject::Supported;

/// All trials of a subject in order of name, and those that it cannot run. With a minor, trials with an older version
/// are omitted.
pub(crate) fn all(
    supported: &Supported,
    from: Option<Minor>,
    options: &CommandLine,
) -> anyhow::Result<(Vec<Trial>, Vec<LeftOut>)> {
    let (mut trials, mut left_out) = (Vec::new(), Vec::new());
    let planned = planned::all()?;
    let uncovered = guide::transitions().into_iter().filter(|(from, to)| !covered(&planned, from, to));
    let plain = uncovered.map(|(from, to)| Ok((from, to, guide::plan(from, to)?)));
    let plain: Vec<_> = plain.collect::<anyhow::Result<_>>()?;
    let asked = |versions: &[Version]| {
        let oldest = versions.iter().map(Version::minor).min();
        from.is_none_or(|from| oldest.is_some_and(|oldest| oldest >= from))
    };
    let mut add = |trial: Trial, versions: &[Version]| match can_run(supported, versions) {
        _ if !asked(versions) => {}
        Ok(()) => trials.push(trial),
        Err(reason) => left_out.push(LeftOut { name: trial.name, reason }),
    };
    for planned in &planned {
        let versions = planned.procedure.as_ref().map(Procedure::versions).unwrap_or_default();
        add(of_scenario(planned, options), &versions);
    }
    for (from, to, plan) in plain {
        let procedure = Procedure::of_plan(&plan, false);
        add(of_transition(from, to, &procedure, options), &procedure.versions());
    }
    Ok((trials, left_out))
}

fn can_run(supported: &Supported, versions: &[Version]) -> Result<(), String> {
    versions.iter().try_for_each(supported).map_err(|e| e.to_string())
}

/// Whether the documented way of a scenario goes from one minor up to the other.
fn covered(planned: &[Planned], from: &Version, to: &Version) -> bool {
    let followed = planned.iter().filter(|planned| planned.arm == Arm::Followed);
    followed.filter_map(|planned| planned.procedure.as_ref()).flat_map(Procedure::hops).any(|hop| {
        hop.direction == Direction::Upgrade
            && hop.from.minor() == from.minor()
            && hop.to.minor() == to.minor()
    })
}

fn of_scenario(planned: &Planned, options: &CommandLine) -> Trial {
    let (scenario, arm) = (&planned.scenario, planned.arm.to_string());
    let command = CommandLine::new(&["seatrial", "scenario", "run"])
        .with_positionals([scenario.clone()])
        .with_option("arm", arm.clone())
        .with_options_of(options, &["subject", "charts", "provider"]);
    Trial {
        name: format!("{scenario}/{arm}"),
        scenario: Some(scenario.clone()),
        arm: Some(arm.clone()),
        transitions: planned.procedure.as_ref().map(transitions).unwrap_or_default(),
        seconds: planned.procedure.as_ref().map(seconds).unwrap_or_default(),
        shard: 1,
        command: command.words(),
    }
}

fn of_transition(from: &Version, to: &Version, procedure: &Procedure, options: &CommandLine) -> Trial {
    let (from, to) = (from.to_string(), to.to_string());
    let command = CommandLine::new(&["seatrial", "run"])
        .with_positionals([from.clone(), to.clone()])
        .with_options_of(options, &["subject", "charts", "provider"]);
    Trial {
        name: format!("run {from} {to}"),
        scenario: None,
        arm: None,
        transitions: transitions(procedure),
        seconds: seconds(procedure),
        shard: 1,
        command: command.words(),
    }
}

fn transitions(procedure: &Procedure) -> Vec<String> {
    procedure.hops().map(Hop::name).collect()
}

fn seconds(procedure: &Procedure) -> u64 {
    procedure.expected().as_secs_f64().round() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use subject::{StandinProgram, registry};

    fn of_standin() -> (Vec<Trial>, Vec<LeftOut>) {
        let description = include_bytes!("../../../../standin/description.json");
        let standin = StandinProgram::described("seatrial-standin".into(), description).unwrap();
        let supported: Supported = Box::new(move |version| standin.supports(version));
        let options = CommandLine::default().with_option("subject", "standin".to_owned());
        all(&supported, None, &options).unwrap()
    }

    #[test]
    fn every_arm_is_there_once() {
        let (trials, _) = of_standin();
        let names: BTreeSet<_> = trials.iter().map(|trial| trial.name.clone()).collect();
        assert_eq!(names.len(), trials.len());
        for planned in planned::all().unwrap() {
            assert!(names.contains(&format!("{}/{}", planned.scenario, planned.arm)), "{planned:?}");
        }
    }

    #[test]
    fn every_transition_of_the_guide_is_run_or_left_out_with_a_reason() {
        let (trials, left_out) = of_standin();
        for (from, to) in guide::transitions() {
            let name = format!("run {from} {to}");
            let hop = format!("upgrade {from} -> {to}");
            let taken = trials.iter().any(|trial| trial.name == name || trial.transitions.contains(&hop));
            let reason = left_out.iter().find(|left| left.name == name).map(|left| &left.reason);
            assert!(taken != reason.is_some_and(|reason| reason.contains("stand-in plays")), "{name}");
        }
    }

    #[test]
    fn what_a_scenario_takes_is_not_run_again() {
        let (trials, _) = of_standin();
        assert!(!trials.iter().any(|trial| trial.name.starts_with("run 1.5.13 1.6")), "{trials:?}");
    }

    #[test]
    fn what_has_an_older_version_is_left_out() {
        let from = Minor::new(1, 14);
        let supported = (registry::find("cilium").unwrap().supported)().unwrap();
        let (trials, left_out) = all(&supported, Some(from), &CommandLine::default()).unwrap();
        let names: Vec<_> = trials.iter().map(|trial| trial.name.as_str()).collect();
        assert_eq!(names.first(), Some(&"run 1.14.19 1.15.19"), "{names:?}");
        let newest = &guide::catalogue::lines().last().unwrap().latest;
        let last = format!("run {} {newest}", guide::catalogue::predecessor(newest).unwrap());
        assert_eq!(names.last(), Some(&last.as_str()), "{names:?}");
        assert!(left_out.is_empty(), "{left_out:?}");
    }

    #[test]
    fn a_refused_way_takes_no_time() {
        let (trials, _) = of_standin();
        let refused = trials.iter().find(|trial| trial.name == "unlisted-path/followed").unwrap();
        assert_eq!((refused.seconds, refused.transitions.len()), (0, 0));
    }
}
