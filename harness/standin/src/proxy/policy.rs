//! Which requests the proxy lets pass.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::fqdn::matches;
use crate::identity::WORLD;
use crate::policy::resolve::{Allow, Peers, Transport, Verdicts};

/// L7 policy of the node's pods by address: requests to them, and the names that they may query.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyPolicy {
    ipcache: BTreeMap<Ipv4Addr, u32>,
    endpoints: BTreeMap<Ipv4Addr, Option<Vec<Allow>>>,
    egress: BTreeMap<Ipv4Addr, Vec<Allow>>,
}

impl ProxyPolicy {
    /// Takes the ingress part of `verdicts`, and of the egress part what is about names.
    pub(crate) fn new(ipcache: &BTreeMap<Ipv4Addr, u32>, verdicts: &BTreeMap<Ipv4Addr, Verdicts>) -> Self {
        let endpoints = verdicts.iter().map(|(ip, verdicts)| (*ip, verdicts.ingress.clone()));
        let named = |allows: &Vec<Allow>| {
            allows.iter().filter(|allow| !allow.dns.is_empty()).cloned().collect::<Vec<_>>()
        };
        let egress = verdicts.iter().filter_map(|(ip, it)| Some((*ip, named(it.egress.as_ref()?))));
        Self { ipcache: ipcache.clone(), endpoints: endpoints.collect(), egress: egress.collect() }
    }

    /// Returns whether `source` may query a name from `server`.
    pub(crate) fn allows_name(&self, source: Ipv4Addr, server: SocketAddrV4, name: &str) -> bool {
        let allows = self.egress.get(&source).into_iter().flatten();
        allows
            .filter(|allow| {
                self.speaks_of(allow, *server.ip()) && on_port(allow, Transport::Udp, server.port())
            })
            .any(|allow| allow.dns.iter().any(|rule| matches(rule, name)))
    }

    /// Returns whether a request from `source` may reach `target`.
    pub(crate) fn allows(&self, source: Ipv4Addr, target: SocketAddrV4, method: &str, path: &str) -> bool {
        let Some(endpoint) = self.endpoints.get(target.ip()) else { return false };
        let Some(allows) = endpoint else { return true };
        let permits =
            |allow: &Allow| allow.http.is_empty() || allow.http.iter().any(|rule| rule.allows(method, path));
        allows
            .iter()
            .filter(|allow| self.speaks_of(allow, source) && on_port(allow, Transport::Tcp, target.port()))
            .any(permits)
    }

    /// Returns whether a rule matches the peer with this address.
    fn speaks_of(&self, allow: &Allow, peer: Ipv4Addr) -> bool {
        let identity = self.ipcache.get(&peer).copied().unwrap_or(WORLD);
        match &allow.peers {
            Peers::Any => true,
            Peers::Identities(ids) => ids.contains(&identity),
            Peers::Cidr { cidr, except } => {
                identity == WORLD && cidr.contains(&peer) && !except.iter().any(|it| it.contains(&peer))
            }
        }
    }
}

fn on_port(allow: &Allow, transport: Transport, port: u16) -> bool {
    allow.ports.is_empty() || [0, port].iter().any(|port| allow.ports.contains(&(transport, *port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::labels::Labels;
    use crate::policy::model::Policy;
    use crate::policy::resolve::resolve;
    use rstest::rstest;

    const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, 2), 8080);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 2);
    const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 3);

    fn policy() -> ProxyPolicy {
        let policy = serde_json::json!({
            "metadata": {"name": "p", "namespace": "shop"},
            "spec": {"endpointSelector": {}, "ingress": [{
                "fromEndpoints": [{"matchLabels": {"app": "client"}}],
                "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}],
                             "rules": {"http": [{"method": "GET", "path": "/public.*"}]}}],
            }]},
        });
        let policy = Policy::from_object(&serde_json::from_value(policy).unwrap()).unwrap();
        let server = Labels::parse("k8s:app=server;k8s:io.kubernetes.pod.namespace=shop;");
        let client = Labels::parse("k8s:app=client;k8s:io.kubernetes.pod.namespace=shop;");
        let identities = BTreeMap::from([(300, client), (301, server.clone())]);
        let verdicts = resolve(&[policy], &server, &identities).unwrap();
        ProxyPolicy::new(&BTreeMap::from([(CLIENT, 300)]), &BTreeMap::from([(*SERVER.ip(), verdicts)]))
    }

    #[rstest]
    #[case::allowed(CLIENT, SERVER, "GET", "/public/a", true)]
    #[case::path(CLIENT, SERVER, "GET", "/private", false)]
    #[case::method(CLIENT, SERVER, "PUT", "/public/a", false)]
    #[case::source(STRANGER, SERVER, "GET", "/public/a", false)]
    #[case::port(CLIENT, SocketAddrV4::new(*SERVER.ip(), 9090), "GET", "/public/a", false)]
    #[case::unknown_target(CLIENT, SocketAddrV4::new(STRANGER, 8080), "GET", "/public/a", false)]
    fn decides(
        #[case] source: Ipv4Addr,
        #[case] target: SocketAddrV4,
        #[case] method: &str,
        #[case] path: &str,
        #[case] allowed: bool,
    ) {
        assert_eq!(policy().allows(source, target, method, path), allowed);
    }

    #[rstest]
    #[case::allowed(SERVER, "a.shop.", true)]
    #[case::other_name(SERVER, "b.shop.", false)]
    #[case::other_port(SocketAddrV4::new(*SERVER.ip(), 5353), "a.shop.", false)]
    #[case::other_server(SocketAddrV4::new(STRANGER, 53), "a.shop.", false)]
    fn names_are_asked_where_policy_says(
        #[case] server: SocketAddrV4,
        #[case] name: &str,
        #[case] allowed: bool,
    ) {
        let server = if server == SERVER { SocketAddrV4::new(*SERVER.ip(), 53) } else { server };
        let rules = serde_json::json!([{"endpointSelector": {}, "egress": [{
            "toEndpoints": [{"matchLabels": {"k8s:app": "server"}}],
            "toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": {"dns": [{"matchName": "A.shop"}]}}],
        }]}]);
        let labels = Labels::parse("k8s:app=server;");
        let identities = BTreeMap::from([(301, labels.clone())]);
        let verdicts = resolve(&[Policy::from_rules(&rules).unwrap()], &labels, &identities).unwrap();
        let ipcache = BTreeMap::from([(*SERVER.ip(), 301)]);
        let policy = ProxyPolicy::new(&ipcache, &BTreeMap::from([(CLIENT, verdicts)]));
        assert_eq!(policy.allows_name(CLIENT, server, name), allowed);
        assert!(!policy.allows_name(STRANGER, server, name), "no policy lets it ask through the proxy");
    }
}
