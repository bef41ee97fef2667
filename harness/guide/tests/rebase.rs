//! Random ConfigMaps in every shape people write: a rebase changes the planned keys and not one byte more.

#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on should panic")]

mod shapes;

use std::collections::{BTreeMap, BTreeSet};

use guide::ConfigMap;
use guide::rebase::{Class, RebaseError, Request, rebase};
use model::Version;
use proptest::prelude::*;

use shapes::{File, entries_only, file};

const VERSIONS: [&str; 6] = ["1.2.8", "1.3.8", "1.4.10", "1.5.13", "1.6.4", "1.7.16"];

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(VERSIONS.map(|text| text.parse::<Version>().unwrap()).to_vec())
}

/// Reads keys and values with another deserializer than the one under test.
fn second_reading(text: &str) -> BTreeMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Object {
        kind: Option<String>,
        data: Option<BTreeMap<String, String>>,
        items: Option<Vec<Self>>,
    }
    let documents: Vec<Object> = serde_saphyr::from_multiple(text).unwrap();
    let all = documents.into_iter().flat_map(|mut object| {
        let items = object.items.take().unwrap_or_default();
        std::iter::once(object).chain(items)
    });
    let mut maps = all.filter(|object| object.kind.as_deref() == Some("ConfigMap"));
    maps.next().and_then(|object| object.data).unwrap()
}

/// Leaves out the lines on which entries with the given keys start.
fn without(text: &str, indent: usize, keys: &BTreeSet<&str>) -> Vec<String> {
    let mut kept = Vec::new();
    for line in text.split('\n') {
        let bare = line.trim_start_matches(' ');
        let at_indent = line.len() - bare.len() == indent;
        let name = bare.split_once(':').map(|(name, _)| name.trim_matches(['"', '\'']));
        if !(at_indent && name.is_some_and(|name| keys.contains(name))) {
            kept.push(line.trim_end_matches('\r').to_owned());
        }
    }
    kept
}

proptest! {
    #[test]
    fn changes_planned_keys_and_nothing_else(
        file in file(),
        from in version(),
        to in version(),
        adopt in prop::collection::btree_set(prop::sample::select(vec!["monitor-aggregation".to_owned(), "tunnel".to_owned()]), 0..2),
    ) {
        let text = file.text();
        let before = file.data();
        let read = ConfigMap::read(&text);
        prop_assert!(read.is_ok(), "unreadable: {}\n{}", read.unwrap_err(), text);
        let read: BTreeMap<_, _> = read.unwrap().data().into_iter().map(owned).collect();
        prop_assert_eq!(&read, &before, "misread:\n{}", text);

        let request = Request { from: &from, to: &to, template: None, adopt, comments: false };
        let rebased = rebase(&text, &request);
        if matches!(rebased, Err(RebaseError::Empty { .. })) {
            prop_assert!(before.keys().all(|key| key != "debug" && key != "etcd-config"), "debug and etcd-config always stay");
            return Ok(());
        }
        prop_assert!(rebased.is_ok(), "refused: {}\n{}", rebased.unwrap_err(), text);
        let rebased = rebased.unwrap();

        let mut expected = before.clone();
        let (mut touched, mut renamed, mut removed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for decision in rebased.decisions.iter().filter(|decision| decision.is_change()) {
            let old = decision.old_key.as_deref().unwrap_or(&decision.key);
            touched.extend([old, decision.key.as_str()]);
            if decision.after.is_none() {
                removed.insert(old);
            }
            if decision.before == decision.after {
                renamed.insert(old);
            }
            expected.remove(old);
        }
        for decision in rebased.decisions.iter().filter(|decision| decision.is_change()) {
            if let Some(after) = &decision.after {
                expected.insert(decision.key.clone(), after.clone());
            }
        }
        // That deserializer gives every block scalar a line end.
        let line_ends_matter = rebased.text.ends_with('\n');
        let meaning = |data: BTreeMap<String, String>| -> BTreeMap<String, String> {
            let trim = |value: String| if line_ends_matter { value } else { value.trim_end_matches('\n').to_owned() };
            data.into_iter().map(|(key, value)| (key, trim(value))).collect()
        };
        prop_assert_eq!(meaning(second_reading(&rebased.text)), meaning(expected), "meaning:\n{}\n{}", text, rebased.text);

        let line_ends = rebased.text.matches('\n').count();
        prop_assert_eq!(rebased.text.matches("\r\n").count(), if file.is_crlf() { line_ends } else { 0 });
        let kept = file.without(&touched, &renamed, &removed);
        let mut left = without(&rebased.text, file.indent(), &touched);
        // The one exception: a block scalar that comes to stand last may need a line end that the text had not.
        if !text.ends_with('\n') && rebased.text.ends_with('\n') && left.len() == kept.len() + 1 {
            left.pop();
        }
        prop_assert_eq!(left, kept, "bytes:\n{}\n{}", text, rebased.text);
    }

    #[test]
    fn there_and_back_is_a_fixed_point(file in file(), steps in prop::sample::select(vec![("1.5.13", "1.6.4"), ("1.4.10", "1.5.13"), ("1.3.8", "1.4.10")])) {
        let (low, high) = (steps.0.parse::<Version>().unwrap(), steps.1.parse::<Version>().unwrap());
        let go = |text: &str, from: &Version, to: &Version| {
            let request = Request { from, to, template: None, adopt: BTreeSet::new(), comments: false };
            rebase(text, &request).map(|rebased| rebased.text)
        };
        let there_and_back = |text: &str| go(&go(text, &low, &high)?, &high, &low);
        let once = there_and_back(&file.text());
        if matches!(once, Err(RebaseError::Empty { .. })) {
            return Ok(());
        }
        prop_assert!(once.is_ok(), "{:?}", once);
        let once = once.unwrap();
        prop_assert_eq!(there_and_back(&once).unwrap(), once);
    }

    #[test]
    fn a_second_rebase_finds_nothing_to_do(file in file()) {
        let to: Version = "1.6.4".parse().unwrap();
        let from: Version = "1.5.13".parse().unwrap();
        let go = |text: &str, from: &Version| {
            rebase(text, &Request { from, to: &to, template: None, adopt: BTreeSet::new(), comments: false }).unwrap()
        };
        let first = go(&file.text(), &from);
        let second = go(&first.text, &to);
        let open = second.decisions.iter().filter(|decision| decision.is_change() && decision.class != Class::Added);
        prop_assert_eq!(open.count(), 0);
    }

    /// What Kubernetes would refuse is an error with the place, and never a guess.
    #[test]
    fn duplicates_and_other_types_are_errors(
        entries in entries_only(),
        bad in prop::sample::select(vec!["true", "12", "1.5", "null", "~", "yes", "0x1f", "[a]", "{a: b}", "12:30", "1_000"]),
        at in any::<prop::sample::Index>(),
        duplicate in any::<bool>(),
    ) {
        let file = File::manifest(entries);
        let text = file.text();
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        let starts = file.entry_lines();
        let line = starts[at.index(starts.len())];
        let key = if duplicate { file.key_at(line) } else { "bad".to_owned() };
        let value = if duplicate { "\"x\"" } else { bad };
        let mut broken: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        broken.insert(line, format!("  {key}: {value}\n"));
        let error = ConfigMap::read(&broken.concat()).unwrap_err();
        let expected = line + 1;
        // Of two equal keys the second one is reported.
        prop_assert!(if duplicate { error.position.line > expected } else { error.position.line == expected }, "{}", error);
        prop_assert!(error.message.contains(&key), "{}", error);
    }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
