use super::*;
use crate::policy::resolve::HttpMatch;
use rstest::rstest;

const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);

fn ruleset() -> Ruleset {
    let frontend = |port, backends: &[u8]| Frontend {
        ip: Ipv4Addr::new(10, 96, 0, 10),
        transport: Transport::Tcp,
        port,
        node_port: (port == 80).then_some(30080),
        backends: backends.iter().map(|host| (Ipv4Addr::new(10, 244, 0, *host), 8080)).collect(),
    };
    Ruleset {
        pod_cidr: "10.244.0.0/24".parse().unwrap(),
        cluster: ["10.244.1.0/24", "10.250.0.11/32"].iter().map(|it| it.parse().unwrap()).collect(),
        masquerade: true,
        world_is_host: false,
        unknown_tcp: UnknownTcp::PickUp,
        ipcache: BTreeMap::from([(POD, 300), (Ipv4Addr::new(10, 250, 0, 11), HOST)]),
        frontends: vec![frontend(80, &[2, 3]), frontend(443, &[])],
        endpoints: BTreeMap::from([(POD, Verdicts::default())]),
        proxy_port: 10000,
        dns_port: 10001,
        events: None,
        bounds: None,
    }
}

fn chain(script: &str, name: &str) -> Vec<String> {
    let body = script.split(&format!("\tchain {name}_g1 {{\n")).nth(1).unwrap_or_default();
    body.lines().take_while(|line| line.trim() != "}").map(|line| line.trim().to_owned()).collect()
}

fn allow(peers: Peers, ports: &[(Transport, u16)], http: Vec<HttpMatch>) -> Allow {
    Allow { peers, ports: ports.iter().copied().collect(), http, dns: Vec::new() }
}

fn ingress_rules(allows: Vec<Allow>) -> Vec<String> {
    let mut ruleset = ruleset();
    ruleset.endpoints = BTreeMap::from([(POD, Verdicts { ingress: Some(allows), egress: None })]);
    let script = ruleset.render(1);
    assert!(script.contains("10.244.0.2 : jump ingress_10_244_0_2_g1"), "{script}");
    let mut rules = chain(&script, "ingress_10_244_0_2");
    assert_eq!(rules.pop().as_deref(), Some("counter drop"));
    rules.drain(..4);
    rules
}

#[test]
fn a_script_adds_a_generation_and_moves_the_jumps_without_removing_anything() {
    let script = ruleset().render(7);
    assert!(!script.contains("delete"), "{script}");
    assert!(!script.contains("policy drop"), "a new base chain is empty until its transaction is complete");
    for (name, _, target) in HOOKS {
        let moved = format!("flush chain inet cilium {name}\nadd rule inet cilium {name} jump {target}_g7\n");
        assert!(script.contains(&moved), "{script}");
    }
}

#[test]
fn equal_rules_differ_in_their_generation_only() {
    assert_eq!(ruleset().render(3).replace("_g3", "_g0"), ruleset().render(0));
}

#[test]
fn a_service_is_spread_over_its_backends_and_refused_without_any() {
    let script = ruleset().render(1);
    assert_eq!(
        chain(&script, "service_10_96_0_10_tcp_80"),
        ["meta l4proto tcp dnat ip addr . port to numgen random mod 2 map \
             { 0 : 10.244.0.2 . 8080, 1 : 10.244.0.3 . 8080 }"]
    );
    assert!(script.contains("10.96.0.10 . tcp . 80 : goto service_10_96_0_10_tcp_80_g1"), "{script}");
    assert!(script.contains("elements = { tcp . 30080 : goto service_10_96_0_10_tcp_80_g1 }"), "{script}");
    assert!(script.contains("elements = { 10.96.0.10 . tcp . 443 }"), "{script}");
}

#[rstest]
#[case::on(true, 1)]
#[case::off(false, 0)]
fn masquerading_spares_the_cluster(#[case] masquerade: bool, #[case] expected: usize) {
    let script = Ruleset { masquerade, ..ruleset() }.render(1);
    let rule = "ip saddr 10.244.0.0/24 ip daddr != 10.244.0.0/24 ip daddr != 10.244.1.0/24 ip daddr != 10.250.0.11/32 masquerade";
    assert_eq!(script.matches(rule).count(), expected, "{script}");
}

