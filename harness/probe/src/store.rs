//! Where samples are kept: in memory for the analysis, and on disk as they arrive.
//!
//! One file a flow, `<flow id with "/" as ".">.samples`. While samples arrive it is text, format version 1,
//! to which nothing is added but whole lines; when all are there it becomes compressed columns, version 2
//! (see [`columns`]), in one step. Both can be read. Version 1:
//!
//! ```text
//! seatrial-samples/1 {"start_ns":…,"flow":{…}}
//! <batch> <planned> <samples>
//! ```
//!
//! `planned` is how many probes have fallen due so far; samples are in the form of the prober's batches.
//! Each line is written whole; a last line without its end is a crash's and is passed over.

mod columns;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::flow::FlowSpec;
use crate::sample::{Class, FlowSamples, Sample};
use crate::wire::{self, Encoded, Line, Part, Start};

const FORMAT: &str = "seatrial-samples/1 ";
const FORMAT_COLUMNS: &str = "seatrial-samples/2 ";

/// A flow that was good for so long flows, ns.
const STEADY_NS: u64 = 500_000_000;

/// A record that ends longer than this before the end of the measurement is incomplete, ns.
const SILENCE_NS: u64 = 1_500_000_000;

/// Why samples cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be written or read.
    #[error("cannot {doing} {}; is the disk full?", path.display())]
    Io {
        /// What was tried.
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
    /// The last thing that it printed besides samples: why it could not go on.
    said: Option<String>,
}

/// What is known of one flow.
struct Lane {
    flow: FlowSpec,
    start_ns: u64,
    file: Option<File>,
    planned: u32,
    samples: Vec<Sample>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    start_ns: u64,
    flow: FlowSpec,
}

impl Store {
    /// Makes the folder and a place for each flow.
    pub(crate) fn create(
        folder: &Path,
        flows: impl IntoIterator<Item = FlowSpec>,
    ) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|source| StoreError::Io {
            doing: "create",
            path: folder.to_owned(),
            source,
        })?;
        let lane = |flow| Lane { flow, start_ns: 0, file: None, planned: 0, samples: Vec::new() };
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

    /// Takes a line that a prober printed; a batch that was seen before is passed over.
    pub(crate) fn take(&self, prober: &str, text: &str) {
        let mut inner = self.lock();
        let state = inner.probers.entry(prober.to_owned()).or_default();
        match wire::parse_line(text, &state.starts) {
            Ok(Some(Line::Start(starts))) => inner.start(prober, starts, &self.folder),
            Ok(Some(Line::Batch { number, parts })) => inner.batch(prober, number, parts),
            Ok(None) => state.said = Some(text.to_owned()),
            Err(error) => drop(state.fault.get_or_insert(error.to_string())),
        }
        drop(inner);
        self.version.send_modify(|version| *version += 1);
    }

    /// Says whether what became of every probe due before `until_ns` is known.
    pub(crate) fn is_decided(&self, until_ns: u64) -> bool {
        self.lock().lanes.iter().all(|lane| lane.is_decided(until_ns))
    }

    /// Returns, for each flow whose newest samples are not all good, what its newest was.
    ///
    /// The newest are as many as fall due in half a second, at least one and at most `most`.
    pub(crate) fn unsteady(&self, most: usize) -> Vec<(String, Option<Class>)> {
        let inner = self.lock();
        let unsteady = inner.lanes.iter().filter(|lane| {
            let in_time = STEADY_NS / lane.flow.period_ns.max(1);
            let count = usize::try_from(in_time).unwrap_or(most).clamp(1, most);
            let newest = lane.samples.iter().rev().take(count);
            newest.filter(|sample| lane.flow.is_good(sample.class)).count() < count
        });
        unsteady.map(|lane| (lane.flow.id.clone(), lane.samples.last().map(|sample| sample.class))).collect()
    }

    /// Returns what probers printed besides samples, each with its name.
    pub(crate) fn said(&self) -> Vec<String> {
        let inner = self.lock();
        let said =
            |(name, prober): (&String, &Prober)| Some(format!("{name} says: {}", prober.said.as_ref()?));
        inner.probers.iter().filter_map(said).collect()
    }

    /// Returns everything recorded so far, complete up to `until_ns`, and the first failure to write it;
    /// what is on disk becomes columns, and nothing is added to it any more.
    pub(crate) fn samples(&self, until_ns: u64) -> (Vec<FlowSamples>, Option<StoreError>) {
        let mut inner = self.lock();
        let samples: Vec<_> = inner
            .lanes
            .iter()
            .map(|lane| {
                let prober = inner.probers.get(&lane.flow.client.pod);
                let fault = prober.and_then(|prober| prober.fault.clone());
                lane.complete(until_ns, fault)
            })
            .collect();
        for (index, flow) in samples.iter().enumerate() {
            // What could not be opened or written has failed before.
            if inner.lanes[index].file.take().is_some()
                && let Err(error) = write_columns(&self.folder, flow)
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
            let Some(index) = self.lanes.iter().position(|lane| lane.flow.id == start.flow) else {
                state.fault = Some(format!("prober {prober} has a flow of its own: {}", start.flow));
                return;
            };
            state.lanes.push(index);
            let lane = &mut self.lanes[index];
            lane.start_ns = start.start_ns;
            if let Err(error) = lane.open(folder) {
                self.failure.get_or_insert(error);
            }
        }
        state.starts = starts;
    }

    fn batch(&mut self, prober: &str, number: u64, parts: Vec<Part>) {
        let state = self.probers.entry(prober.to_owned()).or_default();
        if number < state.next_batch {
            return;
        }
        if number > state.next_batch {
            let missing = format!("{}", number - state.next_batch);
            state.fault = Some(format!("{missing} batches of prober {prober} never arrived"));
        }
        state.next_batch = number + 1;
        for part in parts {
            let Some(&index) = state.lanes.get(part.flow) else { continue };
            if let Err(error) = self.lanes[index].append(number, part) {
                self.failure.get_or_insert(error);
            }
        }
    }
}

