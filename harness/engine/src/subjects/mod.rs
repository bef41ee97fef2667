//! Subjects as runs use them: the options that choose one, its preparation, and the part of the traffic that it carries.

mod carried;
mod options;

use futures_util::future::LocalBoxFuture;
use std::path::Path;

use cluster::Components;
use model::{Version, VersionSpec};
use subject::{Environment, PrepareError, Prepared, Subject};

pub use carried::{missing, traffic};
pub use options::{choose, keeps_settings};

use crate::bundle::Bundle;
use crate::exit::Usage;

/// Makes charts and images of the versions, in order; the first one is installed.
///
/// # Errors
/// When a chart or an image cannot be made.
pub fn prepare<'a>(
    subject: &'a dyn Subject,
    versions: &'a [Version],
    bundle: &'a Bundle,
    components: &'a Components,
    helm: &'a Path,
) -> LocalBoxFuture<'a, anyhow::Result<Box<dyn Prepared>>> {
    Box::pin(async move {
        let environment = Environment { components, helm, scratch: bundle.folder() };
        subject.prepare(versions, &environment).await.map_err(failed)
    })
}

/// Resolves what a person wrote for a version.
///
/// # Errors
/// When there is no such version.
pub fn resolve(subject: &dyn Subject, text: &str) -> Result<Version, Usage> {
    let spec: VersionSpec = text.parse().map_err(|e| Usage(format!("{e}")))?;
    Ok(subject.resolve(&spec)?)
}

/// The error of a preparation: input that cannot be used is bad usage.
pub fn failed(error: PrepareError) -> anyhow::Error {
    match error {
        PrepareError::Input(e) => Usage::from(e).into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
