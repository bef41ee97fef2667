//! Counters of a node's kernel that explain lost traffic, and the meaning of their changes.
//!
//! A pod in the node's network namespace reads them 20 times a second. It prints a line, JSON with the prefix below, on
//! each change and at least once a second, with the counters of the processors. The harness turns changes into
//! observations, and stores the counters.

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Change, Role};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use crate::attribution::Observed;
use crate::clock::{Machine, Timer, now_ns};
use crate::processors::{self, Look, Looks};

const PREFIX: &str = "seatrial-node/1 ";
/// Time between two readings, ns.
const LOOK_NS: u64 = 50_000_000;
/// Time after which a line is printed even if nothing changed, ns.
const QUIET_NS: u64 = 1_000_000_000;
/// A table that had at least this many entries and now has less than half of them was cleared: entries time out one by
/// one.
const CLEARED_FROM: u64 = 16;

/// The counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counters {
    /// Tracked connections; absent where the kernel tracks none.
    connections: Option<u64>,
    /// The interface of the default route, and how often it has lost its carrier.
    link: Option<(String, u64)>,
}

/// A change of the counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KernelChange {
    /// The connection table was cleared.
    ConnectionsCleared { before: u64, after: u64 },
    /// An interface lost its carrier.
    LinkDown { interface: String },
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The machine on whose clock the time is.
    clock: Machine,
    at_ns: u64,
    changes: Vec<KernelChange>,
    processors: processors::Counters,
}

/// Watches the node until `stop` resolves.
pub(crate) fn run(mut out: impl Write, stop: impl Future<Output = ()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let timer = Timer::new()?;
        let mut stop = std::pin::pin!(stop);
        let (mut before, mut next_ns, mut quiet_until_ns) = (Counters::read(None), now_ns(), 0);
        loop {
            next_ns += LOOK_NS;
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                fired = timer.until(next_ns) => fired?,
            }
            let (at_ns, now) = (now_ns(), Counters::read(before.link.as_ref()));
            let changes = before.changes(&now);
            before = now;
            if !changes.is_empty() || at_ns >= quiet_until_ns {
                let (clock, processors) = (Machine::here().clone(), processors::Counters::read());
                let line = Line { clock, at_ns, changes, processors };
                writeln!(out, "{PREFIX}{}", serde_json::to_string(&line)?)?;
                out.flush()?;
                quiet_until_ns = at_ns + QUIET_NS;
            }
        }
    })
}

impl Counters {
    /// Reads the counters; one that cannot be read is absent. A known link stays the one that is read, because a link that
    /// is down has no route.
    fn read(known: Option<&(String, u64)>) -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        let default = || default_interface(&fs::read_to_string("/proc/net/route").ok()?);
        let link = known.map(|(interface, _)| interface.clone()).or_else(default).and_then(|interface| {
            let downs = number(&format!("/sys/class/net/{interface}/carrier_down_count"))?;
            Some((interface, downs))
        });
        Self { connections: number("/proc/sys/net/netfilter/nf_conntrack_count"), link }
    }

    fn changes(&self, now: &Self) -> Vec<KernelChange> {
        let mut changes = Vec::new();
        if let (Some(before), Some(after)) = (self.connections, now.connections)
            && before >= CLEARED_FROM
            && after < before / 2
        {
            changes.push(KernelChange::ConnectionsCleared { before, after });
        }
        if let (Some((interface, before)), Some((same, after))) = (&self.link, &now.link)
            && interface == same
            && before < after
        {
            changes.push(KernelChange::LinkDown { interface: interface.clone() });
        }
        changes
    }
}

/// Finds the interface of the default route in the kernel's table.
fn default_interface(table: &str) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let interface = words.next()?;
        (words.next()? == "00000000").then(|| interface.to_owned())
    })
}

/// Turns the lines of a node's watcher into observations.
pub(crate) struct Changes {
    node: String,
    seen: UnboundedSender<Observed>,
    looks: Arc<Looks>,
    last_ns: AtomicU64,
}

impl Changes {
    pub(crate) fn new(node: String, seen: UnboundedSender<Observed>, looks: Arc<Looks>) -> Self {
        Self { node, seen, looks, last_ns: AtomicU64::new(0) }
    }

