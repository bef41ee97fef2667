//! Processor shortage of a node: time stolen by its host, and time in which tasks waited for a processor.
//!
//! The watcher of a node reads the kernel's counters. They are stored next to the samples, in one file that is written as
//! they arrive, and show how busy the machine was during the measurement.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// The file, next to the samples.
const FILE: &str = "processors.csv";
/// The unit of times in /proc, the same on all supported architectures.
const TICK_MS: u64 = 10;
const HEAD: &str = "node,at_ns,stolen_ms,pressure_us\n";

/// Counters of the kernel since the machine's boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Time stolen by the host of a virtual machine, of all processors together, ms.
    pub stolen_ms: u64,
    /// Time in which at least one task waited for a processor, µs; absent where the kernel does not count it.
    pub pressure_us: Option<u64>,
}

impl Counters {
    /// Reads the counters; one that cannot be read is absent.
    pub(crate) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let ticks = stolen_ticks(&text("/proc/stat")).unwrap_or(0);
        Self { stolen_ms: ticks * TICK_MS, pressure_us: pressure_us(&text("/proc/pressure/cpu")) }
    }
}

/// Reads the stolen time: the eighth number of the line for all processors.
fn stolen_ticks(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_ascii_whitespace().nth(7)?.parse().ok()
}

fn pressure_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// The counters of a node at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The node.
    pub node: String,
    /// The time, ns.
    pub at_ns: u64,
    /// The counters.
    pub counters: Counters,
}

/// Stores readings, in memory and in the file.
pub(crate) struct Looks(Mutex<Inner>);

struct Inner {
    file: File,
    looks: Vec<Look>,
    failure: Option<io::Error>,
}

impl Looks {
    /// Creates the file in an existing folder.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        let mut file = File::create(folder.join(FILE))?;
        file.write_all(HEAD.as_bytes())?;
        Ok(Self(Mutex::new(Inner { file, looks: Vec::new(), failure: None })))
    }

    pub(crate) fn take(&self, look: Look) {
        let mut inner = self.inner();
        if inner.failure.is_none() {
            inner.failure = inner.file.write_all(row(&look).as_bytes()).err();
        }
        inner.looks.push(look);
    }

    /// Returns all readings so far, and the error if not all of them are in the file.
    pub(crate) fn all(&self) -> (Vec<Look>, Option<io::Error>) {
        let mut inner = self.inner();
        (inner.looks.clone(), inner.failure.take())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row(look: &Look) -> String {
    let Look { node, at_ns, counters: Counters { stolen_ms, pressure_us } } = look;
    format!("{node},{at_ns},{stolen_ms},{}\n", pressure_us.map(|us| us.to_string()).unwrap_or_default())
}

/// The processor shortage of the busiest node over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shortage {
    /// Time stolen by the host, of all processors together, ms; absent when no node has two readings.
    pub stolen_ms: Option<u64>,
    /// Share of the time in which at least one task waited for a processor, 0 to 1; absent when no kernel counts it.
    pub pressure: Option<f64>,
}

impl Shortage {
    /// Compares the first and the last reading of each node in `[from_ns, to_ns]`.
    #[must_use]
    pub fn of(looks: &[Look], from_ns: u64, to_ns: u64) -> Self {
        let mut nodes: BTreeMap<&str, (&Look, &Look)> = BTreeMap::new();
        for look in looks.iter().filter(|look| (from_ns..=to_ns).contains(&look.at_ns)) {
            nodes.entry(&look.node).or_insert((look, look)).1 = look;
        }
        let mut worst = Self::default();
        for (first, last) in nodes.into_values().filter(|(first, last)| first.at_ns < last.at_ns) {
            let (before, after) = (first.counters, last.counters);
            worst.stolen_ms = worst.stolen_ms.max(Some(after.stolen_ms.saturating_sub(before.stolen_ms)));
            if let (Some(before), Some(after)) = (before.pressure_us, after.pressure_us) {
                let part = after.saturating_sub(before) as f64 * 1e3 / (last.at_ns - first.at_ns) as f64;
                worst.pressure = Some(worst.pressure.unwrap_or(0.0).max(part.min(1.0)));
            }
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(node: &str, at_s: u64, stolen_ms: u64, pressure_us: Option<u64>) -> Look {
        Look { node: node.into(), at_ns: at_s * 1_000_000_000, counters: Counters { stolen_ms, pressure_us } }
    }

    #[test]
    fn the_kernel_s_files_are_read() {
        let stat = "cpu  902100 965389 554038 994152 5501 0 69994 2219 7 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(stolen_ticks(stat), Some(2219));
        assert_eq!(stolen_ticks("cpu  1 2 3\n"), None);
        let pressure = "some avg10=0.00 avg60=3.10 avg300=9.05 total=2384923\nfull avg10=0.00 total=0\n";
        assert_eq!(pressure_us(pressure), Some(2_384_923));
        assert_eq!(pressure_us(""), None);
    }

    #[test]
    fn a_shortage_is_that_of_the_worst_node_within_the_time() {
        let looks = [
            look("node1", 0, 0, Some(0)),
            look("node1", 1, 500, Some(700_000)),
            look("node2", 1, 40, None),
            look("node1", 3, 510, Some(1_200_000)),
            look("node2", 3, 90, None),
            look("node1", 9, 900, Some(7_000_000)),
        ];
        let second = 1_000_000_000;
        let shortage = Shortage::of(&looks, second, 3 * second);
        assert_eq!(shortage, Shortage { stolen_ms: Some(50), pressure: Some(0.25) });
        assert_eq!(
            Shortage::of(&looks, 4 * second, 9 * second),
            Shortage::default(),
            "one look says nothing"
        );
    }

    #[test]
    fn looks_are_kept_in_memory_and_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let looks = Looks::create(folder.path()).unwrap();
        let told = [look("node1", 1, 40, Some(7)), look("node2", 2, 50, None)];
        told.iter().for_each(|look| looks.take(look.clone()));
        let (all, failure) = looks.all();
        assert_eq!(all, told);
        assert!(failure.is_none());
        let file = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(file, format!("{HEAD}node1,1000000000,40,7\nnode2,2000000000,50,\n"));
    }
}
