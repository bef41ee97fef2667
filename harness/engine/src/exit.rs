//! Exit codes, as documented in the README.

use report::run::Verdict;

/// Everything was fine.
pub const PASSED: u8 = 0;
/// There are findings.
pub const FINDINGS: u8 = 1;
/// Bad usage or input; nothing was changed.
pub const USAGE: u8 = 2;
/// The harness, the cluster or the environment failed.
pub const ERRORED: u8 = 3;
/// Nothing ran, or a required part was skipped.
pub const SKIPPED: u8 = 4;
/// The user interrupted it.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a verdict. A noisy run says nothing about the subject, so it is errored.
pub fn of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Passed => PASSED,
        Verdict::Failed => FINDINGS,
        Verdict::Errored | Verdict::Noisy => ERRORED,
        Verdict::Skipped => SKIPPED,
        Verdict::Interrupted => INTERRUPTED,
    }
}

/// Bad usage or input: the message goes to the user as it is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl From<subject::InputError> for Usage {
    fn from(error: subject::InputError) -> Self {
        Self(error.0)
    }
}
