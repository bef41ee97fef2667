//! From what an agent learns the addresses of the names that policies allow.

use std::path::PathBuf;

use crate::agent::config::{ConfigError, Settings};
use crate::policy::model::Policy;

/// For how long a polled address counts at least, seconds.
const POLLED_MIN_TTL: u32 = 3600;
/// The minimum lifetime of an address in an answer to a pod, seconds.
const PROXIED_MIN_TTL: u32 = 604_800;

/// What a version can do about names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSources {
    /// Before 1.2: policies with names are refused.
    Nothing,
    /// 1.2 and 1.3: the agent polls the names of policies itself, and ignores DNS rules.
    Poller,
    /// From 1.4 on: a proxy reads the queries of pods; the agent polls only if the ConfigMap requests it.
    Proxy,
}

/// What an agent does about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Whether policies may have names.
    pub(crate) allowed: bool,
    /// Whether the agent polls names itself.
    pub(crate) polled: bool,
    /// Whether it reads the questions of pods.
    pub(crate) proxied: bool,
    /// What an address counts at least, seconds.
    pub(crate) min_ttl: u32,
    /// A file with addresses that are known from the start.
    pub(crate) pre_cache: Option<PathBuf>,
}

/// A policy with names, for a version that knows none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this version does not know toFQDNs; remove the rule before a downgrade to it")]
pub(crate) struct NoNames;

impl NameSources {
    /// Reads `tofqdns-enable-poller`, `tofqdns-pre-cache` and `tofqdns-min-ttl`, where the version has them.
    pub(crate) fn select(self, settings: &Settings) -> Result<Names, ConfigError> {
        match self {
            Self::Nothing => Ok(Names::default()),
            Self::Poller => {
                Ok(Names { allowed: true, polled: true, min_ttl: POLLED_MIN_TTL, ..Names::default() })
            }
            Self::Proxy => {
                let polled = settings.enabled("tofqdns-enable-poller", false)?;
                let min_ttl = if polled { POLLED_MIN_TTL } else { PROXIED_MIN_TTL };
                let pre_cache = settings.get("tofqdns-pre-cache").filter(|path| !path.is_empty());
                Ok(Names {
                    allowed: true,
                    polled,
                    proxied: true,
                    min_ttl: settings.number("tofqdns-min-ttl", min_ttl)?,
                    pre_cache: pre_cache.map(PathBuf::from),
                })
            }
        }
    }
}

impl Names {
    /// Leaves of a policy what the version understands of it.
    pub(crate) fn understand(&self, mut policy: Policy) -> Result<Policy, NoNames> {
        for egress in policy.rules.iter_mut().flat_map(|rule| &mut rule.egress) {
            if egress.to_fqdns.is_some() && !self.allowed {
                return Err(NoNames);
            }
            if !self.proxied {
                egress.to_ports.iter_mut().for_each(|to| to.rules.dns.clear());
                for rule in egress.to_fqdns.iter_mut().flatten() {
                    rule.match_pattern = None;
                }
            }
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn names(sources: NameSources, settings: &[(&str, &str)]) -> Names {
        sources.select(&settings.iter().copied().collect()).unwrap()
    }

    const ON: &[(&str, &str)] = &[("tofqdns-enable-poller", "true"), ("tofqdns-pre-cache", "/run/c.json")];

    #[rstest]
    #[case::none(NameSources::Nothing, ON, (false, false, false, 0), None)]
    #[case::poller_reads_no_option(NameSources::Poller, ON, (true, true, false, 3600), None)]
    #[case::proxy_alone(NameSources::Proxy, &[], (true, false, true, 604_800), None)]
    #[case::proxy_and_poller(NameSources::Proxy, ON, (true, true, true, 3600), Some("/run/c.json"))]
    #[case::emptied(NameSources::Proxy, &[("tofqdns-pre-cache", "")], (true, false, true, 604_800), None)]
    #[case::ttl(NameSources::Proxy, &[("tofqdns-min-ttl", "7")], (true, false, true, 7), None)]
    fn selects(
        #[case] sources: NameSources,
        #[case] settings: &[(&str, &str)],
        #[case] expected: (bool, bool, bool, u32),
        #[case] pre_cache: Option<&str>,
    ) {
        let names = names(sources, settings);
        assert_eq!((names.allowed, names.polled, names.proxied, names.min_ttl), expected);
        assert_eq!(names.pre_cache, pre_cache.map(PathBuf::from));
    }

    fn policy() -> Policy {
        let rules = json!([{"endpointSelector": {}, "egress": [
            {"toFQDNs": [{"matchName": "a.b"}, {"matchPattern": "*.c"}]},
            {"toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchPattern": "*"}]}}]},
        ]}]);
        Policy::from_rules(&rules).unwrap()
    }

    #[test]
    fn a_version_without_names_refuses_them_and_nothing_else() {
        let old = names(NameSources::Nothing, &[]);
        assert_eq!(old.understand(policy()).map(drop), Err(NoNames));
        let plain = json!([{"endpointSelector": {}, "egress": [{"toEntities": ["all"]}]}]);
        assert!(old.understand(Policy::from_rules(&plain).unwrap()).is_ok());
    }

    #[rstest]
    #[case::poller(NameSources::Poller, false)]
    #[case::proxy(NameSources::Proxy, true)]
    fn rules_on_questions_and_patterns_are_passed_over_by_the_poller(
        #[case] sources: NameSources,
        #[case] kept: bool,
    ) {
        let policy = names(sources, &[]).understand(policy()).unwrap();
        let egress = &policy.rules[0].egress;
        let rules = egress[0].to_fqdns.as_ref().unwrap();
        assert_eq!(rules[0].match_name.as_deref(), Some("a.b"));
        assert_eq!(rules[1].match_pattern.is_some(), kept);
        assert_eq!(!egress[1].to_ports[0].rules.dns.is_empty(), kept);
    }
}
