//! The charts and the names of the images that they use.

use crate::version::Version;

/// The minors that have a chart.
pub const MINORS: [&str; 2] = ["1.5", "1.6"];

macro_rules! files {
    ($minor:literal) => {
        &[
            ("Chart.yaml", include_str!(concat!("../chart/", $minor, "/Chart.yaml"))),
            ("values.yaml", include_str!(concat!("../chart/", $minor, "/values.yaml"))),
            (
                "templates/_apiserver.tpl",
                include_str!(concat!("../chart/", $minor, "/templates/_apiserver.tpl")),
            ),
            (
                "templates/configmap.yaml",
                include_str!(concat!("../chart/", $minor, "/templates/configmap.yaml")),
            ),
            (
                "templates/daemonset.yaml",
                include_str!(concat!("../chart/", $minor, "/templates/daemonset.yaml")),
            ),
            (
                "templates/operator.yaml",
                include_str!(concat!("../chart/", $minor, "/templates/operator.yaml")),
            ),
            (
                "templates/preflight.yaml",
                include_str!(concat!("../chart/", $minor, "/templates/preflight.yaml")),
            ),
            ("templates/rbac.yaml", include_str!(concat!("../chart/", $minor, "/templates/rbac.yaml"))),
        ]
    };
}

/// The files of a minor's Helm chart as paths and contents, or `None` if the minor has none.
#[must_use]
pub fn chart(minor: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match minor {
        "1.5" => Some(files!("1.5")),
        "1.6" => Some(files!("1.6")),
        _ => None,
    }
}

/// The images that a version's pods use when its chart is rendered with `global.tag` set to `tag`, without the registry.
///
/// All have the same content; each needs `STANDIN_VERSION` in its environment.
#[must_use]
pub fn images(version: Version, tag: &str) -> Vec<String> {
    let mut images = vec![format!("cilium:{tag}"), format!("operator:{tag}")];
    if (version.major, version.minor) < (1, 6) {
        images.push("cilium-init:2019-04-05".to_owned());
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minor_has_a_chart_of_its_own_version() {
        for minor in MINORS {
            let files = chart(minor).unwrap();
            let (_, about) = files.iter().find(|(path, _)| *path == "Chart.yaml").unwrap();
            assert!(about.contains(&format!("version: {minor}.")), "{minor}");
        }
        assert!(chart("1.7").is_none());
    }

    #[test]
    fn the_old_init_image_is_listed_as_its_values_name_it() {
        let (_, values) = chart("1.5").unwrap().iter().find(|(path, _)| *path == "values.yaml").unwrap();
        let images = images("v1.5.13".parse().unwrap(), "v1.5.13");
        assert!(values.contains(&format!("initImage: {}", images[2])), "{images:?}");
    }
}
