//! Entries of clusters, their locks, and what is left of a process that ended.

use std::sync::atomic::{AtomicBool, Ordering};

use rstest::rstest;
use serde_json::json;

use super::*;

/// A process that another test is starting holds copies of all locks for a moment.
const MOMENT: Duration = Duration::from_secs(5);

fn entry(id: &str) -> Entry {
    Entry::new("sandbox", id, 1)
}

fn locked(ledger: &Ledger) -> bool {
    ledger.list().unwrap().entries[0].locked
}

#[tokio::test]
async fn entry_is_locked_as_long_as_a_copy_of_the_lock_is_open() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(state.path());
    let held = ledger.enter(&entry("one")).unwrap();
    let shared = held.share_lock().unwrap();
    assert!(locked(&ledger), "the owner holds it");
    assert!(ledger.take_unlocked("one").unwrap().is_none());
    drop(held);
    assert!(locked(&ledger), "the sandbox holds its copy");
    drop(shared);
    let dead = ledger.wait_unlocked("one", MOMENT).await.expect("no process holds the lock");
    dead.unwrap().remove().unwrap();
    assert!(ledger.list().unwrap().entries.is_empty());
}

#[tokio::test]
async fn abandoned_entry_is_no_longer_kept() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(state.path());
    let kept = Entry { kept: true, ..entry("one") };
    drop(ledger.enter(&kept).unwrap());
    let abandon = async || {
        ledger.abandon(&kept).unwrap();
        if ledger.entry("one").unwrap().unwrap().kept { Err("kept".to_owned()) } else { Ok(()) }
    };
    wait::until("it to be abandoned", MOMENT, Duration::ZERO, abandon).await.unwrap();
}

#[test]
fn entry_that_is_made_or_removed_is_never_listed_as_unlocked() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(state.path());
    let (done, owner) = (AtomicBool::new(false), ledger.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..200 {
                let held = owner.enter(&entry(&n.to_string())).unwrap();
                std::fs::create_dir_all(held.folder().join("a/node")).unwrap();
                for file in 0..20 {
                    std::fs::write(held.folder().join(format!("a/node/{file}")), "").unwrap();
                }
                held.remove().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let listing = ledger.list().unwrap();
            assert!(listing.unreadable.is_empty(), "{:?}", listing.unreadable);
            for Listed { entry, locked } in listing.entries {
                assert!(locked && !entry.is_unwritten(), "{entry:?}, locked: {locked}");
            }
        }
    });
}

#[test]
fn id_is_entered_once() {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(state.path());
    let _held = ledger.enter(&entry("one")).unwrap();
    let error = ledger.enter(&entry("one")).unwrap_err();
    assert!(error.to_string().contains("clusters/one could not be created"), "{error}");
}

#[test]
fn folder_without_entry_is_listed_as_unwritten() {
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(state.path().join("clusters/two")).unwrap();
    std::fs::write(state.path().join("clusters/two/lock"), "").unwrap();
    let listing = Ledger::new(state.path()).list().unwrap();
    let Listed { entry, locked } = &listing.entries[0];
    assert_eq!((entry.id.as_str(), entry.is_unwritten(), *locked), ("two", true, false));
}

#[rstest]
#[case::empty("")]
#[case::torn("{\"id\": \"bro")]
#[case::newer(
    r#"{"id": "bad", "created": "", "provider": "sandbox", "nodes": 1, "owner": 1, "root": 1,
    "cgroup": "", "api": "", "kept": false, "new_field": 1}"#
)]
fn entry_that_cannot_be_read_is_named_and_does_not_hide_others(#[case] text: &str) {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(state.path());
    let _held = ledger.enter(&entry("good")).unwrap();
    std::fs::create_dir_all(ledger.folder("bad")).unwrap();
    std::fs::write(ledger.folder("bad").join("ledger.json"), text).unwrap();
    let listing = ledger.list().unwrap();
    assert_eq!(listing.entries.len(), 1);
    let error = listing.unreadable[0].to_string();
    assert!(error.contains("bad/ledger.json could not be parsed; it is damaged, or of a newer"), "{error}");
    assert_eq!(ledger.ids().unwrap().len(), 2);
}

#[rstest]
#[case::sandbox(json!({"id": "1", "created": "2026-01-01T00:00:00Z", "provider": "sandbox", "nodes": 2, "owner": 3,
    "root": 4, "cgroup": "seatrial-1", "api": "127.0.0.1:5", "kept": true}))]
#[case::existing(json!({"id": "1", "created": "2026-01-01T00:00:00Z", "provider": "existing", "nodes": 2, "owner": 3,
    "root": 0, "cgroup": "", "api": "", "kept": false,
    "access": {"kubeconfig": "k", "context": "lab", "namespace": "seatrial-1"}}))]
fn entries_on_disk_are_still_read_and_written_the_same(#[case] on_disk: serde_json::Value) {
    let entry: Entry = serde_json::from_value(on_disk.clone()).unwrap();
    assert_eq!(serde_json::to_value(&entry).unwrap(), on_disk);
}
