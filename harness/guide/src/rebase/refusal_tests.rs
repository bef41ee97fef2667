//! Values that agents of the target refuse, alone or together, and keys that only the target reads.

use super::*;
use rstest::rstest;

fn go(own: &[(&str, &str)], from: &str, to: &str) -> Rebased {
    let lines: String = own.iter().map(|(key, value)| format!("  {key}: {value:?}\n")).collect();
    let text =
        format!("kind: ConfigMap\nmetadata:\n  name: cilium-config\ndata:\n  debug: \"false\"\n{lines}");
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let request = Request { from: &from, to: &to, template: None, adopt: BTreeSet::new(), comments: false };
    rebase(&text, &request).unwrap()
}

fn decision<'a>(rebased: &'a Rebased, key: &str) -> &'a Decision {
    rebased.decisions.iter().find(|decision| decision.key == key).unwrap()
}

#[rstest]
#[case::bpf_masquerade_without_node_port(
    &[("enable-bpf-masquerade", "true"), ("kube-proxy-replacement", "disabled")], "1.14.19", "1.15.19", "enable-bpf-masquerade"
)]
#[case::bpf_masquerade_of_a_cluster_from_1_9(
    &[("enable-bpf-masquerade", "true"), ("kube-proxy-replacement", "disabled")], "1.10.20", "1.16.19", "enable-bpf-masquerade"
)]
#[case::bpf_masquerade_of_nothing(
    &[("enable-bpf-masquerade", "true"), ("enable-ipv4-masquerade", "false"), ("enable-ipv6-masquerade", "false")],
    "1.14.19", "1.15.19", "enable-bpf-masquerade"
)]
#[case::node_port_of_envoy_config(
    &[("enable-bpf-masquerade", "true"), ("enable-envoy-config", "true"), ("kube-proxy-replacement", "false")],
    "1.15.19", "1.16.19", "enable-bpf-masquerade"
)]
#[case::dsr_with_tunnels(
    &[("bpf-lb-mode", "dsr"), ("tunnel", "vxlan"), ("kube-proxy-replacement", "strict")], "1.12.19", "1.13.18", "bpf-lb-mode"
)]
#[case::ipsec_with_node_port(
    &[("enable-ipsec", "true"), ("kube-proxy-replacement", "true")], "1.16.19", "1.15.19", "enable-ipsec"
)]
#[case::wireguard_with_the_proxy(&[("enable-wireguard", "true")], "1.14.19", "1.13.18", "enable-wireguard")]
#[case::acceleration_with_tunnels(
    &[("bpf-lb-acceleration", "native"), ("tunnel", "geneve"), ("kube-proxy-replacement", "strict")],
    "1.13.18", "1.12.19", "bpf-lb-acceleration"
)]
#[case::no_iptables_rules(
    &[("kube-proxy-replacement", "true"), ("install-iptables-rules", "false")], "1.19.8", "1.20.0", "kube-proxy-replacement"
)]
#[case::dispatch_by_geneve(&[("bpf-lb-dsr-dispatch", "geneve")], "1.14.19", "1.13.18", "bpf-lb-dsr-dispatch")]
#[case::best_effort(&[("bpf-lb-acceleration", "best-effort")], "1.15.19", "1.14.19", "bpf-lb-acceleration")]
#[case::ipvlan(&[("datapath-mode", "ipvlan")], "1.11.20", "1.12.19", "datapath-mode")]
#[case::netkit(&[("datapath-mode", "netkit")], "1.16.19", "1.15.19", "datapath-mode")]
#[case::hybrid_routing(&[("routing-mode", "hybrid")], "1.20.0", "1.19.8", "routing-mode")]
#[case::underlay_of_both(&[("underlay-protocol", "auto")], "1.20.0", "1.19.8", "underlay-protocol")]
#[case::idle_before_the_upgrade(&[("routing-mode", "native")], "1.13.18", "1.14.19", "routing-mode")]
#[case::idle_before_a_longer_upgrade(&[("enable-wireguard", "true")], "1.9.18", "1.12.19", "enable-wireguard")]
#[case::idle_before_the_downgrade(&[("tunnel", "disabled")], "1.15.19", "1.14.19", "tunnel")]
fn reports_what_breaks(
    #[case] own: &[(&str, &str)],
    #[case] from: &str,
    #[case] to: &str,
    #[case] about: &str,
) {
    let rebased = go(own, from, to);
    let conflict = decision(&rebased, about);
    assert_eq!(conflict.class, Class::Conflict, "{}", conflict.why);
    assert!(rebased.needs_attention());
}

#[rstest]
#[case::bpf_masquerade_with_node_port(
    &[("enable-bpf-masquerade", "true"), ("kube-proxy-replacement", "strict")], "1.14.19", "1.15.19", "enable-bpf-masquerade"
)]
#[case::dsr_with_native_routing(
    &[("bpf-lb-mode", "dsr"), ("tunnel", "disabled"), ("kube-proxy-replacement", "strict")], "1.12.19", "1.13.18", "bpf-lb-mode"
)]
#[case::wireguard_without_the_proxy(
    &[("enable-wireguard", "true"), ("enable-l7-proxy", "false")], "1.14.19", "1.13.18", "enable-wireguard"
)]
#[case::idle_with_the_value_of_absence(&[("routing-mode", "tunnel")], "1.13.18", "1.14.19", "routing-mode")]
#[case::in_no_reference_before_1_17(&[("loadbalancer-l7", "envoy")], "1.14.19", "1.15.19", "loadbalancer-l7")]
fn keeps_what_works(#[case] own: &[(&str, &str)], #[case] from: &str, #[case] to: &str, #[case] about: &str) {
    let rebased = go(own, from, to);
    let kept = decision(&rebased, about);
    assert_eq!(kept.class, Class::Kept, "{}", kept.why);
}

/// The proxy for DNS was not transparent before 1.12, and agents with IPsec no longer start so.
#[rstest]
#[case::ipsec("true", "true")]
#[case::no_encryption("false", "false")]
fn ipsec_gets_a_transparent_proxy(#[case] ipsec: &str, #[case] transparent: &str) {
    let rebased = go(&[("enable-ipsec", ipsec)], "1.11.20", "1.13.18");
    let added = decision(&rebased, "dnsproxy-enable-transparent-mode");
    assert_eq!((added.class, added.after.as_deref()), (Class::Added, Some(transparent)), "{}", added.why);
}
