//! Samples as compressed columns, format version 2: what the text of version 1 becomes when a run ends.
//!
//! ```text
//! seatrial-samples/2 {"start_ns":…,"flow":{…}}
//! <length: u32, little endian><zlib stream> …
//! ```
//!
//! A stream holds up to 8,192 samples, in order of `seq`: a line with the words of the classes that occur,
//! then one column after the other. A column is one number a sample, each a LEB128 varint:
//!
//! 1. `seq`, less the one before, less 1;
//! 2. class and cut: the index of the class in the line, doubled, plus 1 for a cut;
//! 3. `late_us`;
//! 4. `sent_us` less `late_us`, plus 1; 0 when it was never sent;
//! 5. `ended_us` less `sent_us` (or less `late_us`), zigzag-coded, plus 1; 0 when nothing came.
//!
//! A file that was cut off is read up to its last whole stream.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use model::Class;

use crate::sample::Sample;

/// Samples in one stream.
const BLOCK: usize = 8_192;
const COLUMNS: usize = 5;

/// Writes samples, which are in order of `seq`.
pub(super) fn encode(samples: &[Sample]) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut next_seq = 0;
    for block in samples.chunks(BLOCK) {
        let mut classes: Vec<Class> = Vec::new();
        let mut columns: [Vec<u8>; COLUMNS] = Default::default();
        for sample in block {
            let class = classes.iter().position(|class| *class == sample.class).unwrap_or(classes.len());
            if class == classes.len() {
                classes.push(sample.class);
            }
            let numbers = split(sample, class as u64, next_seq);
            next_seq = sample.seq + 1;
            columns.iter_mut().zip(numbers).for_each(|(column, number)| put(column, number));
        }
        let words: Vec<_> = classes.iter().map(Class::to_string).collect();
        let mut stream = ZlibEncoder::new(Vec::new(), Compression::best());
        writeln!(stream, "{}", words.join(" "))?;
        columns.iter().try_for_each(|column| stream.write_all(column))?;
        let stream = stream.finish()?;
        file.extend(u32::try_from(stream.len()).map_err(io::Error::other)?.to_le_bytes());
        file.extend(stream);
    }
    Ok(file)
}

/// Reads samples back, up to the last whole stream; `None` when a stream does not hold samples.
pub(super) fn decode(mut file: &[u8], start_ns: u64, period_ns: u64) -> Option<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut next_seq = 0;
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((stream, rest)) = rest.split_at_checked(length) else { break };
        file = rest;
        let mut stream = BufReader::new(ZlibDecoder::new(stream));
        let (mut words, mut columns) = (String::new(), Vec::new());
        stream.read_line(&mut words).ok()?;
        stream.read_to_end(&mut columns).ok()?;
        let classes = words.split_whitespace().map(str::parse).collect::<Result<Vec<Class>, _>>().ok()?;
        let numbers = numbers(&columns)?;
        let count = numbers.len() / COLUMNS;
        if numbers.len() != count * COLUMNS {
            return None;
        }
        for index in 0..count {
            let row = std::array::from_fn(|column| numbers[column * count + index]);
            let (seq, late_us, sent_us, ended_us) = join(row, next_seq)?;
            next_seq = seq.checked_add(1)?;
            samples.push(Sample {
                seq,
                due_ns: start_ns.checked_add(u64::from(seq).checked_mul(period_ns)?)?,
                class: *classes.get(usize::try_from(row[1] / 2).ok()?)?,
                late_us,
                sent_us,
                ended_us,
                cut: row[1] % 2 == 1,
            });
        }
    }
    Some(samples)
}

fn split(sample: &Sample, class: u64, next_seq: u32) -> [u64; COLUMNS] {
    let late = i64::from(sample.late_us);
    let sent = sample.sent_us.map(i64::from);
    let took = sample.ended_us.map(|ended| i64::from(ended) - sent.unwrap_or(late));
    [
        u64::from(sample.seq - next_seq),
        class * 2 + u64::from(sample.cut),
        u64::from(sample.late_us),
        sent.map_or(0, |sent| zigzag(sent - late) + 1),
        took.map_or(0, |took| zigzag(took) + 1),
    ]
}

