//! Incidents: outages that belong together.

use model::Layer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// Outages that overlap in time and share a cause or a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Id within the run, such as `I1`, in order of time.
    pub id: String,
    /// First bad sample of all its outages, ms since the start of the run.
    pub first_bad_ms: f64,
    /// Last bad sample of all its outages, ms since the start of the run.
    pub last_bad_ms: f64,
    /// Lower bound of the duration, ms.
    pub min_ms: f64,
    /// Upper bound of the duration, ms; none while some flow did not recover.
    pub max_ms: Option<f64>,
    /// The nodes between which traffic was disturbed, such as `between node1 and node2`.
    pub between: String,
    /// The layers of its flows.
    pub layers: Vec<Layer>,
    /// The classes of its outages.
    pub classes: Vec<String>,
    /// The common cause, such as `agent terminated on node1`; none where no event explains it.
    pub cause: Option<String>,
    /// The flows with an outage in it.
    pub flows: Vec<String>,
    /// The flows between the same nodes without an outage in it.
    pub unaffected: Vec<String>,
}

impl Incident {
    /// The incident in one line, such as `20.300 s: between node1 and node2, L3 and L4, lost, 199–229 ms, 24 flows, no
    /// known cause`.
    #[must_use]
    pub fn headline(&self) -> String {
        let layers: Vec<_> = self.layers.iter().map(ToString::to_string).collect();
        format!(
            "{}: {}, {}, {}, {}, {}, {}",
            units::instant(self.first_bad_ms),
            self.between,
            units::list(&layers),
            units::list(&self.classes),
            units::range(self.min_ms, self.max_ms),
            units::plural(self.flows.len(), "flow"),
            self.cause.as_deref().unwrap_or("no known cause"),
        )
    }
}
