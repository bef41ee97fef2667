//! The pre-flight checks of a stage, with their commands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::plan::chart::helm_template;
use crate::policy::Feature;
use model::{Minor, Version};

/// File on every node that holds the DNS pre-cache.
const PRE_CACHE: &str = "/var/run/cilium/dns-precache-upgrade.json";

/// Kubernetes minors for which the pre-flight check that removes service maps was published.
const RM_SVC_V2: [Minor; 2] = [Minor::new(1, 10), Minor::new(1, 15)];

/// A pre-flight check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    /// What it does.
    pub variant: Variant,
    /// Why it is needed.
    pub why: String,
    /// Commands, in order.
    pub commands: Vec<String>,
    /// Where this was read.
    pub source: String,
}

/// What a pre-flight check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Pulls the new image on every node.
    Pull,
    /// Writes the addresses that the DNS poller found to a file that the new agent reads.
    FqdnPreCache,
    /// Removes the service maps that an earlier installation of 1.5 left.
    RmSvcV2,
    /// Checks all policies against the new schema.
    ValidateCnp,
    /// Copies identities from the kvstore to CRDs with the same numbers.
    MigrateIdentity,
}

/// Returns the pre-flight checks of an upgrade, in order.
pub(super) fn preflights(from: &Version, to: &Version, facts: &Facts<'_>) -> Vec<Preflight> {
    let crosses = |major, minor| {
        let minor = Minor::new(major, minor);
        from.minor() < minor && minor <= to.minor()
    };
    let mut found = Vec::new();
    if crosses(1, 5) && facts.previously >= Some(Minor::new(1, 5)) {
        found.push(rm_svc_v2(facts));
    }
    let names = facts.policies.is_none_or(|policies| policies.contains(&Feature::FqdnName));
    if crosses(1, 4) && names {
        found.push(fqdn_pre_cache(to, facts));
    } else if to.minor() >= Minor::new(1, 4) {
        found.push(pull(to, facts));
    }
    if *to >= Version::new(1, 6, 9) {
        // The validator is a Deployment of the same manifest: it must be ready before the manifest is deleted.
        let delete = found.last_mut().and_then(|before| before.commands.pop());
        found.push(validate_cnp(to, facts, delete));
    }
    let wants_crd = facts.config.is_some_and(|config| config.get("identity-allocation-mode") == Some("crd"));
    if crosses(1, 6) && wants_crd {
        found.push(migrate_identity(to, facts));
    }
    found
}

fn pull(to: &Version, facts: &Facts<'_>) -> Preflight {
    Preflight {
        variant: Variant::Pull,
        why: "every node pulls the image before an agent stops, and a tag that does not exist is found"
            .to_owned(),
        commands: run(to, facts, &[]),
        source: "1.6 guide, running a pre-flight DaemonSet; the guide omits the -f of `kubectl create`"
            .to_owned(),
    }
}

fn fqdn_pre_cache(to: &Version, facts: &Facts<'_>) -> Preflight {
    // The guide writes preflight.tofqdnsPrecache, which no chart has.
    let set = format!("preflight.tofqdnsPreCache={PRE_CACHE}");
    let mut commands = run(to, facts, &[&set]);
    commands.insert(
        0,
        format!("kubectl -n {} patch configmap cilium-config --type merge -p '{{\"data\":{{\"tofqdns-enable-poller\":\"true\",\"tofqdns-pre-cache\":\"{PRE_CACHE}\"}}}}'", facts.namespace()),
    );
    Preflight {
        variant: Variant::FqdnPreCache,
        why: "pods with cached names keep their connections until they query the DNS proxy".to_owned(),
        commands,
        source: "1.6 guide, upgrade steps for DNS polling; the chart's key is preflight.tofqdnsPreCache"
            .to_owned(),
    }
}

fn rm_svc_v2(facts: &Facts<'_>) -> Preflight {
    let folder = facts.kubernetes.map(|minor| minor.clamp(RM_SVC_V2[0], RM_SVC_V2[1]).to_string());
    let folder = folder.unwrap_or_else(|| "KUBERNETES_MINOR".to_owned());
    let url = format!(
        "https://raw.githubusercontent.com/cilium/cilium/1.6.4/examples/kubernetes/{folder}/cilium-pre-flight-with-rm-svc-v2.yaml"
    );
    Preflight {
        variant: Variant::RmSvcV2,
        why: "the cluster has run 1.5 before: the agents would use its old service maps".to_owned(),
        commands: vec![format!("kubectl apply -f {url}"), ready(facts), format!("kubectl delete -f {url}")],
        source: "1.6 guide, upgrading from >=1.4.0 to 1.5.y, step 2".to_owned(),
    }
}

