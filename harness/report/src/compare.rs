//! The comparison of two runs: the flows with longer and with shorter outages.

use std::fmt::Write as _;

use model::Layer;

use crate::layout::Layout;
use crate::printable;
use crate::run::{Flow, Outage, Run};
use crate::table::{self, Column, Fit, Row};
use crate::units;

/// Why two runs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum NotComparable {
    /// The flows were probed differently, so that equal durations mean different outages.
    #[error(
        "the runs probed their flows in different ways ({} and {}); compare runs of the same seatrial with the same \
         number of nodes",
        printable::line(before),
        printable::line(after)
    )]
    Probing {
        /// Fingerprint of the first run.
        before: String,
        /// Fingerprint of the second run.
        after: String,
    },
    /// A run has no samples, or its record does not describe how the flows were probed.
    #[error("the record of run {} has no fingerprint of its probing; record it again", printable::line(.0))]
    Unknown(String),
}

/// How the worst outage of a flow changed from one run to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is longer, even at the bounds.
    Longer,
    /// It is shorter, even at the bounds.
    Shorter,
    /// The bounds overlap.
    Same,
}

/// Two runs that probed the same flows in the same way.
#[derive(Debug)]
pub struct Comparison<'a> {
    before: &'a Run,
    after: &'a Run,
    flows: Vec<(Change, &'a Flow, &'a Flow)>,
}

impl<'a> Comparison<'a> {
    /// Compares two runs flow by flow.
    ///
    /// # Errors
    /// Fails when they were probed in different ways, or when a record has no fingerprint of its probing.
    pub fn of(before: &'a Run, after: &'a Run) -> Result<Self, NotComparable> {
        if let Some(run) = [before, after].into_iter().find(|run| run.probing.is_empty()) {
            return Err(NotComparable::Unknown(run.id.clone()));
        }
        if before.probing != after.probing {
            let (before, after) = (before.probing.clone(), after.probing.clone());
            return Err(NotComparable::Probing { before, after });
        }
        let pair = |flow: &'a Flow| Some((flow, after.flows.iter().find(|other| other.id == flow.id)?));
        let judged = before.flows.iter().filter(|flow| flow.layer != Layer::Canary);
        let mut flows: Vec<_> =
            judged.filter_map(pair).map(|(before, after)| (change(before, after), before, after)).collect();
        flows.sort_by_key(|(change, ..)| *change);
        Ok(Self { before, after, flows })
    }

    /// Counts the flows with this change.
    #[must_use]
    pub fn count(&self, which: Change) -> usize {
        self.flows.iter().filter(|(change, ..)| *change == which).count()
    }

    /// Renders the comparison, ending in a newline; flows without any outage in both runs are left out.
    #[must_use]
    pub fn render(&self, layout: &Layout<'_>) -> String {
        let (before, after) = (printable::line(&self.before.id), printable::line(&self.after.id));
        let columns = [
            Column { title: "change", number: false, fit: Fit::Always },
            Column { title: "flow", number: false, fit: Fit::Key },
            Column { title: "layer", number: false, fit: Fit::Drop(1) },
            Column { title: &before, number: false, fit: Fit::Note },
            Column { title: &after, number: false, fit: Fit::Note },
        ];
        let with_outages = self
            .flows
            .iter()
            .filter(|(_, before, after)| !(before.outages.is_empty() && after.outages.is_empty()));
        let rows: Vec<Row> =
            with_outages.map(|(change, before, after)| row(*change, before, after)).collect();
        let mut out = String::new();
        if !rows.is_empty() {
            out = table::render(&columns, &rows, " → ", layout) + "\n\n";
        }
        let counted = format!(
            "{} with longer outages, {} with shorter ones, {} without a change beyond the bounds",
            units::plural(self.count(Change::Longer), "flow"),
            self.count(Change::Shorter),
            self.count(Change::Same),
        );
        // Writing to a String cannot fail.
        writeln!(out, "{}", layout.paragraph("", 2, &counted)).ok();
        out
    }
}

fn row(change: Change, before: &Flow, after: &Flow) -> Row {
    let mark = match change {
        Change::Longer => "longer",
        Change::Shorter => "shorter",
        Change::Same => "",
    };
    let cells = [mark.to_owned(), before.id.clone(), before.layer.to_string(), worst(before), worst(after)];
    Row { cells: cells.iter().map(|cell| printable::line(cell)).collect(), colour: None }
}

