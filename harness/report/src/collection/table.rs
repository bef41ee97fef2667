//! Several runs as a table for a terminal.

use super::{Recorded, tally};
use crate::layout::Layout;
use crate::table::{self, Column, Fit, Row};
use crate::units;

const COLUMNS: [Column<'static>; 5] = [
    Column { title: "run", number: false, fit: Fit::Key },
    Column { title: "outcome", number: false, fit: Fit::Always },
    Column { title: "duration", number: true, fit: Fit::Always },
    Column { title: "name", number: false, fit: Fit::Note },
    Column { title: "reason", number: false, fit: Fit::Note },
];

/// Renders the runs in the given order, ending in a newline.
#[must_use]
pub fn render(runs: &[Recorded], layout: &Layout<'_>) -> String {
    let rows: Vec<Row> = runs.iter().map(|run| row(&run.printable())).collect();
    let tally = format!("{}: {}", units::plural(runs.len(), "run"), tally(runs));
    if rows.is_empty() {
        return tally + "\n";
    }
    format!("{}\n{tally}\n", table::render(&COLUMNS, &rows, ": ", layout))
}

fn row(run: &Recorded) -> Row {
    let duration = units::duration(run.run.elapsed_ms);
    let cells = vec![run.run.id.clone(), run.outcome(), duration, run.name(), run.reasons().join("; ")];
    Row { cells, colour: None }
}

#[cfg(test)]
mod tests {
    use super::super::tests::several;
    use super::*;

    #[test]
    fn eighty_columns() {
        let layout = Layout { width: Some(80), colour: false, verbose: false, report: None };
        insta::assert_snapshot!(render(&several(), &layout), @"
        run                                                   outcome          duration
        ────────────────────────────────────────────────────────────────────────────────
        r1                                                    passed            68.91 s
          1.5.13 → 1.6.12 → 1.5.13: all 25 flows stayed
          inside their budgets; HTTP clients had to
          reconnect, as documented
        r2                                                    as expected       68.91 s
          kvstore-keys/skipped: deny-tcp/cross-node/pod-ip
          was answered 3 times: denied traffic passed for
          40–80 ms
        r3                                                    errored           33.12 s
          1.5.13 → 1.6.12 → 1.5.13: the cluster did not come
          up: node2 was not Ready within 30 s
        r4                                                    not as expected   68.91 s
          kvstore-keys/skipped: not found: L4 held;
          deny-tcp/cross-node/pod-ip had an outage that is
          policy
        4 runs: 1 failed, 1 not judged, 2 passed
        ");
    }

    #[test]
    fn without_a_terminal_a_run_is_a_line() {
        let layout = Layout { width: None, colour: false, verbose: false, report: None };
        insta::assert_snapshot!(render(&several(), &layout), @"
        run  outcome          duration  name                      reason
        ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
        r1   passed            68.91 s  1.5.13 → 1.6.12 → 1.5.13  all 25 flows stayed inside their budgets; HTTP clients had to reconnect, as documented
        r2   as expected       68.91 s  kvstore-keys/skipped      deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed for 40–80 ms
        r3   errored           33.12 s  1.5.13 → 1.6.12 → 1.5.13  the cluster did not come up: node2 was not Ready within 30 s
        r4   not as expected   68.91 s  kvstore-keys/skipped      not found: L4 held; deny-tcp/cross-node/pod-ip had an outage that is policy
        4 runs: 1 failed, 1 not judged, 2 passed
        ");
    }
}
