//! The output of commands beside the agents, compared with the traffic that it reports.

use std::path::Path;

use report::run::{Flow, Run, Step};
use schemars::JsonSchema;
use serde::Deserialize;

use super::pattern::Pattern;
use crate::steps::{Hear, StartBeside};

/// Relative difference allowed at the ends of the interval without a loss.
const TOLERANCE: f64 = 0.05;

/// On every node there must be a line for every probe of some flows to it, or a line with the number of lost lines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Heard {
    /// Name under which the command was started.
    pub name: String,
    /// Text of the lines that count.
    pub words: String,
    /// The flows whose probes must each have a line: those that match one of these.
    pub of: Vec<Pattern>,
    /// Text before the number in a line that reports a loss.
    pub loss: String,
    /// Whether lines must be missing, and each missing line must be counted.
    #[serde(default)]
    pub lossy: bool,
    /// Text in every output.
    pub says: Option<String>,
}

/// The output of the command on one node.
#[derive(Debug, Deserialize)]
pub(super) struct OnNode {
    pub node: String,
    pub text: String,
}

impl Heard {
    /// Returns what is not as expected.
    pub(super) fn judge(&self, run: &Run, objects: &Path) -> Vec<String> {
        let read = |point| read(objects, point, &self.name);
        let (before, after) = match read("started").and_then(|before| Ok((before, read("heard")?))) {
            Ok(both) => both,
            Err(why) => return vec![why],
        };
        let since = |said: &OnNode| {
            let before = before.iter().find(|before| before.node == said.node);
            let text = before.and_then(|before| said.text.strip_prefix(before.text.as_str()));
            OnNode { node: said.node.clone(), text: text.unwrap_or(&said.text).to_owned() }
        };
        after.iter().map(since).flat_map(|said| self.node(run, &said)).collect()
    }

    fn node(&self, run: &Run, said: &OnNode) -> Vec<String> {
        let about = |why: String| format!("{} on {}: {why}", self.name, said.node);
        let Some((from, to)) = self.stretch(run) else {
            return vec![about("the run has no step that started it, or none that ended it".to_owned())];
        };
        let flows = run.flows.iter().filter(|flow| flow.server_node == said.node && self.speaks_of(flow));
        let asked: f64 = flows.map(|flow: &Flow| (to - from) / flow.period_ms).sum();
        if asked < 1.0 {
            return vec![about("no flow matches the ones that it must report".to_owned())];
        }
        let lines = said.text.lines().filter(|line| line.contains(self.words.as_str())).count() as u64;
        let lost: u64 = said.text.lines().filter_map(|line| self.lost(line)).sum();
        let mut wrong = Vec::new();
        if ((lines + lost) as f64 / asked - 1.0).abs() > TOLERANCE {
            wrong.push(format!("{lines} lines and {lost} lost, but {asked:.0} probes"));
        }
        if self.lossy != (lost > 0) {
            wrong.push(format!("{lost} are lost of {asked:.0}"));
        }
        if let Some(words) = self.says.as_ref().filter(|words| !said.text.contains(words.as_str())) {
            wrong.push(format!("its output has no `{words}`"));
        }
        wrong.into_iter().map(about).collect()
    }

    fn speaks_of(&self, flow: &Flow) -> bool {
        self.of.iter().any(|pattern| pattern.fits_flow(flow))
    }

    /// From the end of the step that started the command to the beginning of the one that ended it.
    fn stretch(&self, run: &Run) -> Option<(f64, f64)> {
        let step = |name: String| run.steps.iter().find(|step: &&Step| step.name == name);
        let (start, hear) = (StartBeside::step_name(&self.name), Hear::step_name(&self.name));
        Some((step(start)?.ended_ms, step(hear)?.started_ms))
    }

    fn lost(&self, line: &str) -> Option<u64> {
        let rest = line.strip_prefix(self.loss.as_str())?;
        rest.split_whitespace().next()?.parse().ok()
    }
}

