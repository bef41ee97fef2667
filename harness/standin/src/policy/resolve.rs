//! Policy resolution: which peers may use which ports of an endpoint.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::model::{CidrRule, Egress, Entity, HttpRule, Ingress, NameRule, Policy, Port, Protocol};
use super::selector::Selector;
use crate::datapath::cidr::{self, CidrError};
use crate::identity::labels::Labels;
use crate::identity::{HOST, REMOTE_NODE, WORLD};

/// A value in a policy that has no meaning.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// A prefix.
    #[error(transparent)]
    Cidr(#[from] CidrError),
    /// A port.
    #[error("{0:?} is not a port number")]
    Port(String),
    /// A method or path.
    #[error("an HTTP rule is not a regular expression")]
    Pattern(#[from] regex::Error),
    /// Names on a port that is not UDP.
    #[error("the stand-in's DNS proxy supports UDP only: a port with DNS rules needs `protocol: UDP`")]
    Dns,
}

/// The peers of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Everyone.
    Any,
    /// Holders of these identities.
    Identities(BTreeSet<u32>),
    /// Addresses outside the cluster.
    Cidr { cidr: Ipv4Net, except: Vec<Ipv4Net> },
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// What is allowed of the peers: every port if `ports` is empty, and only matching requests if `http` is not.
#[derive(Clone, Debug)]
pub(crate) struct Allow {
    pub(crate) peers: Peers,
    /// Ports; 0 means every port of the protocol.
    pub(crate) ports: BTreeSet<(Transport, u16)>,
    pub(crate) http: Vec<HttpMatch>,
    /// Names that may be queried; empty means all.
    pub(crate) dns: Vec<NameRule>,
}

/// A compiled HTTP rule.
#[derive(Clone, Debug)]
pub(crate) struct HttpMatch {
    method: Option<Regex>,
    path: Option<Regex>,
}

impl HttpMatch {
    fn compile(rule: &HttpRule) -> Result<Self, regex::Error> {
        let whole = |pattern: &Option<String>| {
            pattern
                .as_deref()
                .filter(|it| !it.is_empty())
                .map(|it| Regex::new(&format!("^(?:{it})$")))
                .transpose()
        };
        Ok(Self { method: whole(&rule.method)?, path: whole(&rule.path)? })
    }

    /// Returns whether the rule allows a request.
    pub(crate) fn allows(&self, method: &str, path: &str) -> bool {
        let fits = |pattern: &Option<Regex>, text| pattern.as_ref().is_none_or(|it| it.is_match(text));
        fits(&self.method, method) && fits(&self.path, path)
    }
}

/// The policy of one endpoint; `None` means that no policy selects it in that direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) ingress: Option<Vec<Allow>>,
    pub(crate) egress: Option<Vec<Allow>>,
}

/// Resolves `policies` for an endpoint with `labels`, given the labels of every known identity.
pub(crate) fn resolve(
    policies: &[Policy],
    labels: &Labels,
    identities: &BTreeMap<u32, Labels>,
) -> Result<Verdicts, ResolveError> {
    let mut verdicts = Verdicts::default();
    let rules = policies.iter().flat_map(|policy| &policy.rules);
    for rule in rules.filter(|rule| rule.endpoint_selector.matches(labels)) {
        for ingress in &rule.ingress {
            verdicts.ingress.get_or_insert_default().extend(of_ingress(ingress, identities)?);
        }
        for egress in &rule.egress {
            verdicts.egress.get_or_insert_default().extend(of_egress(egress, identities)?);
        }
    }
    Ok(verdicts)
}

/// Checks that every value of a policy is valid.
pub(crate) fn check(policy: &Policy) -> Result<(), ResolveError> {
    let nobody = BTreeMap::new();
    for rule in &policy.rules {
        rule.ingress.iter().try_for_each(|it| of_ingress(it, &nobody).map(drop))?;
        rule.egress.iter().try_for_each(|it| of_egress(it, &nobody).map(drop))?;
    }
    Ok(())
}

