//! Every text of a record, for a change to all of them.

use super::{Budget, Finding, Flow, Incident, Outage, Provider, Run, Step, TimedObservation, Transition};

/// A change to one text.
pub(super) type Change<'a> = &'a mut dyn FnMut(&mut String);

fn each<'a>(texts: impl IntoIterator<Item = &'a mut String>, change: Change<'_>) {
    texts.into_iter().for_each(change);
}

impl Run {
    /// Applies a change to every text of the record.
    pub(super) fn visit_texts(&mut self, change: Change<'_>) {
        let Self { schema, id, name, seatrial, started, reason, subject, probing, .. } = self;
        each([schema, id, seatrial, started, reason, subject, probing].into_iter().chain(name), change);
        self.provider.visit_texts(change);
        self.path.iter_mut().for_each(|hop| hop.visit_texts(change));
        self.steps.iter_mut().for_each(|step| step.visit_texts(change));
        self.flows.iter_mut().for_each(|flow| flow.visit_texts(change));
        self.observations.iter_mut().for_each(|seen| seen.visit_texts(change));
        self.findings.iter_mut().for_each(|finding| finding.visit_texts(change));
        self.incidents.iter_mut().for_each(|incident| incident.visit_texts(change));
        self.budgets.iter_mut().for_each(|budget| budget.visit_texts(change));
    }
}

impl Provider {
    fn visit_texts(&mut self, change: Change<'_>) {
        each([&mut self.name, &mut self.kubernetes].into_iter().chain(&mut self.nodes), change);
        self.facts = std::mem::take(&mut self.facts)
            .into_iter()
            .map(|(mut key, mut value)| {
                each([&mut key, &mut value], change);
                (key, value)
            })
            .collect();
    }
}

impl Transition {
    fn visit_texts(&mut self, change: Change<'_>) {
        each([&mut self.from, &mut self.to], change);
    }
}

impl Step {
    fn visit_texts(&mut self, change: Change<'_>) {
        each([&mut self.name].into_iter().chain(&mut self.detail), change);
    }
}

impl Flow {
    fn visit_texts(&mut self, change: Change<'_>) {
        let Self { id, path, client, server, client_node, server_node, .. } = self;
        each([id, path, client, server, client_node, server_node], change);
        self.classes = std::mem::take(&mut self.classes)
            .into_iter()
            .map(|(mut class, count)| {
                change(&mut class);
                (class, count)
            })
            .collect();
        self.outages.iter_mut().for_each(|outage| outage.visit_texts(change));
    }
}

impl Outage {
    fn visit_texts(&mut self, change: Change<'_>) {
        each([&mut self.class].into_iter().chain(&mut self.step), change);
        if let Some(cause) = &mut self.attribution {
            each([&mut cause.event, &mut cause.evidence].into_iter().chain(&mut cause.node), change);
        }
    }
}

impl TimedObservation {
    fn visit_texts(&mut self, change: Change<'_>) {
        let seen = &mut self.what;
        each([&mut seen.object].into_iter().chain(&mut seen.node).chain(&mut seen.detail), change);
    }
}

impl Finding {
    fn visit_texts(&mut self, change: Change<'_>) {
        let Self { id, hazard, flow, summary, evidence, reproduce } = self;
        each([id, summary, evidence, reproduce].into_iter().chain(hazard).chain(flow), change);
    }
}

impl Incident {
    fn visit_texts(&mut self, change: Change<'_>) {
        let Self { id, between, classes, cause, flows, unaffected, .. } = self;
        each([id, between].into_iter().chain(classes).chain(cause).chain(flows).chain(unaffected), change);
    }
}

impl Budget {
    fn visit_texts(&mut self, change: Change<'_>) {
        let Self { name, words, rule, measured, .. } = self;
        each([name, words, rule, measured], change);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::fixture;
    use crate::run::Run;

    const HOSTILE: &str = "a\u{1b}[2Jb\nc\u{202e}d";

    /// Words of closed sets, which no change may touch.
    const CLOSED: [&str; 11] = [
        "verdict",
        "outcome",
        "direction",
        "l3_impact",
        "l7_impact",
        "kind",
        "protocol",
        "layer",
        "layers",
        "confidence",
        "role",
    ];

    fn make_hostile(value: &mut Value, key: &str) {
        match value {
            Value::String(_) if CLOSED.contains(&key) || key == "change" => {}
            Value::String(text) => HOSTILE.clone_into(text),
            Value::Array(values) => values.iter_mut().for_each(|value| make_hostile(value, key)),
            Value::Object(fields) => {
                if key == "classes" {
                    fields.insert(HOSTILE.to_owned(), 1.into());
                }
                if key == "facts" {
                    fields.insert(HOSTILE.to_owned(), "x".into());
                }
                fields.iter_mut().for_each(|(key, value)| make_hostile(value, key));
            }
            _ => {}
        }
    }

    #[test]
    fn no_text_of_a_record_is_left_out() {
        let mut run = fixture::deny_leak();
        run.incidents = crate::incidents::of(&run);
        let mut record = serde_json::to_value(run).unwrap();
        record["name"] = "n".into();
        make_hostile(&mut record, "");
        let run: Run = serde_json::from_value(record).unwrap();
        let text = serde_json::to_string(&run.printable()).unwrap();
        for bad in ["\\u001b", "\\n", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?}");
        }
    }
}
