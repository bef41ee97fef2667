//! An upgrade: its request, its procedure and its recipe.

pub mod procedure;
pub mod recipe;
pub mod request;

use futures_util::future::LocalBoxFuture;
use std::collections::BTreeSet;

use cluster::Component;
use subject::Environment;

pub use request::RunOptions;

use crate::command_line::CommandLine;
use crate::procedure::upgrade;
use crate::scratch::Scratch;
use crate::subjects;
use request::{Planned, Request};

/// Runs the upgrade to its report and returns the exit code.
///
/// # Errors
/// When the options are wrong, or the run folder cannot be written.
pub fn run(options: RunOptions, line: CommandLine) -> LocalBoxFuture<'static, anyhow::Result<u8>> {
    Box::pin(async move { Ok(upgrade(&Request::from_options(options, line).await?).await?.exit_code) })
}

/// The images of every version, for a registry or an archive.
///
/// # Errors
/// When the options are wrong, or the images cannot be read from the charts.
pub fn images(options: &RunOptions) -> LocalBoxFuture<'_, anyhow::Result<BTreeSet<String>>> {
    Box::pin(async move {
        let components = options.provider.components();
        let Planned { subject, procedure, .. } = options.plan(&components, None).await?;
        let versions = procedure.versions();
        let helm = components.resolve(Component::Helm, &|_| ()).await?;
        let scratch = Scratch::new("images-")?;
        let environment = Environment { components: &components, helm: &helm, scratch: scratch.path() };
        subject.images(&versions, &environment).await.map_err(subjects::failed)
    })
}
