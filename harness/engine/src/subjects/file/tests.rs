use probe::traffic::Settings;
use rstest::rstest;

use super::*;
use crate::schema;

const FILE: &str = "name: bird\nnamespace: net\ndaemon-set: bird\ncontainer: router\nversions:\n  1.0.0: one.yaml\n  \
                    1.0.1: one.yaml\n";
const MANIFESTS: &str = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: bird, namespace: net}\nspec:\n  \
                         template:\n    spec:\n      containers:\n      - {name: router, image: \"bird:1\", env: \
                         [{name: KUBERNETES_SERVICE_PORT, value: \"1\"}]}\n---\napiVersion: v1\nkind: ConfigMap\n\
                         metadata: {name: bird-config}\n";

fn open(file: &str, manifests: &str) -> Result<Source, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bird.yaml"), file).unwrap();
    std::fs::write(folder.path().join("one.yaml"), manifests).unwrap();
    let place = format!("{}/", folder.path().display());
    Source::open(&folder.path().join("bird.yaml"), Vec::new()).map_err(|e| e.to_string().replace(&place, ""))
}

#[rstest]
#[case::unknown_key("image: x\n", "bird.yaml:8:1: unknown field `image`, expected one of")]
#[case::unknown_carried("carries: [policies]\n", "bird.yaml:8:11: unknown variant `policies`, expected")]
#[case::no_such_config(
    "config-map: nest\n",
    "bird.yaml:6:10: one.yaml has no ConfigMap nest in namespace net"
)]
fn what_is_wrong_is_said_with_its_place(#[case] more: &str, #[case] said: &str) {
    let error = open(&format!("{FILE}{more}"), MANIFESTS).unwrap_err();
    assert!(error.starts_with(said), "{error}");
    assert!(!error.contains(" at line "), "{error}");
}

#[rstest]
#[case::no_version("1.0.1: one", "latest: one", "bird.yaml:7:3: \"latest\" is not a version: ")]
#[case::name("name: bird", "name: Big Bird", "bird.yaml:1:7: a name is written in small letters")]
#[case::name_of_another(
    "name: bird",
    "name: cilium",
    "bird.yaml:1:7: the name cilium is that of --subject cilium"
)]
#[case::missing("namespace: net\n", "", "bird.yaml:4:1: missing field `namespace`")]
#[case::manifests("1.0.1: one", "1.0.1: two", "bird.yaml:7:10: two.yaml could not be read: No such file")]
#[case::agents(
    "daemon-set: bird",
    "daemon-set: owl",
    "bird.yaml:6:10: one.yaml has no DaemonSet owl in namespace net"
)]
#[case::elsewhere(
    "namespace: net",
    "namespace: zoo",
    "bird.yaml:6:10: one.yaml has no DaemonSet bird in namespace zoo"
)]
#[case::container(
    "container: router",
    "container: egg",
    "bird.yaml:6:10: one.yaml has no container egg with an image"
)]
fn what_does_not_fit_is_said_with_its_place(#[case] from: &str, #[case] to: &str, #[case] said: &str) {
    assert!(FILE.contains(from));
    let error = open(&FILE.replace(from, to), MANIFESTS).unwrap_err();
    assert!(error.starts_with(said), "{error}");
}

#[test]
fn ours_keeps_to_the_published_schema() {
    let ours = include_str!("../../../../../scenarios/e2e/flannel/flannel.yaml");
    let published = schema::published::<SubjectFile>("subject");
    assert_eq!(schema::errors(&published, ours), [""; 0]);
    assert_ne!(schema::errors(&published, &ours.replace("[ipv6]", "[policies]")), [""; 0]);
}

#[test]
fn manifests_that_are_no_objects_are_told_before_anything_exists() {
    let error = open(FILE, "kind: [").unwrap_err();
    assert!(
        error.starts_with("bird.yaml:6:10: one.yaml holds a document that is no Kubernetes object: "),
        "{error}"
    );
}

#[rstest]
#[case::exact("1.0.0", Ok("1.0.0"))]
#[case::latest_patch("1.0", Ok("1.0.1"))]
#[case::other_patch("1.0.9", Err("bird.yaml has no manifests of bird 1.0.9; it has those of 1.0.0, 1.0.1"))]
#[case::other_minor("1.2", Err("bird.yaml has no manifests of bird 1.2.0; it has those of 1.0.0, 1.0.1"))]
fn versions_are_those_of_the_file(#[case] asked: &str, #[case] expected: Result<&str, &str>) {
    let source = Source { file: "bird.yaml".into(), ..open(FILE, MANIFESTS).unwrap() };
    let found = source.resolve(&asked.parse().unwrap());
    let found = found.map(|version| version.to_string()).map_err(|e| e.to_string());
    assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
}

#[rstest]
#[case::nothing(
    "",
    "bird does not carry policies, Services and their names, the world outside: nothing of that is tried"
)]
#[case::world(
    "carries: [world]\n",
    "bird does not carry policies, Services and their names: nothing of that is tried"
)]
#[case::all("carries: [services, world]\n", "bird does not carry policies: nothing of that is tried")]
fn what_is_not_carried_is_not_planned_and_said(#[case] more: &str, #[case] said: &str) {
    let source = open(&format!("{FILE}{more}"), MANIFESTS).unwrap();
    assert_eq!(source.lacks(), said);
    let nodes = ["node1".to_owned(), "node2".to_owned()];
    let traffic = source.traffic(Traffic::standard(&nodes, true, &Settings::default()));
    let planned = |via| traffic.flows.iter().any(|flow| flow.path.via == via);
    assert!(planned(Via::PodIp) && planned(Via::HostIp) && traffic.grants.is_empty());
    assert_eq!(planned(Via::ClusterIp), source.carries_services());
    assert_eq!(planned(Via::NodePort), source.carries_services());
    assert_eq!(planned(Via::Outside), more.contains("world"));
}

/// The parts of a run that serve every component name none of them.
#[test]
fn what_runs_measures_and_reports_knows_no_component() {
    let mut folders: Vec<PathBuf> = ["../probe", "../report/src", "src/run"].map(PathBuf::from).into();
    // What is said to users of Cilium, what is asked of a cluster of theirs, and an example of a record.
    let exempt = ["request.rs", "watch.rs", "look.rs", "existing", "fixture.rs"];
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
