//! What a kind cluster looks like: the named configurations of `kind-configs`, or a file of the user's.

use std::path::Path;

const NAMED: [(&str, &str); 3] = [
    ("two-node", include_str!("../../../../kind-configs/two-node.yaml")),
    ("kube-proxy", include_str!("../../../../kind-configs/kube-proxy.yaml")),
    ("dual-stack", include_str!("../../../../kind-configs/dual-stack.yaml")),
];
const WORKER: &str = "- role: worker\n";

/// A configuration was asked for that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("there is no file and no kind configuration {name}; name a file, or one of {}", names())]
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

    /// The same with as many nodes, by workers at the end of the list; at least the control plane.
    #[must_use]
    pub fn with_nodes(&self, nodes: u8) -> Self {
        let text = self.text.trim_end_matches(WORKER);
        Self { text: format!("{text}{}", WORKER.repeat(usize::from(nodes.saturating_sub(1)))) }
    }

    /// How many nodes it has.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        let lines = self.text.lines().map(|line| line.trim_start_matches([' ', '-']));
        let nodes = lines.filter(|line| line.starts_with("role:")).count();
        // Without a list of nodes, kind makes one.
        u32::try_from(nodes).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::alone(1)]
    #[case::as_in_the_file(2)]
    #[case::more(4)]
    fn default_has_as_many_nodes_as_asked_for(#[case] nodes: u8) {
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
    fn unknown_name_is_refused_with_those_there_are() {
        let error = Shape::named("no-such-shape").unwrap_err().to_string();
        assert!(
            error.contains("no-such-shape") && error.contains("two-node, kube-proxy, dual-stack"),
            "{error}"
        );
    }
}
