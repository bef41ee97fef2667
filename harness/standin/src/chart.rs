//! The charts and the names of the images that they use.

/// The minors that the stand-in plays; each has a chart.
pub(crate) const MINORS: [&str; 7] = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6"];

/// A minor's own description and values, and templates, which minors of one era share.
macro_rules! files {
    ($minor:literal, $era:literal, [$($template:literal),*]) => {
        &[
            ("Chart.yaml", include_str!(concat!("../chart/", $minor, "/Chart.yaml"))),
            ("values.yaml", include_str!(concat!("../chart/", $minor, "/values.yaml"))),
            $((
                concat!("templates/", $template),
                include_str!(concat!("../chart/", $era, "/templates/", $template)),
            )),*
        ]
    };
    // Charts before 1.4 have no operator and no pre-flight check.
    ($minor:literal without operator) => {
        files!($minor, "1.0-1.4", ["_apiserver.tpl", "configmap.yaml", "daemonset.yaml", "rbac.yaml"])
    };
    ($minor:literal of $era:literal) => {
        files!(
            $minor,
            $era,
            ["_apiserver.tpl", "configmap.yaml", "daemonset.yaml", "operator.yaml", "preflight.yaml", "rbac.yaml"]
        )
    };
}

/// Returns the files of a minor's Helm chart as paths and contents, or `None` for a minor without a chart.
pub(crate) fn chart(minor: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match minor {
        "1.0" => Some(files!("1.0" without operator)),
        "1.1" => Some(files!("1.1" without operator)),
        "1.2" => Some(files!("1.2" without operator)),
        "1.3" => Some(files!("1.3" without operator)),
        "1.4" => Some(files!("1.4" of "1.0-1.4")),
        "1.5" => Some(files!("1.5" of "1.5")),
        "1.6" => Some(files!("1.6" of "1.6")),
        _ => None,
    }
}

/// Returns the images that a minor's pods use, without the registry; `{tag}` stands for the value `global.tag`.
///
/// All have the same content; each needs [`Version::VARIABLE`](crate::Version::VARIABLE) in its environment.
pub(crate) fn images(minor: &str) -> &'static [&'static str] {
    match minor {
        "1.0" | "1.1" | "1.2" | "1.3" => &["cilium:{tag}", "busybox:1.28.4"],
        "1.4" => &["cilium:{tag}", "operator:{tag}", "cilium-init:2018-10-16"],
        "1.5" => &["cilium:{tag}", "operator:{tag}", "cilium-init:2019-04-05"],
        _ => &["cilium:{tag}", "operator:{tag}"],
    }
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
    fn the_init_image_is_listed_as_the_values_name_it() {
        for minor in MINORS {
            let (_, values) = chart(minor).unwrap().iter().find(|(path, _)| *path == "values.yaml").unwrap();
            let listed = images(minor).iter().copied().find(|image| !image.ends_with(":{tag}"));
            let named = values.lines().find_map(|line| line.trim().strip_prefix("initImage: "));
            assert_eq!(listed, named, "{minor}");
        }
    }

    #[test]
    fn the_operator_and_the_preflight_check_came_with_1_4() {
        for minor in MINORS {
            let has = |name: &str| chart(minor).unwrap().iter().any(|(path, _)| path.ends_with(name));
            assert_eq!([has("operator.yaml"), has("preflight.yaml")], [minor >= "1.4"; 2], "{minor}");
        }
    }
}
