//! What is kept, what is lost in a crash, and what can be read again.

use model::{Class, Kind, Layer, Protocol};

use super::*;
use crate::clock::now_ns;
use crate::flow::tests::flow;
use crate::sample::Sample;

const PERIOD: u64 = 10_000_000;

fn answered(seq: u32) -> Sample {
    Sample {
        seq,
        due_ns: 1_000 + u64::from(seq) * PERIOD,
        class: Class::Answered,
        late_us: 80,
        sent_us: Some(80),
        ended_us: Some(300),
        cut: false,
    }
}

fn store(folder: &Path) -> (Store, FlowSpec) {
    let flow = flow(Kind::Packet, Protocol::Udp, Layer::L3);
    let store = Store::create(folder, [flow.clone()]).unwrap();
    let start = Start { flow: flow.id.clone(), start_ns: 1_000, period_ns: PERIOD };
    store.take("client-1", wire::start_line(&[start]).trim_end());
    (store, flow)
}

/// A batch that completes the record up to the due time of the next probe.
fn batch(number: u64, planned: u32, samples: Vec<Sample>) -> String {
    batch_until(number, u64::from(planned) * PERIOD, planned, samples)
}

fn batch_until(number: u64, elapsed_ns: u64, planned: u32, samples: Vec<Sample>) -> String {
    wire::batch_lines(number, elapsed_ns, &[Part { flow: 0, planned, samples }]).0.concat()
}

#[test]
fn a_batch_seen_twice_counts_once_and_disk_equals_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (store, flow) = store(folder.path());
    for number in [0, 1, 0, 1, 2] {
        let first = u32::try_from(number).unwrap() * 10;
        store.take(
            "client-1",
            batch(number, first + 10, (first..first + 10).map(answered).collect()).trim_end(),
        );
    }
    let (memory, failure) = store.samples(1_000 + 30 * PERIOD);
    assert!(failure.is_none());
    assert_eq!(memory[0].samples, (0..30).map(answered).collect::<Vec<_>>());
    assert_eq!(memory[0].fault, None);
    assert_eq!(read(&folder.path().join(file_name(&flow.id))).unwrap(), memory[0]);
}

#[test]
fn probes_that_were_never_decided_are_lost_once_their_deadline_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    // 100 planned, 5 answered: with a deadline of 20 periods and a look at answers every period, 5..79 are lost.
    store.take("client-1", batch(0, 100, (0..5).map(answered).collect()).trim_end());
    let (samples, _) = store.samples(u64::MAX);
    let classes: Vec<_> = samples[0].samples.iter().map(|sample| sample.class).collect();
    assert_eq!(classes.len(), 79);
    assert!(classes[..5].iter().all(|class| *class == Class::Answered));
    assert!(classes[5..].iter().all(|class| *class == Class::Lost));
}

#[test]
fn silence_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    assert_eq!(store.samples(5_000_000_000).0[0].fault.as_deref(), Some("no samples at all"));
    store.take("client-1", batch(0, 10, (0..10).map(answered).collect()).trim_end());
    let fault = store.samples(5_000_000_000).0[0].fault.clone().unwrap();
    assert!(fault.contains("end 4 s before"), "{fault}");
}

#[test]
fn a_lost_batch_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    store.take("client-1", batch(3, 10, (0..10).map(answered).collect()).trim_end());
    assert!(store.samples(1_000 + 10 * PERIOD).0[0].fault.as_deref().unwrap().contains("3 batches"));
}

#[test]
fn a_file_cut_anywhere_is_read_up_to_its_last_whole_line() {
    let folder = tempfile::tempdir().unwrap();
    let (store, flow) = store(folder.path());
    for number in 0..4u32 {
        let samples = (number * 10..number * 10 + 10).map(answered).collect();
        store.take("client-1", batch(number.into(), number * 10 + 10, samples).trim_end());
    }
    let path = folder.path().join(file_name(&flow.id));
    let whole = fs::read(&path).unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let cut_path = folder.path().join("cut");
    for length in header..=whole.len() {
        fs::write(&cut_path, &whole[..length]).unwrap();
        let samples = read(&cut_path).unwrap().samples;
        assert_eq!(samples.len() % 10, 0);
        assert!(samples.iter().all(|sample| sample.class == Class::Answered));
    }
}

#[test]
fn unsteady_flows_are_named_with_their_last_class() {
    let folder = tempfile::tempdir().unwrap();
    let (store, flow) = store(folder.path());
    assert_eq!(store.unsteady(3), [(flow.id.clone(), None)]);
    let refused = Sample { class: Class::Refused, ..answered(0) };
    store.take("client-1", batch(0, 1, vec![refused]).trim_end());
    assert_eq!(store.unsteady(3), [(flow.id, Some(Class::Refused))]);
    store.take("client-1", batch(1, 4, (1..4).map(answered).collect()).trim_end());
    assert_eq!(store.unsteady(3), []);
}

#[test]
fn a_slow_flow_is_steady_after_one_good_sample() {
    let folder = tempfile::tempdir().unwrap();
    let rare = FlowSpec { period_ns: 1_000_000_000, ..flow(Kind::Packet, Protocol::Udp, Layer::L3) };
    let store = Store::create(folder.path(), [rare.clone()]).unwrap();
    let start = Start { flow: rare.id.clone(), start_ns: 1_000, period_ns: rare.period_ns };
    store.take("client-1", wire::start_line(&[start]).trim_end());
    assert_eq!(store.unsteady(10), [(rare.id, None)]);
    store.take("client-1", batch(0, 1, vec![answered(0)]).trim_end());
    assert_eq!(store.unsteady(10), []);
}

