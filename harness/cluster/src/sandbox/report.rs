//! Reports of the processes inside a sandbox: one line of JSON each, on standard output.

use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::mpsc;

use super::spec::Report;
use crate::spawn::Daemon;

/// Sends a report to the parent process.
pub(super) fn send(report: &Report) {
    use std::io::Write as _;
    if let Ok(line) = serde_json::to_string(report) {
        // The parent may have ended; the logs have everything that is reported.
        if writeln!(std::io::stdout(), "{line}").is_err() {
            tracing::debug!(line, "the report is not read");
        }
    }
}

/// Reports progress.
pub(super) fn progress(message: impl Into<String>) {
    send(&Report::Progress { message: message.into() });
}

/// Reads the next report of a process; `None` when it has ended.
pub(super) async fn next(reports: &mut Lines<BufReader<ChildStdout>>) -> Option<Report> {
    let line = reports.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

/// Sends a message when a program ends.
pub(super) fn watch(mut daemon: Daemon, failures: mpsc::Sender<String>) {
    tokio::spawn(async move {
        let message = daemon.ended().await;
        // A closed channel means that the sandbox is ending for another reason already.
        if failures.send(message).await.is_err() {
            tracing::debug!(daemon = daemon.name, "ended while the sandbox was ending");
        }
    });
}
