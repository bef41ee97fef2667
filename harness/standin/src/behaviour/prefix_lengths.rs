//! How many different prefix lengths policies may have: a limit of kernels without longest-prefix-match maps.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;

use super::kernel;
use crate::agent::config::{ConfigError, Settings};
use crate::datapath::cidr::{self, CidrError};
use crate::policy::model::{CidrRule, Policy};

/// Lengths that count without any policy: everything, the cluster's prefix, and single addresses.
const ALWAYS: [u8; 3] = [0, 8, 32];
/// The first kernel with longest-prefix-match maps in which any number of lengths fits.
const UNLIMITED: (u16, u16) = (4, 11);

/// What a version does on kernels that are too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrefixLengths {
    /// The number of different IPv4 lengths that it can hold.
    pub(crate) max: usize,
    /// Which prefixes count.
    pub(crate) counted: Counted,
}

/// Which prefixes of a policy count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// 1.0: those of egress rules.
    Egress,
    /// Later: all.
    All,
}

/// The lengths that the policies of a node need.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    limit: Option<PrefixLengths>,
    lengths: BTreeSet<u8>,
}

/// A policy that the node cannot hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrefixError {
    /// 1.0.
    #[error("too many egress CIDR prefix lengths ({result}/{max})")]
    Egress {
        /// The number of lengths with the policy.
        result: usize,
        /// The most that can be held.
        max: usize,
    },
    /// Later.
    #[error(
        "Adding specified prefixes would result in too many prefix lengths (current: {current}, result: {result}, max: {max})"
    )]
    TooMany {
        /// The number of lengths without the policy.
        current: usize,
        /// The number with it.
        result: usize,
        /// The most that can be held.
        max: usize,
    },
    /// A prefix.
    #[error(transparent)]
    Cidr(#[from] CidrError),
}

impl PrefixLengths {
    /// What holds on the kernel that `settings` name, or else on this one.
    pub(crate) fn on_kernel(self, settings: &Settings, running: &str) -> Result<Held, ConfigError> {
        let kernel = kernel::played(settings, running)?;
        Ok(Held { limit: (kernel < UNLIMITED).then_some(self), lengths: ALWAYS.into() })
    }
}

impl Held {
    /// Adds the lengths of a policy, or refuses it as a whole.
    pub(crate) fn add(&mut self, policy: &Policy) -> Result<(), PrefixError> {
        let Some(PrefixLengths { max, counted }) = self.limit else { return Ok(()) };
        let mut lengths = self.lengths.clone();
        for rule in &policy.rules {
            for egress in &rule.egress {
                extend(&mut lengths, egress.to_cidr.as_deref(), egress.to_cidr_set.as_deref())?;
            }
            for ingress in rule.ingress.iter().filter(|_| counted == Counted::All) {
                extend(&mut lengths, ingress.from_cidr.as_deref(), ingress.from_cidr_set.as_deref())?;
            }
        }
        let (current, result) = (self.lengths.len(), lengths.len());
        match counted {
            _ if result <= max => {
                self.lengths = lengths;
                Ok(())
            }
            Counted::Egress => Err(PrefixError::Egress { result, max }),
            Counted::All => Err(PrefixError::TooMany { current, result, max }),
        }
    }
}

fn extend(
    lengths: &mut BTreeSet<u8>,
    cidrs: Option<&[String]>,
    sets: Option<&[CidrRule]>,
) -> Result<(), CidrError> {
    for cidr in cidrs.unwrap_or_default() {
        lengths.insert(cidr::parse(cidr)?.prefix_len());
    }
    for set in sets.unwrap_or_default() {
        let except = set.except.iter().map(|text| cidr::parse(text)).collect::<Result<Vec<_>, _>>()?;
        left(cidr::parse(&set.cidr)?, &except, lengths);
    }
    Ok(())
}

