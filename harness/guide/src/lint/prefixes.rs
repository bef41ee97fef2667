//! Unique prefix lengths, counted as the agent counts them when it imports policies one by one.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Change, Finding, Level, Located, RuleId, advice};
use crate::data::{self, Confidence, Minors};
use crate::kernel::Kernel;
use crate::policy::{Family, Policy, Prefix};
use crate::yaml::Position;
use model::Minor;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[schemars(with = "String")]
    kernel: Kernel,
    always: Always,
    limits: Vec<Limit>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Always {
    ipv4: BTreeSet<u8>,
    ipv6: BTreeSet<u8>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    minors: Minors,
    ipv4: usize,
    ipv6: usize,
    #[serde(default)]
    egress_only: bool,
    message: String,
    #[expect(dead_code, reason = "part of every entry; checked by parsing")]
    source: String,
    #[expect(dead_code, reason = "part of every entry; checked by parsing")]
    confidence: Confidence,
}

static FILE: LazyLock<File> = LazyLock::new(|| data::embedded!("policy-limits"));

/// Returns the prefix lengths that count without any policy.
pub(super) fn always(family: Family) -> &'static BTreeSet<u8> {
    match family {
        Family::V4 => &FILE.always.ipv4,
        Family::V6 => &FILE.always.ipv6,
    }
}

/// Returns the unique prefix lengths that policies need, with those that always count.
pub fn prefix_lengths<'a>(family: Family, policies: impl IntoIterator<Item = &'a Policy>) -> BTreeSet<u8> {
    let mut lengths = always(family).clone();
    let rules = policies.into_iter().flat_map(|policy| &policy.rules);
    rules.flat_map(|rule| &rule.prefixes).for_each(|prefix| add(&mut lengths, family, prefix));
    lengths
}

fn add(lengths: &mut BTreeSet<u8>, family: Family, prefix: &Prefix) {
    lengths
        .extend(prefix.cidrs.iter().filter(|cidr| Family::of(cidr) == family).map(|cidr| cidr.prefix_len()));
}

pub(super) fn check(policies: &[Located<'_>], change: &Change, findings: &mut Vec<Finding>) {
    let known_good = change.kernel.is_some_and(|kernel| kernel > FILE.kernel);
    let limit = limit(change.to.minor()).filter(|_| !known_good);
    let Some(limit) = limit else { return };
    for (family, max) in [(Family::V4, limit.ipv4), (Family::V6, limit.ipv6)] {
        check_family(policies, family, limit, max, change, findings);
    }
}

fn limit(minor: Minor) -> Option<&'static Limit> {
    FILE.limits.iter().find(|limit| limit.minors.contains(&minor))
}

fn check_family(
    policies: &[Located<'_>],
    family: Family,
    limit: &Limit,
    max: usize,
    change: &Change,
    findings: &mut Vec<Finding>,
) {
    let mut held = always(family).clone();
    for located in policies {
        let mut result = held.clone();
        let mut over = None;
        for prefix in counted(&located.policy, limit) {
            add(&mut result, family, prefix);
            if result.len() > max {
                over = over.or(Some(prefix.position));
            }
        }
        match over {
            // The agent rejects the policy, so its prefixes do not count.
            Some(at) => {
                let counts = Counts { current: held.len(), result: result.len(), max };
                findings.push(finding(located, at, policies, family, limit, counts, change));
            }
            None => held = result,
        }
    }
}

fn counted<'a>(policy: &'a Policy, limit: &'a Limit) -> impl Iterator<Item = &'a Prefix> {
    let prefixes = policy.rules.iter().flat_map(|rule| &rule.prefixes);
    prefixes.filter(|prefix| prefix.egress || !limit.egress_only)
}

struct Counts {
    current: usize,
    result: usize,
    max: usize,
}

fn finding(
    located: &Located<'_>,
    at: Position,
    policies: &[Located<'_>],
    family: Family,
    limit: &Limit,
    counts: Counts,
    change: &Change,
) -> Finding {
    let refusal = limit
        .message
        .replace("{current}", &counts.current.to_string())
        .replace("{result}", &counts.result.to_string())
        .replace("{max}", &counts.max.to_string());
    let name = &located.policy.name;
    let (level, when) = match change.kernel {
        Some(kernel) => (Level::Error, format!("on kernel {kernel}")),
        None => (
            Level::Note,
            format!("on kernels up to {} (give the kernel of the nodes with --kernel)", FILE.kernel),
        ),
    };
    let message = format!("{} rejects policy {name} {when}: {refusal}", change.to);
    let all = policies.iter().flat_map(|located| {
        let of = |prefix: &Prefix| (located.file.to_owned(), located.policy.name.clone(), prefix.list);
        counted(&located.policy, limit)
            .flat_map(move |prefix| prefix.cidrs.iter().map(move |cidr| (of(prefix), *cidr)))
    });
    let advice =
        advice::advise(all.filter(|(_, cidr)| Family::of(cidr) == family), always(family), counts.max);
    let help = match advice {
        Some(steps) => format!("{}; or upgrade the kernel to 4.11 or later", advice::describe(&steps)),
        None => "merging or splitting prefixes cannot reach the limit: upgrade the kernel to 4.11 or later"
            .to_owned(),
    };
    located.finding(RuleId::PrefixLengths, level, at, message, help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy, yaml};

    #[test]
    fn counts_seven_in_the_guides_example() {
        let text = include_str!("testdata/guide-cidr.yaml");
        let policies = policy::read(&yaml::documents(text).unwrap()[0]);
        let lengths = prefix_lengths(Family::V4, &policies);
        assert_eq!(lengths, BTreeSet::from([0, 8, 9, 10, 11, 12, 32]));
    }
}
