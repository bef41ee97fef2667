//! Which requests the proxy lets pass.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::identity::WORLD;
use crate::policy::resolve::{Allow, Peers, Transport, Verdicts};

/// The ingress policy of the node's pods, by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyPolicy {
    ipcache: BTreeMap<Ipv4Addr, u32>,
    endpoints: BTreeMap<Ipv4Addr, Option<Vec<Allow>>>,
}

impl ProxyPolicy {
    /// Takes the ingress part of `verdicts`.
    pub(crate) fn new(ipcache: &BTreeMap<Ipv4Addr, u32>, verdicts: &BTreeMap<Ipv4Addr, Verdicts>) -> Self {
        let endpoints = verdicts.iter().map(|(ip, verdicts)| (*ip, verdicts.ingress.clone()));
        Self { ipcache: ipcache.clone(), endpoints: endpoints.collect() }
    }

    /// Says whether a request from `source` may reach `target`.
    pub(crate) fn allows(&self, source: Ipv4Addr, target: SocketAddrV4, method: &str, path: &str) -> bool {
        let Some(endpoint) = self.endpoints.get(target.ip()) else { return false };
        let Some(allows) = endpoint else { return true };
        let identity = self.ipcache.get(&source).copied().unwrap_or(WORLD);
        let speaks_of = |allow: &&Allow| match &allow.peers {
            Peers::Any => true,
            Peers::Identities(ids) => ids.contains(&identity),
            Peers::Cidr { cidr, except } => {
                identity == WORLD && cidr.contains(source) && !except.iter().any(|it| it.contains(source))
            }
        };
        let on_port = |allow: &&Allow| {
            let ports = [0, target.port()].map(|port| (Transport::Tcp, port));
            allow.ports.is_empty() || ports.iter().any(|port| allow.ports.contains(port))
        };
        let permits =
            |allow: &Allow| allow.http.is_empty() || allow.http.iter().any(|rule| rule.allows(method, path));
        allows.iter().filter(speaks_of).filter(on_port).any(permits)
    }
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
}
