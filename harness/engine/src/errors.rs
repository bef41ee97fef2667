//! Errors as a person reads them.

/// The causes of an error, outermost first, each once; what an API server said, without its wrapping.
pub fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let api = cause
            .downcast_ref::<kube::Error>()
            .or_else(|| cause.downcast_ref::<Box<kube::Error>>().map(|e| &**e));
        let text = match api {
            Some(kube::Error::Api(status)) => status.message.clone(),
            _ => cause.to_string(),
        };
        if causes.last().is_none_or(|last| !last.ends_with(&text)) {
            causes.push(text);
        }
        if matches!(api, Some(kube::Error::Api(_))) {
            break;
        }
    }
    causes
}

/// An error with its causes in one line.
pub fn line(error: &anyhow::Error) -> String {
    causes(error).join(": ")
}

/// Checks that this machine has what a provider needs, before anything is created.
///
/// # Errors
/// With a list of what is missing.
pub fn machine_is_ready(provider: &dyn cluster::Provider) -> anyhow::Result<()> {
    let missing = provider.missing();
    let lines: Vec<_> = missing.iter().map(|check| format!("{}: {}", check.what, check.detail)).collect();
    let (name, lines) = (provider.name(), lines.join("\n  "));
    anyhow::ensure!(missing.is_empty(), "this machine lacks what provider {name} needs:\n  {lines}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn api_answers_are_shown_by_their_message_alone() {
        let status = Status::failure("pods \"a\" is forbidden", "Forbidden").with_code(403).boxed();
        let error = anyhow::Error::new(kube::Error::Api(status)).context("pod a could not be applied");
        assert_eq!(line(&error), "pod a could not be applied: pods \"a\" is forbidden");
    }

    #[test]
    fn a_cause_that_is_in_the_message_already_is_not_repeated() {
        let inner = std::io::Error::other("disk full");
        let error = anyhow::Error::new(inner).context("cannot write: disk full").context("run failed");
        assert_eq!(line(&error), "run failed: cannot write: disk full");
    }
}
