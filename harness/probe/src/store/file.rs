//! Sample files: text while samples arrive, compressed columns afterwards.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::columns;
use super::record::Record;
use crate::flow::FlowSpec;
use crate::sample::{FlowSamples, Sample};
use crate::wire::{self, Encoded};

const TEXT: &str = "seatrial-samples/1 ";
const COLUMNS: &str = "seatrial-samples/2 ";

#[derive(Serialize, Deserialize)]
struct Header {
    start_ns: u64,
    flow: FlowSpec,
}

/// Returns the name of a flow's sample file.
#[must_use]
pub fn file_name(flow: &str) -> String {
    format!("{}.samples", flow.replace('/', "."))
}

/// Creates the text file of a flow.
pub(super) fn create(folder: &Path, flow: &FlowSpec, start_ns: u64) -> Result<File, StoreError> {
    let path = folder.join(file_name(&flow.id));
    let header = Header { start_ns, flow: flow.clone() };
    let write = || {
        let mut file = File::create(&path)?;
        let header = serde_json::to_string(&header)?;
        file.write_all(format!("{TEXT}{header}\n").as_bytes())?;
        Ok(file)
    };
    write().map_err(|source| StoreError::Io { doing: "write", path: path.clone(), source })
}

/// Appends one line of samples to a text file.
pub(super) fn append(
    file: &mut File,
    flow: &str,
    batch: u64,
    planned: u32,
    samples: &[Sample],
) -> Result<(), StoreError> {
    let line = format!("{batch} {planned} {}\n", Encoded(samples));
    file.write_all(line.as_bytes()).map_err(|source| StoreError::Io {
        doing: "write samples of flow",
        path: file_name(flow).into(),
        source,
    })
}

/// Replaces the text file of a flow by columns, atomically.
pub(super) fn write_columns(folder: &Path, samples: &FlowSamples) -> Result<(), StoreError> {
    let path = folder.join(file_name(&samples.flow.id));
    let header = Header { start_ns: samples.start_ns, flow: samples.flow.clone() };
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{COLUMNS}{}", serde_json::to_string(&header)?)?;
        file.write_all(&columns::encode(&samples.samples)?)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|source| StoreError::Io { doing: "write", path: path.clone(), source })
}

/// Reads the samples of one flow from its file.
///
/// # Errors
///
/// When the file cannot be read or has another format.
pub fn read(path: &Path) -> Result<FlowSamples, StoreError> {
    let bytes =
        fs::read(path).map_err(|source| StoreError::Io { doing: "read", path: path.to_owned(), source })?;
    let samples =
        if bytes.starts_with(COLUMNS.as_bytes()) { read_columns(&bytes) } else { read_text(&bytes) };
    samples.ok_or_else(|| StoreError::Format(path.to_owned()))
}

fn read_columns(bytes: &[u8]) -> Option<FlowSamples> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&bytes[..end]).ok()?.strip_prefix(COLUMNS)?;
    let Header { start_ns, flow } = serde_json::from_str(header).ok()?;
    let samples = columns::decode(&bytes[end + 1..], start_ns, flow.period_ns)?;
    Some(FlowSamples { flow, start_ns, samples, fault: None })
}

fn read_text(bytes: &[u8]) -> Option<FlowSamples> {
    let text = std::str::from_utf8(bytes).ok()?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines();
    let header = lines.next()?.strip_prefix(TEXT)?;
    let Header { start_ns, flow } = serde_json::from_str(header).ok()?;
    let mut record = Record::new(flow, start_ns);
    for line in lines {
        let mut words = line.splitn(3, ' ').skip(1);
        let planned = words.next()?.parse().ok()?;
        record.extend(planned, wire::decode(words.next().unwrap_or(""), start_ns, record.flow.period_ns)?);
    }
    record.until_ns = record.proven_until_ns();
    Some(record.complete(record.until_ns + 1, None))
}
