//! Charts that are not the stand-in's own: chart after chart with our images under their names, and the hazards of charts.
//!
//! Cilium's own charts are upgraded as well where `SEATRIAL_CHARTS` names a folder with one for each version, as
//! `helm pull cilium/cilium --version 1.6.12` writes them.

use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use report::run::{Outcome, Run, Step};
use tempfile::TempDir;

use crate::command::{cache, check, component, record, run, seatrial, tool};
use crate::file_server::FileServer;

/// The chart that has the traits of Cilium's.
const TEMPLATES: [(&str, &str); 5] = [
    ("_parts.tpl", include_str!("charts/templates/_parts.tpl")),
    ("agent.yaml", include_str!("charts/templates/agent.yaml")),
    ("config.yaml", include_str!("charts/templates/config.yaml")),
    ("operator.yaml", include_str!("charts/templates/operator.yaml")),
    ("preflight.yaml", include_str!("charts/templates/preflight.yaml")),
];
/// The values of a chart since 1.9.
pub(crate) const WHOLE: &str = include_str!("charts/values-whole.yaml");
const VERSIONS: [(&str, &str); 4] = [
    ("1.6.12", include_str!("charts/values-subcharts.yaml")),
    ("1.7.1", include_str!("charts/values-subcharts.yaml")),
    ("1.8.0", include_str!("charts/values-subcharts.yaml")),
    ("1.9.18", WHOLE),
];

/// Writes it for each version.
pub(crate) fn charts() -> Result<TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    for (version, values) in VERSIONS {
        write(&folder.path().join(version), version, values)?;
    }
    Ok(folder)
}

/// Writes it for one version.
pub(crate) fn write(chart: &Path, version: &str, values: &str) -> Result<(), Failed> {
    std::fs::create_dir_all(chart.join("templates"))?;
    let about = format!("apiVersion: v2\nname: cilium\nversion: {version}\n");
    std::fs::write(chart.join("Chart.yaml"), about)?;
    std::fs::write(chart.join("values.yaml"), values)?;
    for (name, text) in TEMPLATES {
        std::fs::write(chart.join("templates").join(name), text)?;
    }
    Ok(())
}

/// Packs charts for a repository, with its index.
pub(crate) fn pack<'a>(
    charts: impl IntoIterator<Item = (&'a str, PathBuf)>,
    folder: &Path,
) -> Result<(), Failed> {
    let mut index = vec!["apiVersion: v1".to_owned(), "entries:".to_owned(), "  cilium:".to_owned()];
    for (version, chart) in charts {
        let archive = format!("cilium-{version}.tgz");
        let mut tar = tool("tar", &["--create", "--gzip", "--transform", "s,^\\.,cilium,", "--file"]);
        tar.arg(folder.join(&archive)).arg("--directory").arg(chart).arg(".");
        run(&mut tar)?.expect_code(0)?;
        index.push(format!("  - {{apiVersion: v2, name: cilium, version: {version}, urls: [{archive}]}}"));
    }
    Ok(std::fs::write(folder.join("index.yaml"), index.join("\n"))?)
}

/// What the guide says about the hazards of these charts, as values.
const REMEDIES: [&str; 4] = [
    "1.7-1.8:agent.keepDeprecatedLabels=true",
    "1.8:agent.keepDeprecatedProbes=true",
    "1.9-1.99:keepDeprecatedLabels=true",
    "1.9-1.99:keepDeprecatedProbes=true",
];

/// The selector that loses a label ends the upgrade before anything is applied, and what to do is said.
pub(crate) fn an_immutable_selector_is_found() -> Result<(), Failed> {
    let charts = charts()?;
    let record = upgraded(charts.path(), ["1.6", "1.7"], &[], 1)?;
    let finding = record.findings.first().ok_or("there is no finding")?;
    let summary = "upgrade 1.6.12 -> 1.7.1 cannot be applied, immutable-selector: render with \
                   agent.keepDeprecatedLabels=true";
    if finding.hazard.as_deref() != Some("immutable-selector") || finding.summary != summary {
        return Err(format!("this is not the documented hazard and its remedy: {finding:?}").into());
    }
    if record.steps.iter().any(|step| step.name.starts_with("upgrade ")) {
        return Err("the upgrade went on".into());
    }
    Ok(())
}

/// With what the guide says, the same charts are upgraded one after the other and rolled back.
pub(crate) fn stage_by_stage() -> Result<(), Failed> {
    let charts = charts()?;
    let record = upgraded(charts.path(), ["1.6", "1.9"], &REMEDIES, 0)?;
    went(&record, &["1.6.12", "1.7.1", "1.8.0", "1.9.18", "1.8.0"])?;
    let shim = "cilium's charts with images of the stand-in";
    if record.subject != shim {
        return Err(format!("the report does not say that the images are ours: {}", record.subject).into());
    }
    shim_is_written(charts.path())
}

/// The same charts rendered beforehand, as one file and as a folder of files: no chart is left, nor a value.
pub(crate) fn manifests() -> Result<(), Failed> {
    let (charts, folder, helm) = (charts()?, tempfile::tempdir()?, component("helm")?);
    let rendered = |version: &str, set: &str| -> Result<String, Failed> {
        let chart = charts.path().join(version).display().to_string();
        let words = ["template", "cilium", &chart, "--namespace=kube-system", "--set", set];
        Ok(run(&mut tool(&helm, &words))?.expect_code(0)?.out)
    };
    let keep = "agent.keepDeprecatedLabels=true,preflight.enabled=true";
    std::fs::write(folder.path().join("1.6.12.yaml"), rendered("1.6.12", keep)?)?;
    std::fs::create_dir(folder.path().join("1.7.1"))?;
    for (index, document) in rendered("1.7.1", keep)?.split("\n---\n").enumerate() {
        std::fs::write(folder.path().join(format!("1.7.1/{index:02}.yaml")), document)?;
    }
    let record = upgraded(folder.path(), ["1.6", "1.7"], &[], 0)?;
    went(&record, &["1.6.12", "1.7.1", "1.6.12"])?;
    let checked = |step: &Step| step.name == "pre-flight check 1.7.1" && step.outcome == Outcome::Done;
    if record.steps.iter().any(checked) {
        return Ok(());
    }
    Err(format!("there was no pre-flight check: {:?}", record.steps).into())
}

