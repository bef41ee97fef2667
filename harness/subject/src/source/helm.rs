//! Runs helm.

use std::path::Path;

use super::error::ChartError;
use crate::spawn;

/// Runs helm and returns its output.
///
/// # Errors
/// When it cannot be started, or fails.
pub(crate) async fn helm(program: &Path, args: &[String]) -> Result<String, ChartError> {
    let start = |source| ChartError::Start { helm: program.to_owned(), source };
    let output = spawn::output(program, args).await.map_err(start)?;
    if !output.status.success() {
        let command = format!("{} {}", program.display(), shown(args).join(" "));
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ChartError::Helm { command, output });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The arguments without the values of `--set`, which may be secrets.
fn shown(args: &[String]) -> Vec<String> {
    let after_set = std::iter::once(false).chain(args.iter().map(|argument| argument == "--set"));
    let shown = args.iter().zip(after_set).map(|(argument, set)| match argument.split_once('=') {
        Some((key, _)) if set => format!("{key}=…"),
        _ => argument.clone(),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let args = ["template", "c", "--set", "etcd.password=secret", "--values=v.yaml"].map(str::to_owned);
        assert_eq!(shown(&args).join(" "), "template c --set etcd.password=… --values=v.yaml");
    }
}
