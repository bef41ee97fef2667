//! Names in policies: which name a rule means, and which addresses an agent knows for it.
//!
//! As upstream's agent does, ours puts the addresses of names into the rules themselves, as `toCIDRSet`: policy then
//! knows addresses alone, and the pre-flight poller reads them from the rules of the agent that runs.

pub(crate) mod cache;
pub(crate) mod precache;
pub(crate) mod question;

use jiff::Timestamp;
use regex::Regex;

use crate::policy::model::{CidrRule, NameRule, Policy};
use cache::Cache;

/// A name as it is compared: in small letters, with one dot at its end.
pub(crate) fn normal(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.').to_ascii_lowercase())
}

/// Returns whether a rule matches a name; in a pattern, `*` matches any part of one label, and alone every name.
pub(crate) fn matches(rule: &NameRule, name: &str) -> bool {
    let name = normal(name);
    let by_name = rule.match_name.as_deref().is_some_and(|own| normal(own) == name);
    let fits = |pattern: &str| {
        let pattern = regex::escape(&normal(pattern)).replace("\\*", "[-a-z0-9_]*");
        Regex::new(&format!("^{pattern}$")).is_ok_and(|pattern| pattern.is_match(&name))
    };
    by_name || rule.match_pattern.as_deref().is_some_and(|pattern| pattern == "*" || fits(pattern))
}

/// Adds the addresses that are known at `now` to egress rules with names.
pub(crate) fn generate(policies: &mut [Policy], cache: &Cache, now: Timestamp) {
    let rules = policies.iter_mut().flat_map(|policy| &mut policy.rules).flat_map(|rule| &mut rule.egress);
    for egress in rules {
        let Some(names) = &egress.to_fqdns else { continue };
        let found = cache.addresses(|name| names.iter().any(|rule| matches(rule, name)), now);
        let sets = found.into_iter().map(|ip| CidrRule { cidr: format!("{ip}/32"), except: Vec::new() });
        egress.to_cidr_set.get_or_insert_default().extend(sets);
    }
}

/// The names that policies spell out.
pub(crate) fn names(policies: &[Policy]) -> impl Iterator<Item = String> {
    let egress = policies.iter().flat_map(|policy| &policy.rules).flat_map(|rule| &rule.egress);
    egress
        .flat_map(|egress| egress.to_fqdns.iter().flatten())
        .filter_map(|rule| rule.match_name.as_deref())
        .map(normal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::name(json!({"matchName": "a.B"}), "A.b.", true)]
    #[case::other_name(json!({"matchName": "a.b"}), "aa.b", false)]
    #[case::everything(json!({"matchPattern": "*"}), "x.y.z", true)]
    #[case::one_label(json!({"matchPattern": "*.b"}), "a.b", true)]
    #[case::not_two_labels(json!({"matchPattern": "*.b"}), "a.a.b", false)]
    #[case::dots_are_dots(json!({"matchPattern": "a*.b"}), "axb", false)]
    #[case::neither(json!({}), "a.b", false)]
    fn rules_mean_names(#[case] rule: serde_json::Value, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(matches(&serde_json::from_value(rule).unwrap(), name), expected);
    }

    #[test]
    fn addresses_stand_beside_names_and_no_address_means_nobody() {
        let rules = json!([{"endpointSelector": {}, "egress": [
            {"toFQDNs": [{"matchName": "a.b"}]}, {"toFQDNs": [{"matchName": "c.d"}]}, {"toEntities": ["world"]},
        ]}]);
        let mut policies = [Policy::from_rules(&rules).unwrap()];
        let now = Timestamp::UNIX_EPOCH;
        let mut cache = Cache::default();
        cache.learn("a.b", &[[192, 0, 2, 1].into()], 5, now);
        generate(&mut policies, &cache, now);
        let sets = policies[0].rules[0].egress.iter().map(|egress| {
            let sets = egress.to_cidr_set.as_ref()?;
            Some(sets.iter().map(|set| set.cidr.as_str()).collect::<Vec<_>>())
        });
        assert_eq!(sets.collect::<Vec<_>>(), [Some(vec!["192.0.2.1/32"]), Some(vec![]), None]);
        assert_eq!(names(&policies).collect::<Vec<_>>(), ["a.b.", "c.d."]);
    }
}
