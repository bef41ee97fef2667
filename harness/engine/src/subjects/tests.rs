use std::path::{Path, PathBuf};

use probe::flow::Via;
use probe::traffic::{Settings, Traffic};
use rstest::rstest;
use subject::fake::FakeSubject;
use subject::file::SubjectFile;
use subject::{Capabilities, Capability};

use super::*;
use crate::schema;

#[rstest]
#[case::file("flannel.yaml")]
#[case::file_with_a_chart("flannel-chart.yaml")]
fn the_examples_match_the_published_schema(#[case] file: &str) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/e2e/flannel").join(file);
    let example = std::fs::read_to_string(example).unwrap();
    let published = schema::published::<SubjectFile>("subject");
    assert_eq!(schema::errors(&published, &example), [""; 0]);
    assert_ne!(schema::errors(&published, &example.replace("[ipv6]", "[policies]")), [""; 0]);
}

#[rstest]
#[case::nothing(
    [].into(),
    Some("fake does not carry policies, Services and their names, hosts outside of the cluster: no such traffic is sent")
)]
#[case::world(
    [Capability::World].into(),
    Some("fake does not carry policies, Services and their names: no such traffic is sent")
)]
#[case::all_but_policies(
    [Capability::Services, Capability::World].into(),
    Some("fake does not carry policies: no such traffic is sent")
)]
#[case::all([Capability::Policies, Capability::Services, Capability::World].into(), None)]
fn what_is_not_carried_is_not_sent(#[case] carries: Capabilities, #[case] message: Option<&str>) {
    let fake = FakeSubject { carries: carries.clone(), ..FakeSubject::default() };
    assert_eq!(missing(&fake).as_deref(), message);
    let nodes = ["node1".to_owned(), "node2".to_owned()];
    let traffic = traffic(&fake, Traffic::standard(&nodes, true, &Settings::default()));
    let planned = |via| traffic.flows.iter().any(|flow| flow.path.via == via);
    assert!(planned(Via::PodIp) && planned(Via::HostIp));
    assert_eq!(traffic.grants.is_empty(), !carries.has(Capability::Policies));
    assert_eq!(planned(Via::ClusterIp), carries.has(Capability::Services));
    assert_eq!(planned(Via::NodePort), carries.has(Capability::Services));
    assert_eq!(planned(Via::Outside), carries.has(Capability::World));
}

/// The parts of a run that serve every component name none of them.
#[test]
fn what_runs_measures_and_reports_knows_no_component() {
    let engine = ["src/judge", "src/lifecycle", "src/observe", "src/record", "src/session"];
    let others = ["../probe", "../report/src", "../subject/src/daemonset", "../subject/src/source"];
    let mut folders: Vec<PathBuf> = engine.into_iter().chain(others).map(PathBuf::from).collect();
    // Policies of traffic are Cilium's, and a record in an example.
    let exempt = ["session/traffic.rs", "fixture.rs"];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if exempt.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            read += 1;
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            assert!(!text.contains("cilium"), "{} knows Cilium", path.display());
        }
    }
    assert!(read > 80, "only {read} files were looked at");
}
