//! Computes changes that bring policies under a limit of prefix lengths and keep the addresses that match.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::policy::sibling;

/// The most prefixes that advice may add for one length.
const MOST_PREFIXES: u64 = 4096;

/// How many changes a message names one by one.
const MOST_NAMED: usize = 4;

/// A change that keeps the set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Replace two halves by their parent.
    Merge(IpNet, IpNet),
    /// Replace a prefix by its parts of a longer length.
    Split(IpNet, u8),
}

/// One prefix of one list.
struct Item<L> {
    list: L,
    cidr: IpNet,
    /// Current length of its parts.
    length: u8,
}

/// Returns the changes that bring the unique lengths to a limit; each adds as few prefixes as possible.
pub(super) fn advise<L: Ord>(
    prefixes: impl Iterator<Item = (L, IpNet)>,
    always: &BTreeSet<u8>,
    max: usize,
) -> Option<Vec<Step>> {
    let unique: BTreeSet<_> = prefixes.collect();
    let mut items: Vec<_> =
        unique.into_iter().map(|(list, cidr)| Item { list, cidr, length: cidr.prefix_len() }).collect();
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
    let splits = items.iter().filter(|item| item.length != item.cidr.prefix_len());
    steps.extend(splits.map(|item| Step::Split(item.cidr, item.length)));
    steps.dedup();
    Some(steps)
}

/// Tells whether every prefix of a length has its other half in the same list.
fn pairs<L: Ord>(items: &[Item<L>], length: u8) -> bool {
    let of_length: BTreeSet<_> =
        items.iter().filter(|item| item.length == length).map(|item| (&item.list, item.cidr)).collect();
    of_length.iter().all(|(list, cidr)| {
        let whole = cidr.prefix_len() == length;
        whole && sibling(*cidr).is_some_and(|other| of_length.contains(&(*list, other)))
    })
}

fn merge<L: Ord>(items: &mut Vec<Item<L>>, length: u8, steps: &mut Vec<Step>) {
    for item in items.iter_mut().filter(|item| item.length == length) {
        let (Some(parent), Some(other)) = (item.cidr.supernet(), sibling(item.cidr)) else { continue };
        if item.cidr < other {
            steps.push(Step::Merge(item.cidr, other));
        }
        item.length = parent.prefix_len();
        item.cidr = parent;
    }
    items.sort_by(|a, b| (&a.list, a.cidr).cmp(&(&b.list, b.cidr)));
    items.dedup_by(|a, b| a.list == b.list && a.cidr == b.cidr && a.length == b.length);
}

/// Returns the number of prefixes that splitting a length produces.
fn cost<L>(items: &[Item<L>], length: u8, into: u8) -> Option<u64> {
    let parts =
        |item: &Item<L>| 1_u64.checked_shl(u32::from(into - item.cidr.prefix_len())).unwrap_or(u64::MAX);
    let affected = items.iter().filter(|item| item.length == length);
    let cost = affected.map(parts).fold(0, u64::saturating_add);
    (cost <= MOST_PREFIXES).then_some(cost)
}

/// Describes changes in one sentence.
pub(super) fn describe(steps: &[Step]) -> String {
    let named: Vec<_> = steps.iter().take(MOST_NAMED).map(describe_one).collect();
    match steps.len().saturating_sub(MOST_NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more changes of this kind", named.join("; ")),
    }
}

fn describe_one(step: &Step) -> String {
    match step {
        Step::Merge(low, high) => match low.supernet() {
            Some(parent) => format!("merge {low} and {high} into {parent}"),
            None => format!("merge {low} and {high}"),
        },
        Step::Split(cidr, into) => {
            let parts = 1_u64 << (into - cidr.prefix_len());
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

    fn cidr(text: &str) -> IpNet {
        crate::policy::parse_cidr(text).unwrap()
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
    fn gives_no_advice_that_adds_too_many_prefixes() {
        let prefixes = [((), cidr("10.0.0.0/9"))];
        assert_eq!(advise(prefixes.into_iter(), &always(), 3), None);
    }

    proptest! {
        /// Following the advice keeps the limit and the addresses.
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
                Step::Merge(low, high) => Some([(*low, low.supernet()?), (*high, low.supernet()?)]),
                Step::Split(..) => None,
            }).flatten().collect();
            for (_, cidr) in &prefixes {
                let mut at = *cidr;
                while let Some(parent) = merged.get(&at) {
                    prop_assert!(parent.contains(&at));
                    at = *parent;
                }
                let length = splits.get(&at).copied().unwrap_or(at.prefix_len());
                prop_assert!(length >= at.prefix_len());
                lengths.insert(length);
            }
            prop_assert!(lengths.len() <= max, "{lengths:?} after {steps:?}");
        }
    }
}