    /// Takes a line; a line that came before and a line of another program are skipped.
    pub(crate) fn take(&self, line: &str) {
        let Some(json) = line.strip_prefix(PREFIX) else { return };
        let Ok(line) = serde_json::from_str::<Line>(json) else { return };
        let at_ns = line.clock.moved_to(Machine::here(), line.at_ns);
        if at_ns <= self.last_ns.fetch_max(at_ns, Ordering::Relaxed) {
            return;
        }
        self.looks.take(Look { node: self.node.clone(), at_ns, counters: line.processors });
        for change in line.changes {
            // The receiver is gone once the measurement has ended.
            let _gone = self.seen.send(self.observed(at_ns, &change));
        }
    }

    fn observed(&self, at_ns: u64, change: &KernelChange) -> Observed {
        let (role, object, change, detail) = match change {
            KernelChange::ConnectionsCleared { before, after } => {
                let detail = format!("{before} entries, then {after}");
                (Role::Conntrack, "connection table".to_owned(), Change::Cleared, Some(detail))
            }
            KernelChange::LinkDown { interface } => {
                (Role::Link, format!("interface {interface}"), Change::Down, None)
            }
        };
        Observed { at_ns, node: Some(self.node.clone()), role, object, change, detail }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn counters(connections: u64, downs: u64) -> Counters {
        Counters { connections: Some(connections), link: Some(("eth0".to_owned(), downs)) }
    }

    #[rstest]
    #[case::nothing(counters(40, 1), counters(38, 1), &[])]
    #[case::more(counters(10, 1), counters(400, 1), &[])]
    #[case::few_to_begin_with(counters(15, 1), counters(0, 1), &[])]
    #[case::cleared(counters(40, 1), counters(3, 1), &[KernelChange::ConnectionsCleared { before: 40, after: 3 }])]
    #[case::down(counters(40, 1), counters(40, 2), &[KernelChange::LinkDown { interface: "eth0".into() }])]
    #[case::unknown(Counters::default(), counters(40, 2), &[])]
    fn what_counters_mean(
        #[case] before: Counters,
        #[case] after: Counters,
        #[case] expected: &[KernelChange],
    ) {
        assert_eq!(before.changes(&after), expected);
    }

    #[test]
    fn the_default_route_names_the_interface() {
        let table = "Iface\tDestination\tGateway\tFlags\n\
                     lxc1\t0A00F40A\t00000000\t0001\n\
                     eth0\t00000000\t0100FA0A\t0003\n";
        assert_eq!(default_interface(table).as_deref(), Some("eth0"));
        assert_eq!(default_interface("Iface\tDestination\n"), None);
    }

    #[test]
    fn a_line_counts_once_and_strange_ones_do_not() {
        let (seen, mut inbox) = unbounded_channel();
        let folder = tempfile::tempdir().unwrap();
        let looks = Arc::new(Looks::create(folder.path()).unwrap());
        let changes = Changes::new("node2".into(), seen, Arc::clone(&looks));
        let change = KernelChange::ConnectionsCleared { before: 40, after: 0 };
        let line = |at_ns| {
            let processors = processors::Counters { stolen_ms: at_ns, pressure_us: None };
            let (clock, changes) = (Machine::here().clone(), vec![change.clone()]);
            let line = Line { clock, at_ns, changes, processors };
            format!("{PREFIX}{}", serde_json::to_string(&line).unwrap())
        };
        for text in [line(7), line(7), "what?".into(), format!("{PREFIX}{{"), line(9)] {
            changes.take(&text);
        }
        let seen: Vec<_> = std::iter::from_fn(|| inbox.try_recv().ok()).collect();
        assert_eq!(seen.iter().map(|seen| seen.at_ns).collect::<Vec<_>>(), [7, 9]);
        assert_eq!((seen[0].role, seen[0].change), (Role::Conntrack, Change::Cleared));
        assert_eq!(seen[0].node.as_deref(), Some("node2"));
        let looks = looks.all().0.into_iter().map(|look| (look.at_ns, look.counters.stolen_ms));
        assert_eq!(looks.collect::<Vec<_>>(), [(7, 7), (9, 9)]);
    }
}
