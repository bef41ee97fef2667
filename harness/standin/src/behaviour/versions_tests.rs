//! Which version behaves in which way: the last one before a change, and the first one after it.

use rstest::rstest;

use super::connection_table::Takeover;
use super::*;

fn of(version: &str) -> Behaviours {
    Behaviours::of(version.parse().unwrap()).unwrap()
}

#[rstest]
#[case::before("1.5.13", CniConf::KeepExisting)]
#[case::from_1_6("1.6.12", CniConf::Overwrite)]
fn cni_configurations(#[case] version: &str, #[case] expected: CniConf) {
    assert_eq!(of(version).cni_conf, expected);
}

#[rstest]
#[case::before("1.5.13", BackendChoice::KvstoreOnly)]
#[case::from_1_6("1.6.12", BackendChoice::Selectable)]
fn backends_of_identities(#[case] version: &str, #[case] expected: BackendChoice) {
    assert_eq!(of(version).backend, expected);
}

#[rstest]
#[case::before("1.5.13", &["CiliumNetworkPolicy", "CiliumEndpoint"])]
#[case::from_1_6("1.6.12", &["CiliumNetworkPolicy", "CiliumEndpoint", "CiliumNode", "CiliumIdentity"])]
fn custom_resources_of_versions(#[case] version: &str, #[case] expected: &[&str]) {
    assert_eq!(of(version).custom_resources, expected);
}

#[rstest]
#[case::before("1.3.8", UnknownTcp::PickUp)]
#[case::from_1_4("1.4.10", UnknownTcp::Refuse)]
fn unknown_connections(#[case] version: &str, #[case] expected: UnknownTcp) {
    assert_eq!(of(version).connection_table.unknown, expected);
}

#[rstest]
#[case::before_names("1.1.6", NameSources::Nothing)]
#[case::from_1_2("1.2.8", NameSources::Poller)]
#[case::before_the_proxy("1.3.8", NameSources::Poller)]
#[case::from_1_4("1.4.10", NameSources::Proxy)]
#[case::the_last("1.6.12", NameSources::Proxy)]
fn names_of_policies(#[case] version: &str, #[case] expected: NameSources) {
    assert_eq!(of(version).names, expected);
}

#[rstest]
#[case::of_1_1("1.1.6", ConntrackGc::Fixed)]
#[case::from_1_2("1.2.8", ConntrackGc::Seconds)]
#[case::before_1_5("1.4.10", ConntrackGc::Seconds)]
#[case::from_1_5("1.5.13", ConntrackGc::Dynamic)]
fn collections_of_dead_connections(#[case] version: &str, #[case] expected: ConntrackGc) {
    assert_eq!(of(version).conntrack_gc, expected);
}

/// With the options of all minors given: the sizes of the table of TCP, and of that of all other connections.
#[rstest]
#[case::before_the_options("1.2.8", (524_288, 262_144))]
#[case::from_1_3("1.3.8", (130_000, 13_000))]
#[case::without_effect_on_tcp("1.4.10", (1_000_000, 13_000))]
#[case::from_1_5("1.5.13", (150_000, 15_000))]
fn sizes_of_tables(#[case] version: &str, #[case] expected: (u32, u32)) {
    let options = [
        ("global-ct-max-tcp", "130000"),
        ("global-ct-max-any", "13000"),
        ("bpf-ct-global-tcp-max", "150000"),
        ("bpf-ct-global-any-max", "15000"),
    ];
    let (settings, table) = (options.into_iter().collect(), of(version).connection_table);
    let read = |size: TableSize| size.read(&settings).unwrap();
    assert_eq!((read(table.tcp_size), read(table.any_size)), expected);
}

#[rstest]
#[case::always("1.0.7", [true, true, true])]
#[case::unless_told_otherwise("1.1.6", [true, true, false])]
#[case::last_of_these("1.3.8", [true, true, false])]
#[case::if_told("1.4.10", [false, true, false])]
#[case::never("1.5.13", [false, false, false])]
fn masqueraded_world_as_host(#[case] version: &str, #[case] expected: [bool; 3]) {
    let key = "legacy-host-allows-world";
    let settings = [vec![], vec![(key, "true")], vec![(key, "false")]];
    let is_host =
        settings.map(|it| of(version).masqueraded_world.is_host(&it.into_iter().collect()).unwrap());
    assert_eq!(is_host, expected);
}

/// 1.2 reads neither of the formats before it.
#[rstest]
#[case::of_1_0("1.0.7")]
#[case::of_1_1("1.1.6")]
fn tables_that_1_2_clears(#[case] before: &str) {
    let made = |version: &str| of(version).connection_table.made(&[].into_iter().collect()).unwrap();
    let taken = of("1.2.8").connection_table.take_over(Some(made(before)), made("1.2.8"));
    assert_eq!(taken, Ok(Takeover::Clear));
}