fn worst(flow: &Flow) -> String {
    flow.worst().map_or_else(
        || "none".to_owned(),
        |outage| format!("{} {}", flow.class_of(outage), outage.duration()),
    )
}

/// A difference inside the bounds is no change.
fn change(before: &Flow, after: &Flow) -> Change {
    let bounds = |flow: &Flow| {
        let least = flow.outages.iter().map(|outage| outage.min_ms).fold(0.0, f64::max);
        (least, flow.worst().map_or(0.0, Outage::upper_bound))
    };
    let ((least_before, most_before), (least_after, most_after)) = (bounds(before), bounds(after));
    if least_after > most_before {
        Change::Longer
    } else if least_before > most_after {
        Change::Shorter
    } else {
        Change::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const WIDE: Layout<'_> = Layout { width: Some(120), colour: false, verbose: false, report: None };

    fn probed() -> Run {
        Run { id: "before".into(), probing: "0123456789ab".into(), ..fixture::clean() }
    }

    fn after(change: impl FnOnce(&mut Run)) -> Run {
        let mut run = Run { id: "after".into(), ..probed() };
        change(&mut run);
        run
    }

    fn out(run: &mut Run) -> &mut Outage {
        let flow = run.flows.iter_mut().find(|flow| !flow.outages.is_empty()).unwrap();
        &mut flow.outages[0]
    }

    #[test]
    fn runs_with_different_probing_are_refused() {
        let (before, other) = (probed(), after(|run| run.probing = "ba9876543210".into()));
        let message = Comparison::of(&before, &other).unwrap_err().to_string();
        assert!(message.contains("0123456789ab and ba9876543210"), "{message}");
        let unknown = after(|run| run.probing.clear());
        let message = Comparison::of(&before, &unknown).unwrap_err().to_string();
        assert!(message.contains("run after has no fingerprint"), "{message}");
    }

    #[test]
    fn a_run_equals_itself() {
        let (before, after) = (probed(), after(|_| ()));
        let same = Comparison::of(&before, &after).unwrap();
        assert_eq!((same.count(Change::Longer), same.count(Change::Shorter)), (0, 0));
        assert!(same.count(Change::Same) > 20);
    }

    #[test]
    fn an_outage_is_longer_only_beyond_the_bounds() {
        let mut before = probed();
        let bounds = out(&mut before).clone();
        let most = bounds.max_ms.unwrap();
        let within =
            after(|run| *out(run) = Outage { min_ms: most, max_ms: Some(most + 5.0), ..bounds.clone() });
        assert_eq!(Comparison::of(&before, &within).unwrap().count(Change::Longer), 0);
        let beyond = after(|run| {
            *out(run) = Outage { min_ms: most + 1.0, max_ms: Some(most + 5.0), ..bounds.clone() }
        });
        assert_eq!(Comparison::of(&before, &beyond).unwrap().count(Change::Longer), 1);
        assert_eq!(Comparison::of(&beyond, &before).unwrap().count(Change::Shorter), 1);
        let text = Comparison::of(&before, &beyond).unwrap().render(&WIDE);
        assert!(text.lines().any(|line| line.starts_with("longer  packet-udp/cross-node")), "{text}");
        assert!(
            text.ends_with(
                "1 flow with longer outages, 0 with shorter ones, 22 without a change beyond the bounds\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn eighty_columns() {
        let mut before = probed();
        before.flows.truncate(6);
        before.flows[2].id = "packet-udp/cross-node/pod-ip/no-policy/1450-bytes".into();
        let mut after = Run { id: "after".into(), ..before.clone() };
        *out(&mut after) = Outage { min_ms: 60.0, max_ms: Some(80.0), ..out(&mut before).clone() };
        let layout = Layout { width: Some(80), ..WIDE };
        insta::assert_snapshot!(Comparison::of(&before, &after).unwrap().render(&layout), @"
        change  flow
        ──────────────────────────────────────────────────────────
        longer  packet-udp/cross-node/pod-ip/no-policy/1450-bytes
                  lost 0–20 ms → lost 60–80 ms

        1 flow with longer outages, 0 with shorter ones, 5 without a change beyond the
          bounds
        ");
    }
}
