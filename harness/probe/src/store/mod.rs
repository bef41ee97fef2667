//! The samples of a run: in memory for the analysis, and on disk as they arrive.
//!
//! Each flow has one file, `<flow id with "/" as ".">.samples`. While samples arrive it is text (format version 1, whole
//! lines are appended); when the measurement ends it is replaced by compressed columns (version 2, see [`columns`]) in
//! one step. Both can be read. Version 1:
//!
//! ```text
//! seatrial-samples/1 {"start_ns":…,"flow":{…}}
//! <batch> <planned> <samples>
//! ```
//!
//! `planned` is the number of probes that have fallen due; samples are written as in the prober's batches. A last line
//! without its end was cut off by a crash and is skipped.

mod columns;
mod file;
mod record;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Class;
use tokio::sync::watch;

pub use file::{file_name, read};
use record::Record;

use crate::clock::now_ns;
use crate::flow::FlowSpec;
use crate::sample::FlowSamples;
use crate::wire::{self, Line, Part, Start};

/// Why samples cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be written or read.
    #[error("cannot {doing} {}; is the disk full?", path.display())]
    Io {
        /// What failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A file is not a sample file of a version that can be read.
    #[error("{} is not a sample file of format version 1 or 2", .0.display())]
    Format(PathBuf),
}

/// The samples of a run while they arrive.
pub(crate) struct Store {
    folder: PathBuf,
    inner: Mutex<Inner>,
    version: watch::Sender<u64>,
}

/// A record that is further ahead of this machine's clock than this shows that the clocks differ: nothing arrives before it
/// is sent, ns.
const CLOCKS_APART_NS: u64 = 500_000_000;

#[derive(Default)]
struct Inner {
    lanes: Vec<Lane>,
    probers: BTreeMap<String, Prober>,
    failure: Option<StoreError>,
}

/// What is known of one prober.
#[derive(Default)]
struct Prober {
    starts: Vec<Start>,
    lanes: Vec<usize>,
    next_batch: u64,
    fault: Option<String>,
    /// The last line that it printed besides samples: the reason why it ended.
    last_output: Option<String>,
}

/// One flow: its record, and its file once the prober has started.
struct Lane {
    record: Record,
    file: Option<File>,
}

