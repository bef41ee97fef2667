//! Calibrations of this machine: how exactly outages of known length are measured.

use std::path::Path;

use anyhow::Context as _;
use probe::calibration::{Accuracy, Comparison};
use report::summary::shortage;
use serde::{Deserialize, Serialize};

use crate::paths;

/// A calibration, as it is printed and kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Calibration {
    /// The schema, `seatrial/calibration/v1`.
    pub schema: String,
    /// When it was made.
    pub at: String,
    /// All comparisons in numbers.
    pub accuracy: Accuracy,
    /// Processor time that the host withheld meanwhile, ms.
    #[serde(default)]
    pub stolen_ms: Option<u64>,
    /// The share of the time in which some task waited for a processor.
    #[serde(default)]
    pub cpu_pressure: Option<f64>,
    /// Each injected outage, compared with what was measured.
    pub comparisons: Vec<Comparison>,
}

impl Calibration {
    /// Keeps it in the state folder, where the runs on this machine find it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self) -> anyhow::Result<()> {
        self.keep_in(&paths::state())
    }

    fn keep_in(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(FILE);
        let failed = || format!("cannot write {}", path.display());
        std::fs::create_dir_all(folder).with_context(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
        serde_json::to_writer_pretty(&mut file, self).with_context(failed)?;
        file.persist(&path).with_context(failed)?;
        Ok(())
    }

    /// The calibration in lines for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { accuracy: a, stolen_ms, cpu_pressure, .. } = self;
        format!(
            "injected     {} outages, {:.1} ms between two probes; injected lengths known to {:.1} ms\n\
             consistent   {} of {}\n\
             class right  {} of {}\n\
             false alarms {}\n\
             error        median {:.2} ms, 95 % {:.2} ms, worst {:.2} ms\n\
             bounds       median {:.2} ms wide, worst {:.2} ms; {} of {} no wider than two periods and 2 ms\n\
             machine      {}\n",
            a.injected,
            a.period_ms,
            a.injector_slack_median_ms,
            a.consistent,
            a.injected,
            a.class_right,
            a.injected,
            a.false_alarms,
            a.error_median_ms,
            a.error_p95_ms,
            a.error_max_ms,
            a.slack_median_ms,
            a.slack_max_ms,
            a.narrow,
            a.injected,
            shortage(stolen_ms.map(|ms| ms as f64), *cpu_pressure).unwrap_or_else(|| "unknown".to_owned()),
        )
    }
}

/// The name of the file in the state folder.
const FILE: &str = "calibration.json";

/// The last calibration on this machine, in a sentence; `None` where none can be read.
pub(crate) fn last() -> Option<String> {
    let text = std::fs::read(paths::state().join(FILE)).ok()?;
    let Calibration { at, accuracy: a, .. } = serde_json::from_slice(&text).ok()?;
    Some(format!(
        "{at}: {} of {} injected outages consistent, error {:.2} ms (median), {:.2} ms (worst), {:.1} ms \
         between two probes",
        a.consistent, a.injected, a.error_median_ms, a.error_max_ms, a.period_ms
    ))
}