fn validate_cnp(to: &Version, facts: &Facts<'_>, delete: Option<String>) -> Preflight {
    let namespace = facts.namespace();
    let mut commands = vec![
        format!("kubectl -n {namespace} rollout status deployment/cilium-pre-flight-check"),
        format!("kubectl -n {namespace} logs deployment/cilium-pre-flight-check -c cnp-validator"),
    ];
    commands.extend(delete);
    let required = to.minor() >= Minor::new(1, 9);
    let why = "policies that the new schema rejects are found before the upgrade";
    Preflight {
        variant: Variant::ValidateCnp,
        why: if required { format!("{why}; the guide requires it") } else { why.to_owned() },
        commands,
        source: "charts 1.6.9 and later: preflight.validateCNPs; 1.10 guide, 1.9 notes".to_owned(),
    }
}

fn migrate_identity(to: &Version, facts: &Facts<'_>) -> Preflight {
    let set = ["global.etcd.enabled=true", "global.etcd.ssl=true"];
    let mut commands = run(to, facts, &set);
    commands.insert(
        commands.len() - 1,
        format!(
            "kubectl -n {} exec ds/cilium-pre-flight-check -- cilium preflight migrate-identity",
            facts.namespace()
        ),
    );
    Preflight {
        variant: Variant::MigrateIdentity,
        why: "identity-allocation-mode is crd: old and new agents must use the same identity numbers during the rollout"
            .to_owned(),
        commands,
        source:
            "1.6 guide, migrating from kvstore-backed identities; the pods are named cilium-pre-flight-check"
                .to_owned(),
    }
}

/// Renders a pre-flight check, starts it, waits for it and removes it.
fn run(to: &Version, facts: &Facts<'_>, set: &[&str]) -> Vec<String> {
    if to.minor() < Minor::new(1, 6) {
        let folder =
            facts.kubernetes.map_or_else(|| "KUBERNETES_MINOR".to_owned(), |minor| minor.to_string());
        let url = format!(
            "https://raw.githubusercontent.com/cilium/cilium/{to}/examples/kubernetes/{folder}/cilium-pre-flight.yaml"
        );
        return vec![format!("kubectl create -f {url}"), ready(facts), format!("kubectl delete -f {url}")];
    }
    let off = if to.minor() < Minor::new(1, 9) {
        "--set agent.enabled=false --set config.enabled=false --set operator.enabled=false"
    } else {
        "--set agent=false --set operator.enabled=false"
    };
    let extra: String = set.iter().map(|set| format!(" --set {set}")).collect();
    let template = helm_template(to, facts.namespace());
    vec![
        format!("{template} --set preflight.enabled=true {off}{extra} > cilium-preflight.yaml"),
        "kubectl create -f cilium-preflight.yaml".to_owned(),
        ready(facts),
        "kubectl delete -f cilium-preflight.yaml".to_owned(),
    ]
}

/// The guide compares READY with the number of agents.
fn ready(facts: &Facts<'_>) -> String {
    format!("kubectl -n {} rollout status daemonset/cilium-pre-flight-check", facts.namespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configmap::ConfigMap;
    use rstest::rstest;
    use std::collections::BTreeSet;

    fn variants(from: &str, to: &str, facts: &Facts<'_>) -> Vec<Variant> {
        let found = preflights(&from.parse().unwrap(), &to.parse().unwrap(), facts);
        found.into_iter().map(|preflight| preflight.variant).collect()
    }

    #[rstest]
    #[case::none_before_1_4("1.1.6", "1.2.8", &[])]
    #[case::unknown_policies("1.3.8", "1.4.10", &[Variant::FqdnPreCache])]
    #[case::plain("1.5.13", "1.6.4", &[Variant::Pull])]
    #[case::validator("1.5.13", "1.6.9", &[Variant::Pull, Variant::ValidateCnp])]
    fn by_version(#[case] from: &str, #[case] to: &str, #[case] expected: &[Variant]) {
        assert_eq!(variants(from, to, &Facts::default()), expected);
    }

    #[test]
    fn by_what_is_known() {
        let none = BTreeSet::new();
        let facts = Facts { policies: Some(&none), previously: Some(Minor::new(1, 5)), ..Facts::default() };
        assert_eq!(variants("1.3.8", "1.5.13", &facts), [Variant::RmSvcV2, Variant::Pull]);
        let config = ConfigMap::read("kind: ConfigMap\ndata:\n  identity-allocation-mode: crd\n").unwrap();
        let facts = Facts { config: Some(&config), ..Facts::default() };
        assert_eq!(variants("1.5.13", "1.6.4", &facts), [Variant::Pull, Variant::MigrateIdentity]);
    }
}