/// Adds the lengths of the prefixes that remain of a prefix without its exceptions.
fn left(cidr: Ipv4Net, except: &[Ipv4Net], lengths: &mut BTreeSet<u8>) {
    if except.iter().any(|hole| hole.contains(&cidr)) {
        return;
    }
    let inside: Vec<Ipv4Net> = except.iter().copied().filter(|hole| cidr.contains(hole)).collect();
    match cidr::halves(cidr).filter(|_| !inside.is_empty()) {
        None => drop(lengths.insert(cidr.prefix_len())),
        Some(halves) => halves.into_iter().for_each(|half| left(half, &inside, lengths)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviours;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn held(version: &str, kernel: &str) -> Held {
        let lengths = Behaviours::of(version.parse().unwrap()).unwrap().prefix_lengths;
        lengths.on_kernel(&[("standin-kernel", kernel)].into_iter().collect(), "6.1.0").unwrap()
    }

    fn policy(rules: Value) -> Policy {
        let mut spec = rules;
        spec["endpointSelector"] = json!({});
        let object = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
        Policy::from_object(&serde_json::from_value(object).unwrap()).unwrap()
    }

    /// `count` lengths from /9 on.
    fn egress(count: u8) -> Policy {
        let cidrs: Vec<_> = (9..9 + count).map(|length| format!("10.0.0.0/{length}")).collect();
        policy(json!({"egress": [{"toCIDR": cidrs}]}))
    }

    #[rstest]
    #[case::as_many_as_1_1_holds("1.1.6", 17, None)]
    #[case::one_more("1.1.6", 18, Some("(current: 3, result: 21, max: 20)"))]
    #[case::as_many_as_1_2_holds("1.2.8", 15, None)]
    #[case::held_by_1_1_only("1.2.8", 16, Some("(current: 3, result: 19, max: 18)"))]
    #[case::later_as_1_2("1.6.12", 16, Some("(current: 3, result: 19, max: 18)"))]
    fn versions_hold_so_many(#[case] version: &str, #[case] lengths: u8, #[case] refused: Option<&str>) {
        let error = held(version, "4.9.0-6-amd64").add(&egress(lengths)).err().map(|e| e.to_string());
        assert_eq!(error.is_some(), refused.is_some(), "{error:?}");
        assert!(refused.is_none_or(|said| error.unwrap().ends_with(said)));
    }

    #[test]
    fn a_newer_kernel_holds_all_and_this_one_is_the_default() {
        let lengths = Behaviours::of("1.6.12".parse().unwrap()).unwrap().prefix_lengths;
        let mut running = lengths.on_kernel(&Settings::default(), "4.19.0").unwrap();
        running.add(&egress(23)).unwrap();
        held("1.6.12", "4.11").add(&egress(23)).unwrap();
        assert!(lengths.on_kernel(&Settings::default(), "4.10.9").unwrap().add(&egress(23)).is_err());
    }

    #[test]
    fn the_first_version_counts_egress_alone() {
        let ingress = policy(json!({"ingress": [{"fromCIDR": ["192.0.2.0/24"]}]}));
        let lengths = PrefixLengths { max: 3, counted: Counted::Egress };
        let mut held = lengths.on_kernel(&Settings::default(), "4.9").unwrap();
        held.add(&ingress).unwrap();
        let said = held.add(&egress(1)).unwrap_err().to_string();
        assert_eq!(said, "too many egress CIDR prefix lengths (4/3)");
    }

    #[test]
    fn exceptions_leave_what_the_guide_counts() {
        let guide = policy(json!({"egress": [{"toCIDR": ["20.1.1.1/32"]},
            {"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.96.0.0/12"]}]}]}));
        let mut held = held("1.6.12", "4.9");
        held.add(&guide).unwrap();
        assert_eq!(held.lengths, BTreeSet::from([0, 8, 9, 10, 11, 12, 32]));
    }

    #[test]
    fn a_policy_that_was_refused_is_not_counted() {
        let mut held = held("1.6.12", "4.9");
        assert!(held.add(&egress(16)).is_err());
        held.add(&egress(15)).unwrap();
        assert!(held.add(&policy(json!({"egress": [{"toCIDR": ["10.0.0.0/30"]}]}))).is_err());
    }

    #[test]
    fn a_kernel_that_is_none_is_an_error() {
        let lengths = PrefixLengths { max: 3, counted: Counted::All };
        let settings = [("standin-kernel", "new")].into_iter().collect();
        assert!(lengths.on_kernel(&settings, "6.1.0").unwrap_err().to_string().contains("4.9"));
    }
}