fn of_ingress(rule: &Ingress, identities: &BTreeMap<u32, Labels>) -> Result<Vec<Allow>, ResolveError> {
    let peers = peers(
        rule.from_endpoints.as_deref(),
        rule.from_entities.as_deref(),
        rule.from_cidr.as_deref(),
        rule.from_cidr_set.as_deref(),
        identities,
    )?;
    let mut services = Vec::new();
    for to in &rule.to_ports {
        let http = to.rules.http.iter().map(HttpMatch::compile).collect::<Result<_, _>>()?;
        services.push((ports(&to.ports)?, http, Vec::new()));
    }
    Ok(combine(peers, services))
}

fn of_egress(rule: &Egress, identities: &BTreeMap<u32, Labels>) -> Result<Vec<Allow>, ResolveError> {
    let peers = peers(
        rule.to_endpoints.as_deref(),
        rule.to_entities.as_deref(),
        rule.to_cidr.as_deref(),
        rule.to_cidr_set.as_deref(),
        identities,
    )?;
    let mut services = Vec::new();
    for to in &rule.to_ports {
        let (ports, dns) = (ports(&to.ports)?, to.rules.dns.clone());
        if !dns.is_empty()
            && (ports.is_empty() || ports.iter().any(|(transport, _)| *transport != Transport::Udp))
        {
            return Err(ResolveError::Dns);
        }
        services.push((ports, Vec::new(), dns));
    }
    Ok(combine(peers, services))
}

type Service = (BTreeSet<(Transport, u16)>, Vec<HttpMatch>, Vec<NameRule>);

/// Every peer may use every service. A rule that names neither allows nothing: it only makes denial the default.
fn combine(peers: Option<Vec<Peers>>, services: Vec<Service>) -> Vec<Allow> {
    let (peers, services) = match (peers, services.is_empty()) {
        (None, true) => return Vec::new(),
        (None, false) => (vec![Peers::Any], services),
        (Some(peers), true) => (peers, vec![Service::default()]),
        (Some(peers), false) => (peers, services),
    };
    let allow = |peers: &Peers, (ports, http, dns): &Service| Allow {
        peers: peers.clone(),
        ports: ports.clone(),
        http: http.clone(),
        dns: dns.clone(),
    };
    peers.iter().flat_map(|peers| services.iter().map(move |service| allow(peers, service))).collect()
}

fn peers(
    selectors: Option<&[Selector]>,
    entities: Option<&[Entity]>,
    cidrs: Option<&[String]>,
    cidr_sets: Option<&[CidrRule]>,
    identities: &BTreeMap<u32, Labels>,
) -> Result<Option<Vec<Peers>>, ResolveError> {
    if selectors.is_none() && entities.is_none() && cidrs.is_none() && cidr_sets.is_none() {
        return Ok(None);
    }
    let mut ids = BTreeSet::new();
    for selector in selectors.unwrap_or_default() {
        ids.extend(identities.iter().filter(|(_, labels)| selector.matches(labels)).map(|(id, _)| *id));
    }
    let mut peers = Vec::new();
    for entity in entities.unwrap_or_default() {
        match entity {
            Entity::All => peers.push(Peers::Any),
            Entity::World => ids.extend([WORLD]),
            Entity::Host => ids.extend([HOST]),
            Entity::RemoteNode => ids.extend([REMOTE_NODE]),
            Entity::Cluster => ids.extend(identities.keys().copied().chain([HOST, REMOTE_NODE])),
        }
    }
    if !ids.is_empty() {
        peers.push(Peers::Identities(ids));
    }
    for cidr in cidrs.unwrap_or_default() {
        peers.push(Peers::Cidr { cidr: cidr::parse(cidr)?, except: Vec::new() });
    }
    for set in cidr_sets.unwrap_or_default() {
        let except = set.except.iter().map(|text| cidr::parse(text)).collect::<Result<_, _>>()?;
        peers.push(Peers::Cidr { cidr: cidr::parse(&set.cidr)?, except });
    }
    Ok(Some(peers))
}

fn ports(ports: &[Port]) -> Result<BTreeSet<(Transport, u16)>, ResolveError> {
    let mut found = BTreeSet::new();
    for port in ports {
        let number = port.port.parse().map_err(|_| ResolveError::Port(port.port.clone()))?;
        let transports: &[Transport] = match port.protocol {
            Protocol::Tcp => &[Transport::Tcp],
            Protocol::Udp => &[Transport::Udp],
            Protocol::Any => &[Transport::Tcp, Transport::Udp],
        };
        found.extend(transports.iter().map(|transport| (*transport, number)));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
