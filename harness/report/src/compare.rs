//! Two runs side by side: which flows were out for longer, and which for less.

use comfy_table::{Cell, CellAlignment};

use crate::run::{Flow, Layer, Outage, Run};
use crate::summary::{self, Layout};
use crate::units;

/// Two runs that cannot be held against one another.
#[derive(Debug, thiserror::Error)]
pub enum Differ {
    /// Flows were probed in other ways, so that the same length means another outage.
    #[error(
        "the runs probed their flows in different ways ({before} and {after}); compare runs of the same seatrial with the \
         same number of nodes"
    )]
    Probing {
        /// Fingerprint of the first run.
        before: String,
        /// Fingerprint of the second.
        after: String,
    },
    /// A run has no samples, or is of a seatrial that did not say how it probed.
    #[error("run {0} does not say how its flows were probed; record it again")]
    Unknown(String),
}

/// What became of a flow from one run to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Its worst outage is longer, whatever the samples leave open.
    Longer,
    /// Its worst outage is shorter, whatever the samples leave open.
    Shorter,
    /// The brackets of both overlap: no difference can be told.
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
    /// When they were probed in different ways, or one does not say how.
    pub fn of(before: &'a Run, after: &'a Run) -> Result<Self, Differ> {
        if let Some(run) = [before, after].into_iter().find(|run| run.probing.is_empty()) {
            return Err(Differ::Unknown(run.id.clone()));
        }
        if before.probing != after.probing {
            return Err(Differ::Probing { before: before.probing.clone(), after: after.probing.clone() });
        }
        let pair = |flow: &'a Flow| Some((flow, after.flows.iter().find(|other| other.id == flow.id)?));
        let judged = before.flows.iter().filter(|flow| flow.layer != Layer::Canary);
        let mut flows: Vec<_> =
            judged.filter_map(pair).map(|(before, after)| (change(before, after), before, after)).collect();
        flows.sort_by_key(|(change, ..)| *change);
        Ok(Self { before, after, flows })
    }

    /// How many flows changed so.
    #[must_use]
    pub fn count(&self, which: Change) -> usize {
        self.flows.iter().filter(|(change, ..)| *change == which).count()
    }

    /// Renders it, ending in a newline; flows without any outage in both are left out.
    #[must_use]
    pub fn render(&self, layout: &Layout<'_>) -> String {
        let mut table = summary::plain_table(layout);
        table.set_header(["", "flow", "layer", &self.before.id, &self.after.id]);
        for (change, before, after) in &self.flows {
            if before.outages.is_empty() && after.outages.is_empty() {
                continue;
            }
            let mark = match change {
                Change::Longer => "longer",
                Change::Shorter => "shorter",
                Change::Same => "",
            };
            let cells =
                [mark.to_owned(), before.id.clone(), before.layer.to_string(), worst(before), worst(after)];
            table.add_row(cells.map(|cell| Cell::new(cell).set_alignment(CellAlignment::Left)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let (longer, shorter, same) =
            (self.count(Change::Longer), self.count(Change::Shorter), self.count(Change::Same));
        let told = format!(
            "{} out for longer, {} for less, no difference can be told of {}",
            units::plural(longer, "flow"),
            units::plural(shorter, "flow"),
            units::plural(same, "flow")
        );
        if table.row_count() == 0 { format!("{told}\n") } else { format!("{}\n\n{told}\n", table.trim_fmt()) }
    }
}

fn worst(flow: &Flow) -> String {
    flow.worst().map_or_else(String::new, |outage| format!("{} {}", flow.class_of(outage), outage.length()))
}

/// Only what the brackets leave no doubt of is a change.
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

    const WIDE: Layout<'_> = Layout { width: 120, colour: false, verbose: false, report: None };

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
    fn runs_that_were_probed_otherwise_are_refused() {
        let (before, other) = (probed(), after(|run| run.probing = "ba9876543210".into()));
        let said = Comparison::of(&before, &other).unwrap_err().to_string();
        assert!(said.contains("0123456789ab and ba9876543210"), "{said}");
        let silent = after(|run| run.probing.clear());
        assert!(Comparison::of(&before, &silent).unwrap_err().to_string().contains("run after does not say"));
    }

    #[test]
    fn a_run_is_like_itself() {
        let (before, after) = (probed(), after(|_| ()));
        let same = Comparison::of(&before, &after).unwrap();
        assert_eq!((same.count(Change::Longer), same.count(Change::Shorter)), (0, 0));
        assert!(same.count(Change::Same) > 20);
    }

    #[test]
    fn an_outage_is_longer_only_beyond_the_others_bracket() {
        let mut before = probed();
        let bracket = out(&mut before).clone();
        let most = bracket.max_ms.unwrap();
        let within =
            after(|run| *out(run) = Outage { min_ms: most, max_ms: Some(most + 5.0), ..bracket.clone() });
        assert_eq!(Comparison::of(&before, &within).unwrap().count(Change::Longer), 0);
        let beyond = after(|run| {
            *out(run) = Outage { min_ms: most + 1.0, max_ms: Some(most + 5.0), ..bracket.clone() }
        });
        assert_eq!(Comparison::of(&before, &beyond).unwrap().count(Change::Longer), 1);
        assert_eq!(Comparison::of(&beyond, &before).unwrap().count(Change::Shorter), 1);
        let text = Comparison::of(&before, &beyond).unwrap().render(&WIDE);
        assert!(text.lines().any(|line| line.starts_with("longer  packet-udp/cross-node")), "{text}");
        assert!(
            text.ends_with(
                "1 flow out for longer, 0 flows for less, no difference can be told of 22 flows\n"
            ),
            "{text}"
        );
    }
}