/// The same images as an archive, for clusters of others.
fn shim_is_written(charts: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("shim.tar");
    let mut write = seatrial(&["image", "--shim", "1.6", "--shim", "1.9"]);
    run(write.arg("--charts").arg(charts).arg(&archive))?
        .expect_code(0)?
        .expect_words(&["/cilium:v1.6.12", "/cilium:v1.9.18"])?;
    let listed = run(tool("tar", &["-tf"]).arg(&archive))?.expect_code(0)?.expect_words(&["index.json"])?;
    if listed.out.lines().filter(|line| line.starts_with("blobs/sha256/")).count() < 4 {
        return Err(format!("the archive holds too little: {}", listed.out).into());
    }
    Ok(())
}

/// The same for Cilium's own charts, from the oldest that is there to the newest, over the latest of each minor between.
pub(crate) fn of_cilium() -> Result<(), Failed> {
    let folder = std::env::var_os("SEATRIAL_CHARTS");
    let folder = folder.ok_or("SEATRIAL_CHARTS is not set; name a folder with Cilium's charts in it")?;
    let folder = Path::new(&folder);
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let numbers = |name: String| -> Vec<u32> {
        let version = name.trim_start_matches("cilium-").trim_end_matches(".tgz");
        version.split('.').map_while(|part| part.parse().ok()).collect()
    };
    let mut versions: Vec<Vec<u32>> =
        names.map(|name: std::io::Result<String>| name.map(numbers)).collect::<Result<_, _>>()?;
    versions.sort();
    let minor = |version: &[u32]| version.get(..2).map(<[u32]>::to_vec);
    let stops = versions.iter().enumerate().filter(|(index, version)| {
        let next = versions.get(index + 1);
        *index == 0 || next.is_none_or(|next| minor(next) != minor(version))
    });
    let text = |version: &Vec<u32>| version.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    let way: Vec<String> = stops.map(|(_, version)| text(version)).collect();
    let way: Vec<&str> = way.iter().map(String::as_str).collect();
    let [first, .., last] = way[..] else {
        return Err(format!("{} holds no two versions of Cilium's charts", folder.display()).into());
    };
    let record = upgraded(folder, [first, last], &REMEDIES, 0)?;
    went(&record, &way)
}

/// The same charts in a repository: a version without a patch is the latest that it has, and one that it lacks is named.
pub(crate) fn repository() -> Result<(), Failed> {
    let (charts, folder) = (charts()?, tempfile::tempdir()?);
    pack(VERSIONS.map(|(version, _)| (version, charts.path().join(version))), folder.path())?;
    // What is fetched from here is of no use to anybody later.
    let kept = tempfile::tempdir()?;
    std::os::unix::fs::symlink(cache().join("components"), kept.path().join("components"))?;
    let server = FileServer::start(folder.path())?;
    let images = |way: [&str; 2]| {
        let mut command =
            seatrial(&["run", "--subject", "cilium", "--print-images", "--charts", server.address()]);
        run(command.args(way).env("SEATRIAL_CACHE", kept.path()))
    };
    images(["1.6", "1.9"])?.expect_code(0)?.expect_words(&["v1.6.12", "v1.7.1", "v1.8.0", "v1.9.18"])?;
    let lacks = format!("there is no chart of Cilium 1.7.4 in {}, which has 1.7.1", server.address());
    images(["1.6", "1.7.4"])?.expect_code(2)?.expect_words(&[&lacks])?;
    let address = server.address().to_owned();
    drop(server);
    let mut command = seatrial(&["run", "1.6", "1.7", "--subject", "cilium", "--charts", &address, "--shim"]);
    run(&mut command)?
        .expect_code(2)?
        .expect_words(&[&format!("the chart repository {address} does not answer"), "helm repo add"])?;
    Ok(())
}

/// Runs an upgrade with charts and images of ours, and returns its record.
fn upgraded(charts: &Path, versions: [&str; 2], set: &[&str], code: i32) -> Result<Run, Failed> {
    let out = tempfile::tempdir()?;
    let mut command = seatrial(&["run", "--rollback", "--subject", "cilium", "--shim", "--charts"]);
    command.arg(charts).arg("--out").arg(out.path()).args(versions);
    command.args(set.iter().flat_map(|pair| ["--set", pair]));
    run(&mut command)?.expect_code(code)?;
    let Some(folder) = std::fs::read_dir(out.path())?.next().transpose()? else {
        return Err("the run left no folder".into());
    };
    record(&folder.path())
}

/// Fails unless the record's path begins with these versions.
pub(crate) fn went(record: &Run, expected: &[&str]) -> Result<(), Failed> {
    let first = record.path.first().map(|hop| hop.from.as_str());
    let way: Vec<_> = first.into_iter().chain(record.path.iter().map(|hop| hop.to.as_str())).collect();
    check(way.starts_with(expected), format!("the path is {way:?}, not {expected:?}"))
}
