//! Tests of single objects; `footprint.rs` tests all of them together.

use super::super::ServiceName;
use super::*;
use crate::flow;
use crate::traffic::{Settings, Traffic};

pub(in crate::deploy) fn target() -> Target {
    Target {
        namespace: "seatrial-7".into(),
        run_id: "7".into(),
        image: "seatrial:abc".into(),
        dns: ServiceName { namespace: "kube-system".into(), name: "kube-dns".into() },
        token: flow::tests::TOKEN.parse().unwrap(),
        lifetime: None,
    }
}

#[test]
fn a_prober_gets_its_own_flows_and_is_not_restarted() {
    let traffic = Traffic::standard(&["node1".into(), "node2".into()], true, &Settings::default());
    let planned = traffic.pods.iter().find(|pod| pod.name == "client-1").unwrap();
    let flows: Vec<_> = traffic.flows_of("client-1").collect();
    let spec = client(&target(), planned, &flows).spec.unwrap();
    assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
    assert_eq!(spec.node_name.as_deref(), Some("node1"));
    let json = spec.containers[0].env.as_ref().unwrap()[0].value.clone().unwrap();
    let back: Vec<FlowSpec> = serde_json::from_str(&json).unwrap();
    assert_eq!(back.iter().collect::<Vec<_>>(), flows);
    assert!(json.len() < 64 * 1024, "{} bytes of environment", json.len());
}

#[test]
fn everything_carries_the_run() {
    let traffic = Traffic::standard(&["node1".into()], true, &Settings::default());
    let mut labels = vec![namespace(&target()).metadata.labels];
    labels.extend(traffic.services.iter().map(|s| service(&target(), s).metadata.labels));
    labels.extend(traffic.pods.iter().map(|p| server(&target(), p).metadata.labels));
    for labels in labels {
        assert_eq!(labels.unwrap()[RUN_LABEL], "7");
    }
}

#[test]
fn an_address_outside_of_the_cluster_gets_its_name_and_its_host() {
    let settings = Settings { names: true, ..Settings::default() };
    let traffic = Traffic::standard(&["node1".into()], true, &settings);
    let (service, slice) = outside(&target(), &traffic.names[0]);
    assert_eq!(service.spec.unwrap().cluster_ip.as_deref(), Some("None"));
    assert_eq!(slice.metadata.labels.unwrap()[SERVICE_LABEL], "outside");
    assert_eq!(slice.endpoints[0].addresses, ["192.0.2.10"]);
    let planned = traffic.pods.iter().find(|pod| pod.name == "named-server").unwrap();
    let container = server(&target(), planned).spec.unwrap().containers.remove(0);
    let args = ["token:0011223344556677", "address:192.0.2.10", "address:192.0.2.11", "tcp:27002"];
    assert_eq!(container.args.unwrap(), args);
    let capabilities = container.security_context.unwrap().capabilities.unwrap();
    assert_eq!(capabilities.add.unwrap(), ["NET_ADMIN"]);
}

#[test]
fn a_service_selects_the_server_of_its_name_or_all_that_policies_select() {
    let traffic = Traffic::standard(&["node1".into(), "node2".into()], true, &Settings::default());
    for planned in &traffic.services {
        let spec = service(&target(), planned).spec.unwrap();
        let on_nodes = spec.type_.as_deref() == Some("NodePort");
        assert_eq!(on_nodes, planned.name == "open-server", "{}", planned.name);
        let selector = spec.selector.unwrap();
        let selected: Vec<_> = traffic
            .pods
            .iter()
            .filter(|pod| selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value)))
            .map(|pod| pod.name.as_str())
            .collect();
        match planned.name.as_str() {
            "servers" => assert_eq!(selected, ["server-1", "server-2"]),
            name => assert_eq!(selected, [name]),
        }
    }
}