/// Traffic of the cluster and of nodes keeps its ports and identity.
#[test]
fn a_node_tells_by_the_port_that_it_masquerades_the_world() {
    let told = |world_is_host| {
        let rules = Verdicts { ingress: Some(Vec::new()), egress: None };
        let endpoints = BTreeMap::from([(POD, rules)]);
        let script = Ruleset { world_is_host, endpoints, ..ruleset() }.render(1);
        (chain(&script, "leave")[1].clone(), chain(&script, "ingress_10_244_0_2")[2].clone())
    };
    let world = "ip saddr != 10.244.0.0/24 ip saddr != 10.244.1.0/24 ip saddr != 10.250.0.11/32";
    let (leave, ingress) = told(false);
    assert_eq!(
        leave,
        format!("ct status dnat ct mark 1 {world} meta l4proto {{ tcp, udp }} masquerade to :61000-65535")
    );
    let expected =
        format!("meta mark {HOST} meta l4proto {{ tcp, udp }} th sport 61000-65535 meta mark set {WORLD}");
    assert_eq!(ingress, expected);
    let (leave, ingress) = told(true);
    assert_eq!(leave, "ct status dnat ct mark 1 masquerade");
    assert_eq!(ingress, format!("meta mark {WORLD} ct status dnat ct mark 1 meta mark set {HOST}"));
}

#[test]
fn an_endpoint_without_policy_has_no_chain() {
    let script = ruleset().render(1);
    assert!(!script.contains("chain ingress_") && !script.contains("chain egress_"), "{script}");
}

#[rstest]
#[case::anyone(allow(Peers::Any, &[], vec![]), &["meta mark set 0 accept"])]
#[case::identities(
    allow(Peers::Identities(BTreeSet::from([300, 301])), &[(Transport::Tcp, 80)], vec![]),
    &["meta mark { 300, 301 } tcp dport { 80 } meta mark set 0 accept"]
)]
#[case::both_protocols(
    allow(Peers::Any, &[(Transport::Tcp, 53), (Transport::Udp, 53)], vec![]),
    &["tcp dport { 53 } meta mark set 0 accept", "udp dport { 53 } meta mark set 0 accept"]
)]
#[case::every_port_of_a_protocol(
    allow(Peers::Any, &[(Transport::Udp, 0)], vec![]), &["meta l4proto udp meta mark set 0 accept"]
)]
#[case::outside_addresses(
    allow(
        Peers::Cidr { cidr: "10.0.0.0/8".parse().unwrap(), except: vec!["10.96.0.0/12".parse().unwrap()] }, &[], vec![]
    ),
    &["meta mark 2 ip saddr 10.0.0.0/8 ip saddr != 10.96.0.0/12 meta mark set 0 accept"]
)]
fn allowed_traffic_is_accepted(#[case] allow: Allow, #[case] expected: &[&str]) {
    assert_eq!(ingress_rules(vec![allow]), expected);
}

