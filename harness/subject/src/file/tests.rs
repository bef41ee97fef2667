use std::os::unix::fs::PermissionsExt as _;

use cluster::Components;
use rstest::rstest;

use super::*;

const FILE: &str = "name: bird\nnamespace: net\ndaemon-set: bird\ncontainer: router\nversions:\n  1.0.0: one.yaml\n  \
                    1.0.1: one.yaml\n";
const MANIFESTS: &str = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: bird, namespace: net}\nspec:\n  \
                         template:\n    spec:\n      containers:\n      - {name: router, image: \"bird:1\", env: \
                         [{name: KUBERNETES_SERVICE_PORT, value: \"1\"}]}\n---\napiVersion: v1\nkind: ConfigMap\n\
                         metadata: {name: bird-config}\n";

fn open(file: &str, manifests: &str) -> Result<FileSubject, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bird.yaml"), file).unwrap();
    std::fs::write(folder.path().join("one.yaml"), manifests).unwrap();
    let place = format!("{}/", folder.path().display());
    let file = folder.path().join("bird.yaml");
    FileSubject::open(&file, Vec::new(), &["cilium"]).map_err(|e| e.to_string().replace(&place, ""))
}

#[rstest]
#[case::unknown_key("image: x\n", "bird.yaml:8:1: unknown field `image`, expected one of")]
#[case::unknown_carried("carries: [policies]\n", "bird.yaml:8:11: unknown variant `policies`, expected")]
#[case::no_such_config(
    "config-map: nest\n",
    "bird.yaml:6:10: one.yaml has no ConfigMap nest in namespace net"
)]
fn errors_in_the_file_have_a_place(#[case] more: &str, #[case] message: &str) {
    let error = open(&format!("{FILE}{more}"), MANIFESTS).unwrap_err();
    assert!(error.starts_with(message), "{error}");
    assert!(!error.contains(" at line "), "{error}");
}

#[rstest]
#[case::no_version("1.0.1: one", "latest: one", "bird.yaml:7:3: \"latest\" is not a version: ")]
#[case::name("name: bird", "name: Big Bird", "bird.yaml:1:7: a name consists of lower-case letters")]
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
fn errors_in_what_it_names_have_a_place(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
    assert!(FILE.contains(from));
    let error = open(&FILE.replace(from, to), MANIFESTS).unwrap_err();
    assert!(error.starts_with(message), "{error}");
}

#[test]
fn manifests_that_are_not_objects_are_an_error_before_anything_exists() {
    let error = open(FILE, "kind: [").unwrap_err();
    assert!(
        error.starts_with("bird.yaml:6:10: one.yaml has a document that is not a Kubernetes object: "),
        "{error}"
    );
}

#[rstest]
#[case::exact("1.0.0", Ok("1.0.0"))]
#[case::latest_patch("1.0", Ok("1.0.1"))]
#[case::other_patch("1.0.9", Err("bird.yaml has no bird 1.0.9; it has 1.0.0, 1.0.1"))]
#[case::other_minor("1.2", Err("bird.yaml has no bird 1.2.0; it has 1.0.0, 1.0.1"))]
fn versions_are_those_of_the_file(#[case] asked: &str, #[case] expected: Result<&str, &str>) {
    let source = FileSubject { file: "bird.yaml".into(), ..open(FILE, MANIFESTS).unwrap() };
    let found = source.resolve(&asked.parse().unwrap());
    let found = found.map(|version| version.to_string()).map_err(|e| e.to_string());
    assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned));
}