impl Store {
    /// Creates the folder and an empty record for each flow.
    pub(crate) fn create(
        folder: &Path,
        flows: impl IntoIterator<Item = FlowSpec>,
    ) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|source| StoreError::Io {
            doing: "create",
            path: folder.to_owned(),
            source,
        })?;
        let lane = |flow| Lane { record: Record::new(flow, 0), file: None };
        let lanes = flows.into_iter().map(lane).collect();
        Ok(Self {
            folder: folder.to_owned(),
            inner: Mutex::new(Inner { lanes, ..Inner::default() }),
            version: watch::Sender::new(0),
        })
    }

    /// Returns a receiver that changes whenever samples arrive.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Takes a line that a prober printed; a batch that came before is skipped.
    pub(crate) fn take(&self, prober: &str, text: &str) {
        let mut inner = self.lock();
        let state = inner.probers.entry(prober.to_owned()).or_default();
        match wire::parse_line(text, &state.starts) {
            Ok(Some(Line::Start(starts))) => inner.start(prober, starts, &self.folder),
            Ok(Some(Line::Batch { number, until_ns, parts })) => inner.batch(prober, number, until_ns, parts),
            Ok(None) => state.last_output = Some(text.to_owned()),
            Err(error) => drop(state.fault.get_or_insert(error.to_string())),
        }
        drop(inner);
        self.version.send_modify(|version| *version += 1);
    }

    /// Returns whether the result of every probe due before `until_ns` is known.
    pub(crate) fn is_decided(&self, until_ns: u64) -> bool {
        self.lock().lanes.iter().all(|lane| lane.record.is_decided(until_ns))
    }

    /// Returns each flow whose newest samples are not all good, with the class of its newest sample.
    ///
    /// The newest samples are as many as fall due in half a second, at least one and at most `most`.
    pub(crate) fn unsteady(&self, most: usize) -> Vec<(String, Option<Class>)> {
        let inner = self.lock();
        let records = inner.lanes.iter().map(|lane| &lane.record);
        let unsteady = records.filter(|record| !record.is_steady(most));
        unsteady.map(|it| (it.flow.id.clone(), it.samples.last().map(|sample| sample.class))).collect()
    }

    /// Returns the last line that each prober printed besides samples, with the prober's name.
    pub(crate) fn last_output(&self) -> Vec<String> {
        let inner = self.lock();
        let line =
            |(name, prober): (&String, &Prober)| Some(format!("{name}: {}", prober.last_output.as_ref()?));
        inner.probers.iter().filter_map(line).collect()
    }

    /// Returns everything recorded so far, complete up to `until_ns`, and the first failure to write it.
    ///
    /// The files become columns, and nothing is appended to them any more.
    pub(crate) fn samples(&self, until_ns: u64) -> (Vec<FlowSamples>, Option<StoreError>) {
        let mut inner = self.lock();
        let samples: Vec<_> = inner
            .lanes
            .iter()
            .map(|lane| {
                let prober = inner.probers.get(&lane.record.flow.client.pod);
                let fault = prober.and_then(|prober| prober.fault.clone());
                lane.record.complete(until_ns, fault)
            })
            .collect();
        for (index, flow) in samples.iter().enumerate() {
            // A file that could not be opened or written has failed before.
            if inner.lanes[index].file.take().is_some()
                && let Err(error) = file::write_columns(&self.folder, flow)
            {
                inner.failure.get_or_insert(error);
            }
        }
        (samples, inner.failure.take())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn start(&mut self, prober: &str, starts: Vec<Start>, folder: &Path) {
        let state = self.probers.entry(prober.to_owned()).or_default();
        if !state.starts.is_empty() {
            if state.starts != starts {
                state.fault = Some(format!("prober {prober} was restarted while it measured"));
            }
            return;
        }
        for start in &starts {
            let Some(index) = self.lanes.iter().position(|lane| lane.record.flow.id == start.flow) else {
                state.fault =
                    Some(format!("prober {prober} probes a flow that was not planned: {}", start.flow));
                return;
            };
            state.lanes.push(index);
            let lane = &mut self.lanes[index];
            lane.record.start_ns = start.start_ns;
            match file::create(folder, &lane.record.flow, start.start_ns) {
                Ok(file) => lane.file = Some(file),
                Err(error) => drop(self.failure.get_or_insert(error)),
            }
        }
        state.starts = starts;
    }

    fn batch(&mut self, prober: &str, number: u64, until_ns: Option<u64>, parts: Vec<Part>) {
        let state = self.probers.entry(prober.to_owned()).or_default();
        if number < state.next_batch {
            return;
        }
        if number > state.next_batch {
            let missing = number - state.next_batch;
            state.fault = Some(format!("{missing} batches of prober {prober} never arrived"));
        }
        state.next_batch = number + 1;
        for part in parts {
            let Some(&index) = state.lanes.get(part.flow) else { continue };
            if let Err(error) = self.lanes[index].append(number, part) {
                self.failure.get_or_insert(error);
            }
        }
        if let Some(until_ns) = until_ns {
            let ahead_ns = until_ns.saturating_sub(now_ns());
            if ahead_ns > CLOCKS_APART_NS {
                let seconds = ahead_ns as f64 / 1e9;
                state.fault.get_or_insert(format!(
                    "the clock of its node is {seconds:.1} s ahead of this machine's; synchronize both, for example with NTP"
                ));
            }
            for &index in &state.lanes {
                let record = &mut self.lanes[index].record;
                record.until_ns = record.until_ns.max(until_ns);
            }
        }
    }
}

impl Lane {
    fn append(&mut self, batch: u64, part: Part) -> Result<(), StoreError> {
        let written = match &mut self.file {
            Some(file) => file::append(file, &self.record.flow.id, batch, part.planned, &part.samples),
            None => Ok(()),
        };
        self.record.extend(part.planned, part.samples);
        written.inspect_err(|_| self.file = None)
    }
}

/// Reads the output of one prober, line by line as it arrives, until it ends; stores the samples in `folder`, and
/// returns those due before the time that `until_ns` returns at the end.
///
/// # Errors
///
/// When a line cannot be read, or the folder cannot be written.
pub fn read_prober(
    flows: Vec<FlowSpec>,
    lines: impl BufRead,
    folder: &Path,
    until_ns: impl FnOnce() -> u64,
) -> Result<Vec<FlowSamples>, StoreError> {
    let prober = flows.first().map(|flow| flow.client.pod.clone()).unwrap_or_default();
    let store = Store::create(folder, flows)?;
    for line in lines.lines() {
        let line = line.map_err(|source| StoreError::Io {
            doing: "read the prober of",
            path: folder.to_owned(),
            source,
        })?;
        store.take(&prober, &line);
    }
    let (samples, failure) = store.samples(until_ns());
    failure.map_or(Ok(samples), Err)
}

#[cfg(test)]
mod tests;