#[test]
fn the_last_output_of_a_prober_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    assert!(store.last_output().is_empty());
    store.take("client-1", "the prober cannot open an ICMP socket");
    assert_eq!(store.last_output(), ["client-1: the prober cannot open an ICMP socket"]);
}

#[test]
fn decided_is_what_is_known_and_what_can_not_come_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let until = 1_000 + 10 * PERIOD;
    assert!(!store.is_decided(until), "nothing is known");
    store.take("client-1", batch(0, 10, (0..9).map(answered).collect()).trim_end());
    assert!(!store.is_decided(until), "the tenth can still be answered");
    assert!(store.is_decided(until - PERIOD));
    store.take("client-1", batch(1, 30, Vec::new()).trim_end());
    assert!(!store.is_decided(until), "its deadline is 20 periods, and the prober looks once a period");
    store.take("client-1", batch(2, 31, Vec::new()).trim_end());
    assert!(store.is_decided(until));
}

/// The suite's first false alarm: with a period of 6 s, counting probes put the end of the record 6 s ahead of the clock.
#[test]
fn a_new_pod_is_not_lost_before_its_deadline() {
    const S: u64 = 1_000_000_000;
    let folder = tempfile::tempdir().unwrap();
    let base = flow(Kind::Pod, Protocol::Tcp, Layer::Control);
    let pods = FlowSpec { period_ns: 6 * S, slow_ns: 5 * S, deadline_ns: 10 * S, ..base };
    let store = Store::create(folder.path(), [pods.clone()]).unwrap();
    let start = Start { flow: pods.id.clone(), start_ns: 1_000, period_ns: pods.period_ns };
    store.take("client-1", wire::start_line(&[start]).trim_end());
    let first = Sample { ended_us: Some(2_000_000), ..answered(0) };
    store.take("client-1", batch_until(0, 6 * S, 1, vec![first]).trim_end());
    // The second pod was due at 6 s. At 12.1 s the third one is due, and the second one still has 3.9 s.
    store.take("client-1", batch_until(1, 12 * S + S / 10, 3, Vec::new()).trim_end());
    assert!(!store.is_decided(1_000 + 12 * S));
    let (samples, _) = store.samples(1_000 + 12 * S);
    assert_eq!(samples[0].samples, [first]);
    assert_eq!(samples[0].fault, None);
    // Nothing was planned for it until 17.1 s, when its deadline had passed and the prober had looked again.
    store.take("client-1", batch_until(2, 17 * S + S / 10, 3, Vec::new()).trim_end());
    assert!(store.is_decided(1_000 + 12 * S));
    let (samples, _) = store.samples(1_000 + 12 * S);
    assert_eq!(
        samples[0].samples.iter().map(|it| it.class).collect::<Vec<_>>(),
        [Class::Answered, Class::Lost]
    );
}

#[test]
fn the_record_of_a_slow_flow_ends_with_the_last_batch_and_not_with_the_next_probe() {
    let folder = tempfile::tempdir().unwrap();
    let rare = FlowSpec { period_ns: 6_000_000_000, ..flow(Kind::Packet, Protocol::Udp, Layer::L3) };
    let store = Store::create(folder.path(), [rare.clone()]).unwrap();
    let start = Start { flow: rare.id.clone(), start_ns: 1_000, period_ns: rare.period_ns };
    store.take("client-1", wire::start_line(&[start]).trim_end());
    store.take("client-1", batch_until(0, 100_000_000, 1, vec![answered(0)]).trim_end());
    let fault = store.samples(5_000_000_000).0[0].fault.clone().unwrap();
    assert!(fault.contains("end 4 s before"), "a prober that died is noticed: {fault}");
}

#[test]
fn only_the_last_line_of_a_batch_completes_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let (lines, _) = wire::batch_lines(
        0,
        100 * PERIOD,
        &[Part { flow: 0, planned: 2_000, samples: (0..2_000).map(answered).collect() }],
    );
    assert!(lines.len() > 1);
    store.take("client-1", lines[0].trim_end());
    assert!(!store.is_decided(1_000 + PERIOD));
    lines[1..].iter().for_each(|line| store.take("client-1", line.trim_end()));
    assert!(store.is_decided(1_000 + PERIOD));
}

/// Its samples would appear late, and the last ones be dropped.
#[test]
fn samples_from_the_future_are_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let ahead_ns = now_ns() + 2_500_000_000;
    store.take("client-1", batch_until(0, ahead_ns - 1_000, 1, vec![answered(0)]).trim_end());
    let (samples, _) = store.samples(now_ns());
    let fault = samples[0].fault.as_deref().unwrap();
    assert!(fault.starts_with("the clock of its node is 2.5 s ahead of this machine's"), "{fault}");
}

#[test]
fn a_clock_that_is_a_tenth_of_a_second_ahead_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let ahead_ns = now_ns() + 100_000_000;
    store.take("client-1", batch_until(0, ahead_ns - 1_000, 1, vec![answered(0)]).trim_end());
    assert_eq!(store.samples(1_000 + PERIOD).0[0].fault, None);
}
