//! Progress on the console: a live list of steps on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use console::{StyledObject, Term, style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::{Change, Role};

use crate::event::{Event, Observation, What};
use crate::layout::wrap;
use crate::printable;
use crate::run::Outcome;
use crate::units;

/// Columns of the time at the beginning of a line.
const TIME: usize = 13;

/// Shows events during the run.
///
/// A broken output never stops a run: what cannot be shown is dropped.
#[derive(Debug)]
pub struct Console {
    display: Display,
    /// The start of each step in progress, ms.
    started: BTreeMap<String, f64>,
}

enum Display {
    Live { screen: MultiProgress, bars: BTreeMap<String, ProgressBar>, width: usize },
    Plain(Box<dyn Write + Send>),
}

impl Console {
    /// Shows on stderr: live if it is a terminal, plain otherwise.
    pub fn stderr() -> Self {
        if io::stderr().is_terminal() {
            let width = Term::stderr().size_checked().map_or(80, |(_, columns)| columns.into());
            Self::live(ProgressDrawTarget::stderr(), width)
        } else {
            Self::plain(io::stderr())
        }
    }

    /// Writes plain lines.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self::new(Display::Plain(Box::new(out)))
    }

    fn live(target: ProgressDrawTarget, width: usize) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        Self::new(Display::Live { screen, bars: BTreeMap::new(), width })
    }

    fn new(display: Display) -> Self {
        Self { display, started: BTreeMap::new() }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        let at_ms = event.at_ms;
        match &event.what {
            What::RunStarted { id, folder, .. } => self.line(at_ms, None, &format!("run {id} in {folder}")),
            What::StepStarted { step } => self.step_started(at_ms, step),
            What::Progress { step, message } => self.progress(at_ms, step, message),
            What::StepEnded { step, outcome, detail } => {
                self.step_ended(at_ms, step, *outcome, detail.as_deref());
            }
            What::Observed(seen) if is_notable(seen) => self.line(at_ms, None, &observed(seen)),
            What::Observed(_) => {}
            What::RunEnded { verdict, exit_code } => {
                self.run_ended(at_ms, &format!("run {verdict}, exit code {exit_code}"));
            }
        }
    }

    fn step_started(&mut self, at_ms: f64, step: &str) {
        self.started.insert(step.to_owned(), at_ms);
        match &mut self.display {
            Display::Live { screen, bars, .. } => {
                let bar = screen.add(ProgressBar::new_spinner().with_style(spinner()));
                bar.set_prefix(printable::line(step));
                bar.enable_steady_tick(Duration::from_millis(100));
                bars.insert(step.to_owned(), bar);
            }
            Display::Plain(_) => self.line(at_ms, None, &format!("  {step}")),
        }
    }

    fn progress(&mut self, at_ms: f64, step: &str, message: &str) {
        match &self.display {
            Display::Live { bars, .. } => {
                if let Some(bar) = bars.get(step) {
                    bar.set_message(printable::line(message));
                }
            }
            Display::Plain(_) => self.line(at_ms, None, &format!("    {message}")),
        }
    }

    fn step_ended(&mut self, at_ms: f64, step: &str, outcome: Outcome, detail: Option<&str>) {
        let mark = match outcome {
            Outcome::Done => style("✓").green(),
            Outcome::Failed => style("✗").red(),
            Outcome::Interrupted => style("■").yellow(),
        };
        let started = self.started.remove(step);
        let duration = started.map(|start| format!(" ({})", units::duration(at_ms - start)));
        let word = if outcome == Outcome::Done { String::new() } else { format!(" {outcome}") };
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        if let Display::Live { bars, .. } = &mut self.display
            && let Some(bar) = bars.remove(step)
        {
            bar.finish_and_clear();
        }
        let text = format!("{step}{word}{}{detail}", duration.unwrap_or_default());
        self.line(at_ms, Some(mark), &text);
    }

    fn run_ended(&mut self, at_ms: f64, text: &str) {
        if let Display::Live { screen, bars, .. } = &mut self.display {
            bars.clear();
            screen.clear().ok();
        } else {
            self.line(at_ms, None, text);
        }
    }

    /// Writes a line; text that comes from elsewhere stays on it.
    fn line(&mut self, at_ms: f64, mark: Option<StyledObject<&str>>, text: &str) {
        let is_live = matches!(self.display, Display::Live { .. });
        let mark = mark.map(|mark| mark.for_stderr().force_styling(is_live).to_string() + " ");
        let first = format!("{:>9.3} s  {}", at_ms / 1000.0, mark.unwrap_or_default());
        let text = printable::line(text);
        match &mut self.display {
            Display::Live { screen, width, .. } => screen.println(wrap(&first, TIME + 2, &text, *width)).ok(),
            Display::Plain(out) => writeln!(out, "{first}{text}").ok(),
        };
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

/// Whether an observation is shown during the run; the others are in the report.
fn is_notable(seen: &Observation) -> bool {
    match seen.role {
        Role::Agent => matches!(seen.change, Change::Terminated | Change::Ready),
        Role::Node => seen.change == Change::NotReady,
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
        let agent = |change: Change, detail: Option<&str>| {
            What::Observed(Observation {
                node: Some("node1".into()),
                role: Role::Agent,
                object: "pod kube-system/agent-x7x2p".into(),
                change,
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
            (4_020.0, agent(Change::Deleted, None)),
            (4_204.0, agent(Change::Terminated, Some("exit code 0"))),
            (5_010.0, agent(Change::Started, None)),
            (5_574.0, agent(Change::Ready, None)),
            (9_000.0, ended("upgrade 1.5.13 -> 1.6.12", Outcome::Failed, "1 of 2 agents updated after 5 s")),
            (9_001.0, What::RunEnded { verdict: Verdict::Errored, exit_code: 3 }),
        ]
        .map(|(at_ms, what)| Event { at_ms, what })
        .into()
    }

    fn plain(events: &[Event]) -> String {
        let out = Shared::default();
        let mut console = Console::plain(out.clone());
        events.iter().for_each(|event| console.show(event));
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn without_a_terminal_each_event_is_a_line() {
        insta::assert_snapshot!(plain(&events()), @"
        0.000 s  run r1 in runs/r1
        0.001 s    cluster up
        1.204 s      node2: containerd is up
        3.641 s  ✓ cluster up (3.64 s): 2 nodes Ready
        3.650 s    upgrade 1.5.13 -> 1.6.12
        4.204 s      agent terminated on node1 (exit code 0)
        5.574 s      agent ready on node1
        9.000 s  ✗ upgrade 1.5.13 -> 1.6.12 failed (5.35 s): 1 of 2 agents updated after 5 s
        9.001 s  run errored, exit code 3
        ");
    }

    #[test]
    fn the_live_list_shows_the_step_in_progress_and_keeps_the_ended_ones() {
        let screen = indicatif::InMemoryTerm::new(12, 80);
        let mut console = Console::live(ProgressDrawTarget::term_like(Box::new(screen.clone())), 80);
        for event in &events()[..3] {
            console.show(event);
        }
        assert!(screen.contents().contains("cluster up 0s node2: containerd is up"), "{}", screen.contents());
        for event in &events()[3..] {
            console.show(event);
        }
        insta::assert_snapshot!(screen.contents(), @"
        0.000 s  run r1 in runs/r1
        3.641 s  ✓ cluster up (3.64 s): 2 nodes Ready
        4.204 s      agent terminated on node1 (exit code 0)
        5.574 s      agent ready on node1
        9.000 s  ✗ upgrade 1.5.13 -> 1.6.12 failed (5.35 s): 1 of 2 agents updated
                   after 5 s
        ");
    }

    #[test]
    fn text_from_elsewhere_stays_on_its_line() {
        let message = "\u{1b}[2Jfake\n    9.000 s  ✓ verify".to_owned();
        let event = Event { at_ms: 1.0, what: What::Progress { step: "s".into(), message } };
        assert_eq!(plain(&[event]), "    0.001 s      \\u{1b}[2Jfake     9.000 s  ✓ verify\n");
    }

    #[test]
    fn a_closed_output_does_not_stop_the_run() {
        let mut console = Console::plain(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        events().iter().for_each(|event| console.show(event));
    }
}
