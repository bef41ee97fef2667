//! By which names the agent counts requests through the proxy.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// The metrics of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum L7Metrics {
    /// Up to 1.5: one metric for each outcome.
    ByName,
    /// From 1.6: one metric with a label as well; those of old are deprecated, but still there.
    ByLabel,
}

/// What became of requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// All that arrived.
    pub(crate) received: Count,
    /// Those that were sent on.
    pub(crate) forwarded: Count,
    /// Those that policy refused.
    pub(crate) denied: Count,
    /// What was no request.
    pub(crate) parse_errors: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl L7Metrics {
    /// The metrics as Prometheus reads them.
    pub(crate) fn render(self, requests: &Requests) -> String {
        let outcomes = [
            ("received", &requests.received),
            ("forwarded", &requests.forwarded),
            ("denied", &requests.denied),
            ("parse_errors", &requests.parse_errors),
        ];
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing to a string does not fail.
            let written = writeln!(text, "{line}");
            debug_assert!(written.is_ok());
        };
        for (outcome, count) in outcomes {
            line(format!("# TYPE cilium_policy_l7_{outcome}_total counter"));
            line(format!("cilium_policy_l7_{outcome}_total {}", count.get()));
        }
        if self == Self::ByLabel {
            line("# TYPE cilium_policy_l7_total counter".to_owned());
            for (outcome, count) in outcomes {
                line(format!("cilium_policy_l7_total{{rule=\"{outcome}\"}} {}", count.get()));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviours;
    use rstest::rstest;

    #[rstest]
    #[case::before("1.5.13", false)]
    #[case::after("1.6.12", true)]
    fn the_old_names_stay_and_the_new_one_comes_with_1_6(#[case] version: &str, #[case] labelled: bool) {
        let requests = Requests::default();
        requests.received.add();
        requests.received.add();
        requests.denied.add();
        let metrics = Behaviours::of(version.parse().unwrap()).unwrap().l7_metrics;
        let text = metrics.render(&requests);
        assert!(text.contains("\ncilium_policy_l7_denied_total 1\n"), "{text}");
        assert_eq!(text.contains("\ncilium_policy_l7_total{rule=\"received\"} 2\n"), labelled, "{text}");
    }
}
