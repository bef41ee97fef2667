//! Whether the agent works, and if not, why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The parts of the agent that are not in order, by name.
pub(crate) struct Status(Mutex<BTreeMap<&'static str, String>>);

impl Status {
    /// Starts with one pending condition.
    pub(crate) fn starting() -> Self {
        Self(Mutex::new(BTreeMap::from([("agent", "starting".to_owned())])))
    }

    /// Notes the state of a part; `None` means that it is in order.
    pub(crate) fn note(&self, part: &'static str, problem: Option<String>) {
        let mut problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => problems.insert(part, problem),
            None => problems.remove(part),
        };
    }

    /// Everything that is wrong, in one line.
    pub(crate) fn problem(&self) -> Option<String> {
        let problems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> =
            problems.iter().map(|(part, problem)| format!("{part}: {problem}")).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_in_order_when_nothing_is_wrong() {
        let status = Status::starting();
        status.note("kvstore", Some("gone".into()));
        status.note("agent", None);
        assert_eq!(status.problem().as_deref(), Some("kvstore: gone"));
        status.note("kvstore", None);
        assert_eq!(status.problem(), None);
    }
}