#[rstest]
#[case::manifests("{manifests: one.yaml}", Ok(()))]
#[case::chart("{chart: nest}", Ok(()))]
#[case::values_of_a_file("{chart: nest, values: values.yaml}", Ok(()))]
#[case::no_chart(
    "{chart: one.yaml}",
    Err("bird.yaml:7:10: one.yaml is not a chart: name a folder with a Chart.yaml")
)]
#[case::both(
    "{manifests: one.yaml, chart: nest}",
    Err("bird.yaml:7:10: a version has either `manifests` or a `chart`")
)]
#[case::neither("{}", Err("bird.yaml:7:10: a version has either `manifests` or a `chart`"))]
#[case::values_of_manifests(
    "{manifests: one.yaml, values: {a: 1}}",
    Err("bird.yaml:7:10: only a chart has values")
)]
#[case::no_values(
    "{chart: nest, values: two.yaml}",
    Err("bird.yaml:7:10: the values two.yaml cannot be read")
)]
#[case::unknown_key("{charts: nest}", Err("bird.yaml:7:11: unknown field `charts`"))]
#[case::number("1.5", Err("bird.yaml:7:3: invalid type: floating point `1.5`, expected a path (in quotes"))]
fn a_version_is_manifests_or_a_chart(#[case] source: &str, #[case] expected: Result<(), &str>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bird.yaml");
    std::fs::write(&file, FILE.replace("1.0.1: one.yaml", &format!("1.0.1: {source}"))).unwrap();
    std::fs::write(folder.path().join("one.yaml"), MANIFESTS).unwrap();
    std::fs::write(folder.path().join("values.yaml"), "tag: v1\n").unwrap();
    std::fs::create_dir(folder.path().join("nest")).unwrap();
    std::fs::write(folder.path().join("nest/Chart.yaml"), "name: nest\nversion: 1.0.1\n").unwrap();
    let place = format!("{}/", folder.path().display());
    let opened = FileSubject::open(&file, Vec::new(), &[]).map(drop);
    let opened = opened.map_err(|e| e.to_string().replace(&place, ""));
    match expected {
        Ok(()) => assert_eq!(opened, Ok(())),
        Err(message) => {
            let error = opened.unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}

/// A helm that records its arguments, and renders the manifests beside it.
fn fake_helm(folder: &Path, manifests: &str) -> PathBuf {
    let (helm, rendered) = (folder.join("helm"), folder.join("rendered.yaml"));
    std::fs::write(&rendered, manifests).unwrap();
    let script = format!("#!/bin/sh\necho \"$@\" >>{}/argv\ncat {}\n", folder.display(), rendered.display());
    std::fs::write(&helm, script).unwrap();
    std::fs::set_permissions(&helm, std::fs::Permissions::from_mode(0o755)).unwrap();
    helm
}

async fn releases(file: &Path, helm: &Path, scratch: &Path) -> Result<Vec<Release>, PrepareError> {
    let subject = FileSubject::open(file, Vec::new(), &[])?;
    let components = Components::new(None, scratch.to_owned());
    let environment = Environment { components: &components, helm, scratch };
    let versions: Vec<_> = subject.versions.keys().cloned().collect();
    let prepared = subject.prepare(&versions, &environment).await?;
    let facts = Facts {
        helm: helm.to_owned(),
        kubernetes: "v1.34.4".to_owned(),
        api: ("10.0.0.1".to_owned(), 6443),
        nodes: Vec::new(),
        made: true,
    };
    assert_eq!(prepared.prerequisites(&facts)?.len(), 1, "charts need their namespace");
    prepared.releases(&facts).await
}

/// A chart of a component that is not Cilium is described by a file alone.
#[tokio::test]
async fn the_chart_of_the_example_is_rendered_with_its_values() {
    let scratch = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/e2e/flannel");
    let manifests = std::fs::read_to_string(example.join("0.25.7.yaml")).unwrap();
    let helm = fake_helm(scratch.path(), &manifests);
    let releases = releases(&example.join("flannel-chart.yaml"), &helm, scratch.path()).await.unwrap();
    let (versions, images): (Vec<_>, Vec<_>) =
        releases.iter().map(|release| (release.version.to_string(), release.image.clone())).unzip();
    assert_eq!(versions, ["0.25.7", "0.26.7"]);
    assert_eq!(images[0], "seatrial.local/flannel:v0.25.7");
    let values = scratch.path().join("0.26.7-values.yaml");
    assert_eq!(std::fs::read_to_string(&values).unwrap(), r#"{"tag":"v0.26.7"}"#);
    let arguments = format!(
        "template flannel {}/chart --namespace=kube-flannel --kube-version=v1.34.4 --include-crds --skip-tests \
         --values={}",
        example.display(),
        values.display()
    );
    let called = std::fs::read_to_string(scratch.path().join("argv")).unwrap();
    assert!(called.lines().any(|line| line == arguments), "{called}");
    let objects = releases[1].chart.render(Parts::All).await.unwrap();
    assert!(serde_json::to_string(&objects).unwrap().contains("KUBERNETES_SERVICE_HOST"));
}

#[tokio::test]
async fn a_chart_without_the_named_objects_is_an_error_before_a_cluster_is_made() {
    let scratch = tempfile::tempdir().unwrap();
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/e2e/flannel/flannel-chart.yaml");
    let helm = fake_helm(scratch.path(), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    let error = releases(&example, &helm, scratch.path()).await.unwrap_err().to_string();
    assert!(error.ends_with("/chart has no DaemonSet kube-flannel in namespace kube-flannel"), "{error}");
}
