//! The choice of a subject.

use subject::{Subject, SubjectOptions, registry};

use crate::exit::Usage;

/// Constructs the subject that the options choose.
///
/// # Errors
/// When the options choose none, or what they name cannot be read.
pub fn choose(options: &SubjectOptions) -> Result<Box<dyn Subject>, Usage> {
    Ok(registry::choose(options)?)
}

/// Checks that an upgrade of an existing installation keeps its settings.
///
/// # Errors
/// When the defaults of the charts would replace them.
pub fn keeps_settings(options: &SubjectOptions) -> Result<(), Usage> {
    if options.charts.is_some() && options.values.is_empty() {
        let remedy = "name the values of your installation with --values, as `helm get values cilium -n kube-system \
                      -o yaml` prints them, or a file with {} if it has none";
        return Err(Usage(format!("the defaults of the charts would replace your settings: {remedy}")));
    }
    Ok(())
}
