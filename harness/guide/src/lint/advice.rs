//! Computes how to get under a limit of prefix lengths without changing which addresses match.

use std::collections::BTreeSet;

use crate::policy::Cidr;

/// More prefixes than this are no help to anyone.
const MOST_PREFIXES: u64 = 4096;

/// How many changes a text names one by one.
const MOST_NAMED: usize = 4;

/// A change that keeps the set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write both halves as their parent.
    Merge(Cidr, Cidr),
    /// Write a prefix as its parts of a longer length.
    Split(Cidr, u8),
}

/// One prefix of one list.
struct Item<L> {
    list: L,
    cidr: Cidr,
    /// Length its parts have by now.
    length: u8,
}

/// Returns the changes that bring the unique lengths to a limit, each time the one that adds fewest prefixes.
pub(super) fn advise<L: Ord>(
    prefixes: impl Iterator<Item = (L, Cidr)>,
    always: &BTreeSet<u8>,
    max: usize,
) -> Option<Vec<Step>> {
    let unique: BTreeSet<_> = prefixes.collect();
    let mut items: Vec<_> =
        unique.into_iter().map(|(list, cidr)| Item { list, cidr, length: cidr.length }).collect();
    let mut steps = Vec::new();
    loop {
        let lengths: BTreeSet<u8> =
            always.iter().copied().chain(items.iter().map(|item| item.length)).collect();
        if lengths.len() <= max {
            break;
        }
        let removable = lengths.iter().copied().filter(|length| !always.contains(length));
        if let Some(length) =
            removable.clone().find(|length| lengths.contains(&(length - 1)) && pairs(&items, *length))
        {
            merge(&mut items, length, &mut steps);
            continue;
        }
        let candidates = removable.filter_map(|length| {
            let into = lengths.range(length + 1..).next().copied()?;
            Some((cost(&items, length, into)?, length, into))
        });
        let (_, length, into) = candidates.min()?;
        items.iter_mut().filter(|item| item.length == length).for_each(|item| item.length = into);
    }
    let splits = items.iter().filter(|item| item.length != item.cidr.length);
    steps.extend(splits.map(|item| Step::Split(item.cidr, item.length)));
    steps.dedup();
    Some(steps)
}

/// Tells whether every prefix of a length is there with its other half in the same list.
fn pairs<L: Ord>(items: &[Item<L>], length: u8) -> bool {
    let of_length: BTreeSet<_> =
        items.iter().filter(|item| item.length == length).map(|item| (&item.list, item.cidr)).collect();
    of_length.iter().all(|(list, cidr)| {
        let whole = cidr.length == length;
        whole && cidr.sibling().is_some_and(|sibling| of_length.contains(&(*list, sibling)))
    })
}

fn merge<L: Ord>(items: &mut Vec<Item<L>>, length: u8, steps: &mut Vec<Step>) {
    for item in items.iter_mut().filter(|item| item.length == length) {
        let (Some(parent), Some(sibling)) = (item.cidr.parent(), item.cidr.sibling()) else { continue };
        if item.cidr < sibling {
            steps.push(Step::Merge(item.cidr, sibling));
        }
        item.length = parent.length;
        item.cidr = parent;
    }
    items.sort_by(|a, b| (&a.list, a.cidr).cmp(&(&b.list, b.cidr)));
    items.dedup_by(|a, b| a.list == b.list && a.cidr == b.cidr && a.length == b.length);
}

/// Returns how many prefixes a length costs when its prefixes are split.
fn cost<L>(items: &[Item<L>], length: u8, into: u8) -> Option<u64> {
    let parts = |item: &Item<L>| 1_u64.checked_shl(u32::from(into - item.cidr.length)).unwrap_or(u64::MAX);
    let affected = items.iter().filter(|item| item.length == length);
    let cost = affected.map(parts).fold(0, u64::saturating_add);
    (cost <= MOST_PREFIXES).then_some(cost)
}

/// Describes changes in one sentence.
pub(super) fn describe(steps: &[Step]) -> String {
    let named: Vec<_> = steps.iter().take(MOST_NAMED).map(describe_one).collect();
    match steps.len().saturating_sub(MOST_NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more like these", named.join("; ")),
    }
}

fn describe_one(step: &Step) -> String {
    match step {
        Step::Merge(low, high) => match low.parent() {
            Some(parent) => format!("merge {low} and {high} into {parent}"),
            None => format!("merge {low} and {high}"),
        },
        Step::Split(cidr, into) => {
            let parts = 1_u64 << (into - cidr.length);
            format!("split {cidr} into its {parts} /{into} prefixes")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const ALWAYS: [u8; 3] = [0, 8, 32];

    fn always() -> BTreeSet<u8> {
        ALWAYS.into()
    }

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn merges_before_it_splits() {
        let prefixes = ["10.0.0.0/16", "10.0.0.0/17", "10.0.128.0/17"].map(|text| ((), cidr(text)));
        let steps = advise(prefixes.into_iter(), &always(), 4).unwrap();
        assert_eq!(describe(&steps), "merge 10.0.0.0/17 and 10.0.128.0/17 into 10.0.0.0/16");
    }

    #[test]
    fn does_not_merge_across_lists() {
        let prefixes = [(1, "10.0.0.0/16"), (1, "10.0.0.0/17"), (2, "10.0.128.0/17")];
        let steps =
            advise(prefixes.into_iter().map(|(list, text)| (list, cidr(text))), &always(), 4).unwrap();
        assert_eq!(describe(&steps), "split 10.0.0.0/16 into its 2 /17 prefixes");
    }

    #[test]
    fn gives_up_when_splitting_would_explode() {
        let prefixes = [((), cidr("10.0.0.0/9"))];
        assert_eq!(advise(prefixes.into_iter(), &always(), 3), None);
    }

    proptest! {
        /// Advice that is followed gets under the limit and keeps the addresses.
        #[test]
        fn followed_advice_holds(
            prefixes in prop::collection::vec((0..3_u8, 12..=32_u8, 0..4_u8), 1..12),
            max in 4..10_usize,
        ) {
            let parse = |(top, length, list): (u8, u8, u8)| (list, cidr(&format!("10.0.{}.0/{length}", top * 64)));
            let prefixes: Vec<_> = prefixes.into_iter().map(parse).collect();
            let Some(steps) = advise(prefixes.iter().copied(), &always(), max) else { return Ok(()) };
            let mut lengths = always();
            let splits: BTreeMap<_, _> = steps.iter().filter_map(|step| match step {
                Step::Split(cidr, into) => Some((*cidr, *into)),
                Step::Merge(..) => None,
            }).collect();
            let merged: BTreeMap<_, _> = steps.iter().filter_map(|step| match step {
                Step::Merge(low, high) => Some([(*low, low.parent()?), (*high, low.parent()?)]),
                Step::Split(..) => None,
            }).flatten().collect();
            for (_, cidr) in &prefixes {
                let mut at = *cidr;
                while let Some(parent) = merged.get(&at) {
                    prop_assert!(parent.contains(&at));
                    at = *parent;
                }
                let length = splits.get(&at).copied().unwrap_or(at.length);
                prop_assert!(length >= at.length);
                lengths.insert(length);
            }
            prop_assert!(lengths.len() <= max, "{lengths:?} after {steps:?}");
        }
    }
}
