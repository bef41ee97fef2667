//! Disturbances of known cause, one after the other under the standard traffic: is the right cause attributed?

use std::collections::BTreeMap;
use std::io::Write;

use crate::place::Place;
use engine::exit;
use engine::steps::inject::Cause;
use engine::steps::{Inject, Step};
use model::{Confidence, Layer};
use report::run::{self, Outage, Run, Verdict};

use crate::quiet_run;

/// An outage that began so long before a step, ms, may still be its doing: nodes act before the step is recorded.
const BEFORE_MS: f64 = 100.0;

/// What a disturbance came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// Something was lost, and its cause was named; or nothing may be lost, and nothing was.
    Right,
    /// The cause was not named: not attributed, or nothing was lost that should have been.
    Missed,
    /// An outage was put down to something else.
    Wrong,
    /// An outage was put down to something else with high confidence.
    SurelyWrong,
}

/// Runs the command.
pub(crate) async fn run(place: Place, count: u32, out: &mut dyn Write) -> anyhow::Result<u8> {
    let plan: Vec<(Cause, String)> = (0..count as usize).map(disturbance).collect();
    let version = quiet_run::version()?;
    let steps = (1..).zip(&plan).map(|(number, (cause, node))| {
        Step::inject(number, Inject { cause: *cause, node: node.clone() }, version.clone())
    });
    let record = quiet_run::run(&place, steps.collect()).await?;
    let done = record.steps.iter().filter(|step| number_of(step).is_some()).count();
    if record.verdict == Verdict::Interrupted {
        return Ok(exit::INTERRUPTED);
    }
    anyhow::ensure!(done == plan.len(), "only {done} of {count} disturbances were made: {}", record.reason);
    write!(out, "{}", table(&plan, &record))?;
    Ok(exit::PASSED)
}

/// The causes take turns, and the nodes as well; the prober is on the first.
fn disturbance(index: usize) -> (Cause, String) {
    let cause = Cause::ALL[index % Cause::ALL.len()];
    let node = if cause == Cause::ProberStopped { 1 } else { index / Cause::ALL.len() % 2 + 1 };
    (cause, format!("node{node}"))
}

/// The number of a disturbance's step; steps of other kinds have none.
fn number_of(step: &run::Step) -> Option<usize> {
    step.name.split_once(": ")?.0.parse().ok()
}

