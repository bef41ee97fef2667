//! The subject's objects at each point of the run, files of the nodes that matter among them, and what changed between
//! them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::node_file::NodeFiles;
use serde_json::{Value, json};
use subject::{Names, Snapshot};

use crate::record::Recorder;
use crate::redact::redact;

/// Snapshots in the run folder.
pub(crate) struct Snapshots<'a> {
    recorder: &'a Recorder,
    client: &'a kube::Client,
    names: Names,
    nodes: NodeFiles,
    /// The files that are kept as well.
    files: Vec<PathBuf>,
    /// What is kept at the next point only.
    once: Vec<(String, Value)>,
    points: Vec<String>,
    last: Option<Snapshot>,
}

impl<'a> Snapshots<'a> {
    /// None yet; each will hold these files of the nodes, too.
    pub(crate) fn new(
        recorder: &'a Recorder,
        client: &'a kube::Client,
        names: Names,
        nodes: NodeFiles,
        files: Vec<PathBuf>,
    ) -> Self {
        Self { recorder, client, names, nodes, files, once: Vec::new(), points: Vec::new(), last: None }
    }

    /// Keeps something at the next point.
    pub(crate) fn keep(&mut self, kept: Option<(String, Value)>) {
        self.once.extend(kept);
    }

    /// Keeps the objects as they are now; a point that is reached again gets a number.
    pub(crate) async fn take(&mut self, point: &str) -> anyhow::Result<()> {
        let taken = Snapshot::take(self.client, &self.names).await;
        let mut taken = taken.context("the subject's objects could not be read")?;
        for path in &self.files {
            taken.add(&object_name(path), &self.file(path).await?);
        }
        for (name, value) in self.once.drain(..) {
            taken.add(&name, &value);
        }
        taken.rewrite(redact);
        let point = numbered(point, &self.points);
        let folder = self.recorder.folder().objects();
        let failed = || format!("the objects could not be written to {}", folder.display());
        taken.write(&folder.join(&point)).with_context(failed)?;
        if let (Some(before), Some(last)) = (self.points.last(), &self.last) {
            let name = format!("{before}--{point}.diff");
            std::fs::write(folder.join(name), last.diff(&taken)).with_context(failed)?;
        }
        self.last = Some(taken);
        self.points.push(point);
        Ok(())
    }
}

impl Snapshots<'_> {
    /// A file as it is on each node, in order of the nodes' names.
    async fn file(&self, path: &Path) -> anyhow::Result<Value> {
        let read = self.nodes.read(path).await?;
        Ok(read.into_iter().map(|(node, text)| json!({"node": node, "text": text})).collect())
    }
}

fn object_name(path: &Path) -> String {
    format!("file-{}", path.file_name().unwrap_or_default().to_string_lossy())
}

fn numbered(point: &str, taken: &[String]) -> String {
    let again = |known: &&String| {
        known.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    match taken.iter().filter(again).count() {
        0 => point.to_owned(),
        times => format!("{point}_{}", times + 1),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first(&[], "upgraded-1.6.1")]
    #[case::other(&["upgraded-1.6.12"], "upgraded-1.6.1")]
    #[case::again(&["upgraded-1.6.1"], "upgraded-1.6.1_2")]
    #[case::third_time(&["upgraded-1.6.1", "x", "upgraded-1.6.1_2"], "upgraded-1.6.1_3")]
    fn points_are_told_apart(#[case] taken: &[&str], #[case] expected: &str) {
        let taken: Vec<_> = taken.iter().map(|&point| point.to_owned()).collect();
        assert_eq!(numbered("upgraded-1.6.1", &taken), expected);
    }
}