impl Lane {
    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(file_name(&self.flow.id))
    }

    fn open(&mut self, folder: &Path) -> Result<(), StoreError> {
        let path = self.path(folder);
        let header = Header { start_ns: self.start_ns, flow: self.flow.clone() };
        let write = || {
            let mut file = File::create(&path)?;
            let header = serde_json::to_string(&header)?;
            file.write_all(format!("{FORMAT}{header}\n").as_bytes())?;
            Ok(file)
        };
        let file = write().map_err(|source| StoreError::Io { doing: "write", path: path.clone(), source })?;
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self, batch: u64, part: Part) -> Result<(), StoreError> {
        self.planned = self.planned.max(part.planned);
        let line = format!(
            "{batch} {} {}
",
            part.planned,
            Encoded(&part.samples)
        );
        self.samples.extend(part.samples);
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(line.as_bytes()).map_err(|source| {
            self.file = None;
            StoreError::Io { doing: "write samples of flow", path: file_name(&self.flow.id).into(), source }
        })
    }

    /// The due time of the next probe that will be planned.
    fn recorded_until(&self) -> u64 {
        self.start_ns + u64::from(self.planned) * self.flow.period_ns
    }

    /// Nothing more can come for a probe whose deadline lies before the end of the record.
    fn is_decided(&self, until_ns: u64) -> bool {
        let end_ns = self.recorded_until();
        let due = until_ns.saturating_sub(self.start_ns).div_ceil(self.flow.period_ns.max(1));
        let is_due = |sample: &&Sample| sample.due_ns < until_ns;
        let known = || self.samples.iter().filter(is_due).count() as u64 >= due;
        end_ns >= until_ns && (end_ns >= until_ns + self.flow.deadline_ns || known())
    }

    /// Orders the samples and adds those that were planned and never decided.
    ///
    /// A probe whose deadline lies before the end of the record is lost; younger ones are left out.
    fn complete(&self, until_ns: u64, fault: Option<String>) -> FlowSamples {
        let end_ns = self.recorded_until();
        let mut by_seq: BTreeMap<u32, Sample> = self.samples.iter().map(|s| (s.seq, *s)).collect();
        for seq in 0..self.planned {
            let due_ns = self.start_ns + u64::from(seq) * self.flow.period_ns;
            if due_ns + self.flow.deadline_ns < end_ns {
                by_seq.entry(seq).or_insert(Sample {
                    seq,
                    due_ns,
                    class: Class::Lost,
                    late_us: 0,
                    sent_us: None,
                    ended_us: None,
                    cut: false,
                });
            }
        }
        // What comes after the first undecided probe would leave a hole that is no outage.
        let samples: Vec<_> =
            (0..).map_while(|seq| by_seq.get(&seq).copied()).take_while(|s| s.due_ns < until_ns).collect();
        let silence_ns = until_ns.saturating_sub(end_ns);
        let fault = fault.or_else(|| match samples.is_empty() {
            true => Some("no samples at all".into()),
            false if silence_ns > SILENCE_NS => {
                let seconds = silence_ns / 1_000_000_000;
                Some(format!("its samples end {seconds} s before the measurement does"))
            }
            false => None,
        });
        FlowSamples { flow: self.flow.clone(), start_ns: self.start_ns, samples, fault }
    }
}