fn table(plan: &[(Cause, String)], record: &Run) -> String {
    let starts: Vec<f64> =
        record.steps.iter().filter(|step| number_of(step).is_some()).map(|step| step.started_ms).collect();
    let mut lines = String::new();
    let mut all = Vec::new();
    for (index, (cause, node)) in plan.iter().enumerate() {
        let from = starts[index] - BEFORE_MS;
        let to = starts.get(index + 1).map_or(f64::MAX, |next| next - BEFORE_MS);
        let felt: Vec<&Outage> = record
            .flows
            .iter()
            .filter(|flow| flow.layer != Layer::Canary)
            .flat_map(|flow| &flow.outages)
            .filter(|outage| (from..to).contains(&outage.first_bad_ms))
            .collect();
        let named = judge(*cause, &felt);
        all.push((*cause, named));
        let causes: BTreeMap<String, usize> = felt.iter().fold(BTreeMap::new(), |mut causes, outage| {
            *causes.entry(outage.cause()).or_default() += 1;
            causes
        });
        let causes: Vec<_> = causes.iter().map(|(cause, count)| format!("{cause} ({count})")).collect();
        let verdict = match named {
            Named::Right => "right",
            Named::Missed => "MISSED",
            Named::Wrong => "WRONG",
            Named::SurelyWrong => "WRONG, HIGH",
        };
        let line = format!("{:>3} {cause:<20} {node}  {verdict:<12} {}", index + 1, causes.join(", "));
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    let count = |wanted: Named| all.iter().filter(|(_, named)| *named == wanted).count();
    let right = count(Named::Right);
    lines
        + &format!(
            "causes       {} disturbances, {right} named rightly, {} not named, {} named wrongly, {} of them with \
         high confidence\n",
            all.len(),
            count(Named::Missed),
            count(Named::Wrong) + count(Named::SurelyWrong),
            count(Named::SurelyWrong),
        )
}

/// Compares the attributed causes with the injected one.
///
/// An outage that noise excuses does not count; every other one must have the right cause or, if one has it, none.
fn judge(cause: Cause, felt: &[&Outage]) -> Named {
    let accused: Vec<_> = felt.iter().filter(|outage| !outage.noisy || !cause.roles().is_empty()).collect();
    let is_right = |event: &str| event.split(' ').next().is_some_and(|role| cause.roles().contains(&role));
    let attributions = || accused.iter().filter_map(|outage| outage.attribution.as_ref());
    let mut wrong = attributions().filter(|attribution| !is_right(&attribution.event)).peekable();
    if wrong.peek().is_some() {
        let sure = wrong.any(|attribution| attribution.confidence == Confidence::High);
        return if sure { Named::SurelyWrong } else { Named::Wrong };
    }
    let named = attributions().any(|attribution| is_right(&attribution.event));
    let quiet = cause.roles().is_empty() && accused.is_empty();
    if named || quiet { Named::Right } else { Named::Missed }
}

#[cfg(test)]
mod tests {
    use report::run::Attribution;
    use rstest::rstest;

    use super::*;

    fn outage(event: Option<(&str, Confidence)>, noisy: bool) -> Outage {
        Outage {
            class: "lost".into(),
            samples: 1,
            min_ms: 0.0,
            max_ms: None,
            last_good_ms: None,
            first_bad_ms: 0.0,
            last_bad_ms: 0.0,
            first_good_ms: None,
            connections_cut: 0,
            step: None,
            attribution: event.map(|(event, confidence)| Attribution {
                event: event.into(),
                node: None,
                confidence,
                evidence: String::new(),
            }),
            noisy,
        }
    }

    #[rstest]
    #[case::named(Cause::LinkDown, vec![outage(Some(("link down", Confidence::High)), false), outage(None, false)], Named::Right)]
    #[case::named_amid_noise(Cause::LinkDown, vec![outage(Some(("link down", Confidence::High)), true)], Named::Right)]
    #[case::not_named(Cause::LinkDown, vec![outage(None, false)], Named::Missed)]
    #[case::not_felt(Cause::LinkDown, vec![], Named::Missed)]
    #[case::another(Cause::LinkDown, vec![outage(Some(("agent ready", Confidence::Low)), false)], Named::Wrong)]
    #[case::surely(Cause::AgentKilled, vec![outage(Some(("link down", Confidence::High)), false)], Named::SurelyWrong)]
    #[case::quiet(Cause::ProberStopped, vec![], Named::Right)]
    #[case::excused(Cause::ProberStopped, vec![outage(Some(("agent ready", Confidence::Low)), true)], Named::Right)]
    #[case::accused(Cause::ProberStopped, vec![outage(None, false)], Named::Missed)]
    fn judged(#[case] cause: Cause, #[case] felt: Vec<Outage>, #[case] expected: Named) {
        assert_eq!(judge(cause, &felt.iter().collect::<Vec<_>>()), expected);
    }

    #[test]
    fn every_cause_has_its_turn_on_both_nodes() {
        let plan: Vec<_> = (0..2 * Cause::ALL.len()).map(disturbance).collect();
        for cause in Cause::ALL {
            let nodes: Vec<_> = plan.iter().filter(|(own, _)| *own == cause).map(|(_, node)| node).collect();
            let expected =
                if cause == Cause::ProberStopped { ["node1", "node1"] } else { ["node1", "node2"] };
            assert_eq!(nodes, expected, "{cause}");
        }
    }
}