/// Returns `seq`, `late_us`, `sent_us` and `ended_us`.
fn join(row: [u64; COLUMNS], next_seq: u32) -> Option<(u32, u32, Option<u32>, Option<u32>)> {
    let [gap, _, late, wait, took] = row;
    let seq = next_seq.checked_add(u32::try_from(gap).ok()?)?;
    let late_us = u32::try_from(late).ok()?;
    let sent_us = after(late_us, wait)?;
    Some((seq, late_us, sent_us, after(sent_us.unwrap_or(late_us), took)?))
}

/// Reads a number that is coded relative to `base`, and may be absent; `None` when it is out of range.
fn after(base: u32, coded: u64) -> Option<Option<u32>> {
    let Some(coded) = coded.checked_sub(1) else { return Some(None) };
    let number = i64::from(base).checked_add(unzigzag(coded))?;
    u32::try_from(number).ok().map(Some)
}

fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

fn put(column: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        column.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    column.push(number as u8);
}

fn numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let (mut number, mut shift) = (0_u64, 0);
    for &byte in bytes {
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte < 0x80 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: u64 = 10_000_000;

    /// What a sample is made of, its `seq` as the gap to the one before.
    type Row = (u32, Class, u32, Option<u32>, Option<u32>, bool);

    fn any_sample() -> impl Strategy<Value = Row> {
        let class = prop_oneof![
            Just(Class::Answered),
            Just(Class::Lost),
            Just(Class::Reset),
            (100_u16..600).prop_map(Class::Http)
        ];
        let sent = prop::option::of(any::<u32>());
        (0_u32..3, class, any::<u32>(), sent, prop::option::of(any::<u32>()), any::<bool>())
    }

    fn samples(rows: Vec<Row>) -> Vec<Sample> {
        let mut next = 0;
        let sample = |(gap, class, late_us, sent_us, ended_us, cut): (u32, _, _, _, _, _)| {
            let seq = next + gap;
            next = seq + 1;
            Sample { seq, due_ns: 7 + u64::from(seq) * PERIOD, class, late_us, sent_us, ended_us, cut }
        };
        rows.into_iter().map(sample).collect()
    }

    proptest! {
        #[test]
        fn survive_the_way_there_and_back(rows in prop::collection::vec(any_sample(), 0..50)) {
            let samples = samples(rows);
            let file = encode(&samples).unwrap();
            prop_assert_eq!(decode(&file, 7, PERIOD), Some(samples));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            let _any = decode(&[&length, &bytes[..]].concat(), 7, PERIOD);
        }
    }

    /// Samples as a steady flow has them: the prober is late by some 60 µs, an answer takes some 150 µs.
    fn steady(count: u32) -> Vec<Sample> {
        let sample = |seq: u32| {
            let noise = |bits: u32, salt: u32| {
                (seq.wrapping_mul(2_654_435_761) ^ salt).wrapping_mul(40_503) >> (32 - bits)
            };
            let late_us = 40 + noise(6, 17);
            let sent_us = late_us + 3 + noise(3, 91);
            Sample {
                seq,
                due_ns: 7 + u64::from(seq) * PERIOD,
                class: Class::Answered,
                late_us,
                sent_us: Some(sent_us),
                ended_us: Some(sent_us + 90 + noise(7, 5)),
                cut: false,
            }
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn a_steady_sample_costs_at_most_three_bytes() {
        let bytes = encode(&steady(20_000)).unwrap().len();
        assert!(bytes <= 60_000, "{:.2} bytes a sample", bytes as f64 / 20_000.0);
    }

    #[test]
    fn a_file_cut_anywhere_is_read_up_to_its_last_whole_stream() {
        let samples = steady(20_000);
        let file = encode(&samples).unwrap();
        for length in (0..file.len()).step_by(997) {
            let read = decode(&file[..length], 7, PERIOD).unwrap();
            assert_eq!(read.len() % BLOCK, 0);
            assert_eq!(read, samples[..read.len()]);
        }
    }
}
