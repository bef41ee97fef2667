//! Progress for a person: a live step list on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, Observation, What};
use crate::run::Outcome;
use crate::units;

/// Shows events while the run goes on.
///
/// A broken output never stops a run: what cannot be shown is dropped.
#[derive(Debug)]
pub struct Console {
    display: Display,
    /// When each step that is going on started, ms.
    started: BTreeMap<String, f64>,
}

enum Display {
    Live { screen: MultiProgress, bars: BTreeMap<String, ProgressBar> },
    Plain(Box<dyn Write + Send>),
}

impl Console {
    /// Shows on stderr: live if it is a terminal, plain otherwise.
    pub fn stderr() -> Self {
        if io::stderr().is_terminal() {
            Self::live(ProgressDrawTarget::stderr())
        } else {
            Self::plain(io::stderr())
        }
    }

    /// Writes plain lines, each with the seconds since the run started.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self::new(Display::Plain(Box::new(out)))
    }

    fn live(target: ProgressDrawTarget) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        Self::new(Display::Live { screen, bars: BTreeMap::new() })
    }

    fn new(display: Display) -> Self {
        Self { display, started: BTreeMap::new() }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted { id, folder, .. } => self.line(event.at_ms, &format!("run {id} in {folder}")),
            What::StepStarted { step } => self.step_started(event.at_ms, step),
            What::Progress { step, message } => self.progress(event.at_ms, step, message),
            What::StepEnded { step, outcome, detail } => {
                self.step_ended(event.at_ms, step, *outcome, detail.as_deref());
            }
            What::Observed(seen) if is_notable(seen) => self.line(event.at_ms, &observed(seen)),
            What::Observed(_) => {}
            What::RunEnded { verdict, exit_code } => {
                self.run_ended(event.at_ms, &verdict.to_string(), *exit_code);
            }
        }
    }

    fn step_started(&mut self, at_ms: f64, step: &str) {
        self.started.insert(step.to_owned(), at_ms);
        match &mut self.display {
            Display::Live { screen, bars } => {
                let bar = screen.add(ProgressBar::new_spinner().with_style(spinner()));
                bar.set_prefix(step.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
                bars.insert(step.to_owned(), bar);
            }
            Display::Plain(_) => self.line(at_ms, &format!("  {step}")),
        }
    }

    fn progress(&mut self, at_ms: f64, step: &str, message: &str) {
        match &self.display {
            Display::Live { bars, .. } => {
                if let Some(bar) = bars.get(step) {
                    bar.set_message(message.to_owned());
                }
            }
            Display::Plain(_) => self.line(at_ms, &format!("    {message}")),
        }
    }

    fn step_ended(&mut self, at_ms: f64, step: &str, outcome: Outcome, detail: Option<&str>) {
        let mark = match outcome {
            Outcome::Done => style("✓").green(),
            Outcome::Failed => style("✗").red(),
            Outcome::Skipped => style("–").dim(),
            Outcome::Interrupted => style("■").yellow(),
        };
        let took = self.started.remove(step).map(|start| format!(" ({})", units::duration(at_ms - start)));
        let word = if outcome == Outcome::Done { String::new() } else { format!(" {outcome}") };
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        if let Display::Live { bars, .. } = &mut self.display
            && let Some(bar) = bars.remove(step)
        {
            bar.finish_and_clear();
        }
        let mark = mark.for_stderr().force_styling(self.is_live());
        self.line(at_ms, &format!("{mark} {step}{word}{}{detail}", took.unwrap_or_default()));
    }

    fn run_ended(&mut self, at_ms: f64, verdict: &str, exit_code: u8) {
        if let Display::Live { screen, bars } = &mut self.display {
            bars.clear();
            screen.clear().ok();
        } else {
            self.line(at_ms, &format!("run {verdict}, exit code {exit_code}"));
        }
    }

    fn line(&mut self, at_ms: f64, text: &str) {
        match &mut self.display {
            Display::Live { screen, .. } => screen.println(text).ok(),
            Display::Plain(out) => writeln!(out, "{:>9.3}  {text}", at_ms / 1000.0).ok(),
        };
    }

    fn is_live(&self) -> bool {
        matches!(self.display, Display::Live { .. })
    }
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live { .. } => "Live",
            Self::Plain(_) => "Plain",
        })
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {prefix} {elapsed:.dim} {wide_msg:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

/// What a person wants to see while a run goes on; the rest is in the report.
fn is_notable(seen: &Observation) -> bool {
    match seen.role.as_str() {
        "agent" => matches!(seen.change.as_str(), "terminated" | "ready"),
        "node" => seen.change == "not-ready",
        _ => false,
    }
}

fn observed(seen: &Observation) -> String {
    let node = seen.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    let detail = seen.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    format!("    {} {}{node}{detail}", seen.role, seen.change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Verdict;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn events() -> Vec<Event> {
        let agent = |change: &str, detail: Option<&str>| {
            What::Observed(Observation {
                node: Some("node1".into()),
                role: "agent".into(),
                object: "pod kube-system/agent-x7x2p".into(),
                change: change.into(),
                detail: detail.map(Into::into),
            })
        };
        let started = |step: &str| What::StepStarted { step: step.into() };
        let ended = |step: &str, outcome, detail: &str| What::StepEnded {
            step: step.into(),
            outcome,
            detail: Some(detail.into()),
        };
        let progress =
            |step: &str, message: &str| What::Progress { step: step.into(), message: message.into() };
        [
            (0.4, What::RunStarted { id: "r1".into(), command: vec![], folder: "runs/r1".into() }),
            (1.0, started("cluster up")),
            (1_204.0, progress("cluster up", "node2: containerd is up")),
            (3_641.0, ended("cluster up", Outcome::Done, "2 nodes Ready")),
            (3_650.0, started("upgrade 1.5.13 -> 1.6.12")),
            (4_020.0, agent("deleted", None)),
            (4_204.0, agent("terminated", Some("exit code 0"))),
            (5_010.0, agent("started", None)),
            (5_574.0, agent("ready", None)),
            (9_000.0, ended("upgrade 1.5.13 -> 1.6.12", Outcome::Failed, "1 of 2 agents updated after 5 s")),
            (9_001.0, What::RunEnded { verdict: Verdict::Errored, exit_code: 3 }),
        ]
        .map(|(at_ms, what)| Event { at_ms, what })
        .into()
    }

    #[test]
    fn plain_lines_tell_the_run() {
        let out = Shared::default();
        let mut console = Console::plain(out.clone());
        events().iter().for_each(|event| console.show(event));
        insta::assert_snapshot!(String::from_utf8(out.0.lock().unwrap().clone()).unwrap(), @"
        0.000  run r1 in runs/r1
        0.001    cluster up
        1.204      node2: containerd is up
        3.641  ✓ cluster up (3.64 s): 2 nodes Ready
        3.650    upgrade 1.5.13 -> 1.6.12
        4.204      agent terminated on node1 (exit code 0)
        5.574      agent ready on node1
        9.000  ✗ upgrade 1.5.13 -> 1.6.12 failed (5.35 s): 1 of 2 agents updated after 5 s
        9.001  run errored, exit code 3
        ");
    }

    #[test]
    fn the_live_list_shows_the_step_that_goes_on_and_keeps_the_ended() {
        let screen = indicatif::InMemoryTerm::new(12, 80);
        let mut console = Console::live(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        for event in &events()[..3] {
            console.show(event);
        }
        assert!(screen.contents().contains("cluster up 0s node2: containerd is up"), "{}", screen.contents());
        for event in &events()[3..] {
            console.show(event);
        }
        insta::assert_snapshot!(screen.contents(), @"
        run r1 in runs/r1
        ✓ cluster up (3.64 s): 2 nodes Ready
            agent terminated on node1 (exit code 0)
            agent ready on node1
        ✗ upgrade 1.5.13 -> 1.6.12 failed (5.35 s): 1 of 2 agents updated after 5 s
        ");
    }

    #[test]
    fn a_closed_output_does_not_stop_the_run() {
        let mut console = Console::plain(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        events().iter().for_each(|event| console.show(event));
    }
}
