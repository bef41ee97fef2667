//! The step `place-file`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Done, Planner, Step, StepAction, StepContext, Unplannable};

/// A file of the nodes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "PlacedFile")]
pub struct PlaceFile {
    /// Its path on the node.
    #[schemars(regex(pattern = r"^/.+"))]
    pub path: String,
    /// Its content.
    pub text: String,
}

impl PlaceFile {
    /// Its path on the node.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.path)
    }
}

impl StepAction for PlaceFile {
    fn plan(&self, planner: &mut Planner) -> Result<(), Unplannable> {
        let path = self.path();
        if !path.is_absolute() || path.file_name().is_none() {
            return Err(Unplannable::wrong("place-file needs the path of a file"));
        }
        let (name, action) = (format!("place {}", self.path), Action::PlaceFile(self.clone()));
        planner.add(Step::new(name, action, planner.current()).keeping("placed"));
        Ok(())
    }

    async fn run(&self, _: &Step, context: &StepContext<'_>) -> anyhow::Result<Done> {
        context.files.write(self.path(), &self.text).await?;
        Ok(Done::silent())
    }

    fn suits_existing_clusters(&self) -> bool {
        false
    }
}
