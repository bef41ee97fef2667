//! Node images of the kind project, and the choice of one for given versions of Cilium.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::data;
use model::{Minor, Version};

/// A published node image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeImage {
    /// Kubernetes minor in it.
    pub kubernetes: Minor,
    /// The image, with its digest.
    pub image: String,
    /// Release of kind that published it.
    pub kind: Version,
    /// Where this was read.
    pub source: String,
}

static NODE_IMAGES: LazyLock<Vec<NodeImage>> = LazyLock::new(|| data::embedded!("node-images"));

/// Returns every known image, oldest Kubernetes first.
pub fn node_images() -> &'static [NodeImage] {
    &NODE_IMAGES
}

/// Returns the image with the newest Kubernetes that all given versions were tested with; `None` if there is none.
///
/// A version without a known range is taken to run on every Kubernetes.
pub fn node_image<'a>(versions: impl IntoIterator<Item = &'a Version>) -> Option<&'static NodeImage> {
    let tested: Vec<_> = versions
        .into_iter()
        .filter_map(|version| catalogue::line(version.minor())?.kubernetes.as_ref())
        .collect();
    node_images().iter().rfind(|image| tested.iter().all(|span| span.contains(&image.kubernetes)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn images_are_sorted_pinned_and_named_for_their_kubernetes() {
        assert!(node_images().is_sorted_by(|a, b| a.kubernetes < b.kubernetes));
        for NodeImage { kubernetes, image, .. } in node_images() {
            assert!(image.starts_with(&format!("kindest/node:v{kubernetes}.")), "{image}");
            let digest = image.split_once("@sha256:").map(|(_, digest)| digest).unwrap_or_default();
            assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{image}");
        }
    }

    #[rstest]
    #[case::one_minor(&["1.18.14"], Some("1.33"))]
    #[case::both_were_tested_with_it(&["1.14.19", "1.15.19"], Some("1.26"))]
    #[case::older_of_both_decides(&["1.16.19", "1.17.18"], Some("1.30"))]
    #[case::no_source_for_the_newer(&["1.19.8", "1.20.0"], Some("1.35"))]
    #[case::too_old_for_any_image(&["1.5.13", "1.6.12"], None)]
    #[case::too_far_apart(&["1.14.19", "1.20.0", "1.18.14"], None)]
    fn newest_that_all_were_tested_with(#[case] versions: &[&str], #[case] kubernetes: Option<&str>) {
        let versions: Vec<Version> = versions.iter().map(|version| version.parse().unwrap()).collect();
        let chosen = node_image(&versions).map(|image| image.kubernetes.to_string());
        assert_eq!(chosen.as_deref(), kubernetes);
    }
}