/// Reads what one prober printed, line by line as it comes, until it ends; keeps the samples in `folder`, and
/// returns those due before `until_ns` gives the time at the end.
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

/// Returns the name of the file of a flow.
#[must_use]
pub fn file_name(flow: &str) -> String {
    format!("{}.samples", flow.replace('/', "."))
}

/// Puts columns in the place of the text, in one step.
fn write_columns(folder: &Path, samples: &FlowSamples) -> Result<(), StoreError> {
    let path = folder.join(file_name(&samples.flow.id));
    let header = Header { start_ns: samples.start_ns, flow: samples.flow.clone() };
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{FORMAT_COLUMNS}{}", serde_json::to_string(&header)?)?;
        file.write_all(&columns::encode(&samples.samples)?)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|source| StoreError::Io { doing: "write", path: path.clone(), source })
}

fn read_columns(bytes: &[u8]) -> Option<FlowSamples> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&bytes[..end]).ok()?.strip_prefix(FORMAT_COLUMNS)?;
    let Header { start_ns, flow } = serde_json::from_str(header).ok()?;
    let samples = columns::decode(&bytes[end + 1..], start_ns, flow.period_ns)?;
    Some(FlowSamples { flow, start_ns, samples, fault: None })
}

/// Reads the samples of one flow back.
///
/// # Errors
///
/// When the file cannot be read or is of another format.
pub fn read(path: &Path) -> Result<FlowSamples, StoreError> {
    let bytes =
        fs::read(path).map_err(|source| StoreError::Io { doing: "read", path: path.to_owned(), source })?;
    let format = || StoreError::Format(path.to_owned());
    if bytes.starts_with(FORMAT_COLUMNS.as_bytes()) {
        return read_columns(&bytes).ok_or_else(format);
    }
    let text = String::from_utf8(bytes).map_err(|_| format())?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines();
    let header = lines.next().and_then(|line| line.strip_prefix(FORMAT)).ok_or_else(format)?;
    let Header { start_ns, flow } = serde_json::from_str(header).map_err(|_| format())?;
    let mut lane = Lane { flow, start_ns, file: None, planned: 0, samples: Vec::new() };
    for line in lines {
        let mut words = line.splitn(3, ' ').skip(1);
        let planned: u32 = words.next().and_then(|word| word.parse().ok()).ok_or_else(format)?;
        let samples = wire::decode(words.next().unwrap_or(""), start_ns, lane.flow.period_ns);
        lane.planned = lane.planned.max(planned);
        lane.samples.extend(samples.ok_or_else(format)?);
    }
    let until_ns = lane.recorded_until();
    Ok(lane.complete(until_ns, None))
}

#[cfg(test)]
mod tests;
