//! Configurations of kind clusters: the named ones in `kind-configs`, or a file of the user.

use std::path::Path;

const NAMED: [(&str, &str); 3] = [
    ("two-node", include_str!("../../../../kind-configs/two-node.yaml")),
    ("kube-proxy", include_str!("../../../../kind-configs/kube-proxy.yaml")),
    ("dual-stack", include_str!("../../../../kind-configs/dual-stack.yaml")),
];
const WORKER: &str = "- role: worker\n";

/// There is no such configuration.
#[derive(Debug, thiserror::Error)]
#[error("{name} is neither a file nor a kind configuration; name a file, or one of {}", names())]
pub struct UnknownShape {
    name: String,
    #[source]
    source: std::io::Error,
}

fn names() -> String {
    NAMED.map(|(name, _)| name).join(", ")
}

/// A configuration of a kind cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The configuration as kind reads it.
    pub(super) text: String,
}

impl Shape {
    /// The configuration of this name, or of this file.
    ///
    /// # Errors
    /// When there is neither.
    pub fn named(name: &str) -> Result<Self, UnknownShape> {
        if let Some((_, text)) = NAMED.iter().find(|(known, _)| *known == name) {
            return Ok(Self { text: (*text).to_owned() });
        }
        match std::fs::read_to_string(Path::new(name)) {
            Ok(text) => Ok(Self { text }),
            Err(source) => Err(UnknownShape { name: name.to_owned(), source }),
        }
    }

    /// The same configuration with this number of nodes: a control plane, and workers at the end of the list.
    #[must_use]
    pub fn with_nodes(&self, nodes: u8) -> Self {
        let text = self.text.trim_end_matches(WORKER);
        let workers = WORKER.repeat(usize::from(nodes.saturating_sub(1)));
        Self { text: format!("{text}{workers}") }
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        let lines = self.text.lines().map(|line| line.trim_start_matches([' ', '-']));
        let nodes = lines.filter(|line| line.starts_with("role:")).count();
        // Without a list of nodes, kind creates one.
        u32::try_from(nodes).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one(1)]
    #[case::as_in_the_file(2)]
    #[case::more(4)]
    fn default_has_the_requested_number_of_nodes(#[case] nodes: u8) {
        let shape = Shape::named("two-node").unwrap().with_nodes(nodes);
        assert_eq!(shape.nodes(), u32::from(nodes), "{}", shape.text);
        assert_eq!(shape.text.matches("role: control-plane").count(), 1);
    }

    #[test]
    fn two_nodes_are_the_named_configuration_itself() {
        let shape = Shape::named("two-node").unwrap();
        assert_eq!(shape.with_nodes(2), shape);
    }

    #[test]
    fn every_named_configuration_leaves_the_network_to_the_subject() {
        for (name, text) in NAMED {
            assert!(text.contains("disableDefaultCNI: true"), "{name}");
        }
    }

    #[test]
    fn unknown_name_is_refused_and_the_known_ones_are_listed() {
        let error = Shape::named("no-such-shape").unwrap_err().to_string();
        assert!(
            error.contains("no-such-shape") && error.contains("two-node, kube-proxy, dual-stack"),
            "{error}"
        );
    }
}
