//! The subject's objects at each point of the run, and what changed between them.

use anyhow::Context as _;
use subject::Snapshot;

use super::recorder::Recorder;

/// Snapshots in the run folder.
pub(super) struct Snapshots<'a> {
    recorder: &'a Recorder,
    client: &'a kube::Client,
    points: Vec<String>,
    last: Option<Snapshot>,
}

impl<'a> Snapshots<'a> {
    /// None yet.
    pub(super) fn new(recorder: &'a Recorder, client: &'a kube::Client) -> Self {
        Self { recorder, client, points: Vec::new(), last: None }
    }

    /// Keeps the objects as they are now; a point that is reached again gets a number.
    pub(super) async fn take(&mut self, point: &str) -> anyhow::Result<()> {
        let taken = Snapshot::take(self.client).await.context("the subject's objects could not be read")?;
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