fn read(objects: &Path, point: &str, name: &str) -> Result<Vec<OnNode>, String> {
    let path = objects.join(point).join(format!("said-{name}.yaml"));
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// A hundred probes to node1 in the interval.
    fn judge(lines: usize, lost: &str, expected: &str) -> Vec<String> {
        let flow = json!({
            "id": "f", "kind": "deny", "protocol": "udp", "path": "", "layer": "policy", "client": "", "server": "",
            "client_node": "node1", "server_node": "node1", "period_ms": 50.0, "window_ms": [0.0, 1.0],
            "planned": 1, "sent": 1, "answered": 1, "lost": 0, "classes": {}, "latency_ms": null, "outages": [],
        });
        let step = |name: &str, from: f64, to: f64| json!({"name": name, "started_ms": from, "ended_ms": to, "outcome": "done"});
        let run = json!({
            "schema": "seatrial/run/v1", "id": "r", "seatrial": "0", "started": "", "elapsed_ms": 1.0,
            "verdict": "passed", "reason": "", "exit_code": 0, "subject": "x",
            "provider": {"name": "sandbox", "kubernetes": "", "nodes": []}, "path": [],
            "steps": [step("start monitor", 500.0, 1000.0), step("hear monitor", 6000.0, 6100.0)],
            "noise": {"canary_clean": true, "canary_lost": 0, "lateness_p50_us": 0.0, "lateness_p99_us": 0.0, "lateness_max_us": 0.0},
            "flows": [flow], "observations": [], "findings": [], "budgets": [],
        });
        let folder = tempfile::tempdir().unwrap();
        // What was said before the step that started it had ended does not count.
        let before = "listening\n".to_owned() + &"xx drop\n".repeat(50);
        let after = before.clone() + &"xx drop\n".repeat(lines) + lost;
        for (point, text) in [("started", before), ("heard", after)] {
            std::fs::create_dir(folder.path().join(point)).unwrap();
            let said = serde_saphyr::to_string(&json!([{"node": "node1", "text": text}])).unwrap();
            std::fs::write(folder.path().join(point).join("said-monitor.yaml"), said).unwrap();
        }
        let expected =
            format!("{{name: monitor, words: xx drop, of: [{{layer: policy}}], loss: 'Lost ', {expected}}}");
        let expected: Heard = serde_saphyr::from_str(&expected).unwrap();
        expected.judge(&serde_json::from_value(run).unwrap(), folder.path())
    }

    #[rstest]
    #[case::each_has_its_line(98, "", "lossy: false", None)]
    #[case::every_loss_is_counted(60, "Lost 30 events\nLost 10 events\n", "lossy: true", None)]
    #[case::silently_lost(60, "", "lossy: false", Some("60 lines and 0 lost, but 100 probes"))]
    #[case::counted_though_nothing_may_be_lost(
        60,
        "Lost 40 events\n",
        "lossy: false",
        Some("40 are lost of 100")
    )]
    #[case::nothing_lost_though_some_must(100, "", "lossy: true", Some("0 are lost"))]
    #[case::twice(150, "", "lossy: false", Some("150 lines"))]
    #[case::says(100, "came back\n", "says: came back", None)]
    #[case::does_not_say(100, "", "says: came back", Some("has no `came back`"))]
    fn lines_and_losses_add_up(
        #[case] lines: usize,
        #[case] lost: &str,
        #[case] expected: &str,
        #[case] said: Option<&str>,
    ) {
        let wrong = judge(lines, lost, expected);
        assert_eq!(wrong.is_empty(), said.is_none(), "{wrong:?}");
        assert!(said.is_none_or(|said| wrong.iter().any(|line| line.contains(said))), "{wrong:?}");
    }

    #[test]
    fn what_was_never_started_was_not_heard() {
        let wrong = read(Path::new("/nowhere"), "heard", "x").unwrap_err();
        assert!(wrong.contains("said-x.yaml"), "{wrong}");
    }
}