#[test]
fn http_goes_to_the_proxy_or_is_reset_but_never_past_it() {
    let policy = serde_json::json!({"metadata": {"name": "p"}, "spec": {"endpointSelector": {}, "ingress": [{
        "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}], "rules": {"http": [{"path": "/"}]}}]}]}});
    let policy = crate::policy::model::Policy::from_object(&serde_json::from_value(policy).unwrap()).unwrap();
    let labels = crate::identity::labels::Labels::parse("k8s:io.kubernetes.pod.namespace=default;");
    let verdicts = crate::policy::resolve::resolve(&[policy], &labels, &BTreeMap::new()).unwrap();
    assert_eq!(
        ingress_rules(verdicts.ingress.unwrap()),
        [
            "tcp dport { 8080 } tproxy ip to 127.0.0.1:10000 meta mark set 0x200 accept",
            "tcp dport { 8080 } reject with tcp reset",
        ]
    );
}

#[test]
fn egress_that_is_allowed_goes_on_to_the_receivers_rules() {
    let mut ruleset = ruleset();
    let egress = Some(vec![allow(Peers::Any, &[(Transport::Udp, 53)], vec![])]);
    ruleset.endpoints = BTreeMap::from([(POD, Verdicts { ingress: None, egress })]);
    assert_eq!(
        chain(&ruleset.render(1), "egress_10_244_0_2"),
        [
            "meta mark set 2",
            "meta mark set ip daddr map @ipcache_g1",
            "udp dport { 53 } meta mark set 0 return",
            "counter drop"
        ]
    );
}

#[rstest]
#[case::picked_up(UnknownTcp::PickUp, &["ip daddr 10.244.0.0/24 "], "ip saddr . tcp sport @backends_g1 drop")]
#[case::refused(UnknownTcp::Refuse, &["ip saddr 10.244.0.0/24 ", "ip daddr 10.244.0.0/24 "], "reject with tcp reset")]
fn what_is_not_tracked_is_judged_for_pods_alone(
    #[case] unknown_tcp: UnknownTcp,
    #[case] of: &[&str],
    #[case] end: &str,
) {
    let script = Ruleset { unknown_tcp, ..ruleset() }.render(1);
    let rules = chain(&script, "enforce");
    let midst: Vec<_> = rules.iter().filter(|rule| rule.contains("ct state new tcp flags")).collect();
    assert_eq!(midst.len(), of.len(), "{rules:?}");
    for (rule, of) in midst.iter().zip(of) {
        assert!(rule.starts_with(of) && rule.ends_with(end), "{rule}");
    }
}

#[test]
fn drops_are_queued_while_somebody_listens() {
    let mut ruleset = ruleset();
    let all = Verdicts { ingress: Some(Vec::new()), egress: Some(Vec::new()) };
    ruleset.endpoints = BTreeMap::from([(POD, all)]);
    let quiet = ruleset.render(7);
    ruleset.events = Some(Queue { size: 32 });
    let script = ruleset.render(7);
    assert!(!quiet.contains("events_"), "{quiet}");
    assert!(script.contains("set events_32 {"), "{script}");
    // One for TCP, one for UDP, wherever a packet may be dropped.
    let places = quiet.matches("counter drop").count();
    assert_eq!(places, 2);
    assert_eq!(script.matches("add @events_32 {").count(), 2 * places);
}

#[test]
fn questions_go_to_the_proxy_or_nowhere_before_other_rules_let_them_pass() {
    let mut ruleset = ruleset();
    let mut dns = allow(Peers::Identities(BTreeSet::from([301])), &[(Transport::Udp, 53)], Vec::new());
    dns.dns = serde_json::from_str(r#"[{"matchPattern": "*"}]"#).unwrap();
    let everything = allow(Peers::Any, &[], Vec::new());
    let verdicts = Verdicts { ingress: None, egress: Some(vec![everything, dns]) };
    ruleset.endpoints = BTreeMap::from([(POD, verdicts)]);
    assert_eq!(
        chain(&ruleset.render(1), "egress_10_244_0_2")[2..],
        [
            "meta mark { 301 } udp dport { 53 } tproxy ip to 127.0.0.1:10001 meta mark set 0x200 accept",
            "meta mark { 301 } udp dport { 53 } reject",
            "meta mark set 0 return",
            "counter drop",
        ]
    );
}

#[test]
fn only_bounded_tables_cost_rules() {
    let mut ruleset = ruleset();
    let free = ruleset.render(7);
    assert!(!free.contains("track") && !free.contains("ct_"), "{free}");
    ruleset.bounds = Some(Bounds { tcp: 64, any: 32 });
    let script = ruleset.render(1);
    assert!(script.contains("set ct_tcp_64 {") && script.contains("set ct_udp_32 {"), "{script}");
    assert!(script.contains("add rule inet cilium track_prerouting jump track_g1"), "{script}");
    let rules = chain(&script, "track");
    assert_eq!(rules.first().map(String::as_str), Some("ct state != new accept"));
    assert_eq!(rules.last().map(String::as_str), Some("counter drop"));
    ruleset.events = Some(Queue { size: 32 });
    assert_eq!(
        chain(&ruleset.render(1), "track").iter().filter(|it| it.contains("add @events_32")).count(),
        2
    );
}
