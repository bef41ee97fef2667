//! The built-in scenarios: the files of the folder `scenarios/`.

/// Name and text of each, in order of name; `build.rs` lists them.
pub(super) const ALL: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// The text of the scenario of this name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::file::Scenario;
    use super::super::steps::{NoProcedure, procedure};
    use super::*;
    use crate::schema;
    use crate::steps::Arm;

    fn crate_folder() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn schema() -> serde_json::Value {
        schema::published::<Scenario>("scenario")
    }

    #[test]
    fn every_file_of_the_folder_is_compiled_in() {
        let folder = std::fs::read_dir(crate_folder().join("../../scenarios")).unwrap();
        let files: BTreeSet<_> = folder
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned))
            .collect();
        assert_eq!(files, ALL.iter().map(|(name, _)| (*name).to_owned()).collect());
        assert!(ALL.is_sorted());
    }

    #[test]
    fn each_keeps_to_the_schema_and_has_a_procedure() {
        let published = schema();
        for (name, text) in ALL {
            assert_eq!(schema::errors(&published, text), [""; 0], "{name}");
            let scenario = Scenario::parse(name, text).unwrap();
            assert_eq!(scenario.name.value, *name);
            for arm in scenario.arms() {
                let refused = scenario.expected(arm).refused.is_some();
                match procedure(name, &scenario, arm) {
                    Ok(_) => assert!(!refused, "{name}/{arm}"),
                    Err(NoProcedure::Refused(_)) => assert!(refused, "{name}/{arm}"),
                    Err(e) => panic!("{name}/{arm}: {e}"),
                }
            }
        }
    }

    #[test]
    fn the_scenario_of_every_hazard_exists() {
        for name in guide::hazard_scenarios() {
            assert!(text(name).is_some(), "there is no scenario {name}");
        }
    }

    /// The findings of a skipped arm must come from what it leaves out: otherwise the arms are the same.
    #[test]
    fn arms_install_the_same() {
        for (name, text) in ALL {
            let scenario = Scenario::parse(name, text).unwrap();
            if scenario.arms() == [Arm::Followed, Arm::Skipped] {
                let steps = [Arm::Followed, Arm::Skipped].map(|arm| procedure(name, &scenario, arm).unwrap());
                assert_ne!(steps[0], steps[1], "{name}");
                assert_eq!(steps[0].first, steps[1].first, "{name}");
            }
        }
    }

    #[test]
    fn schema_refuses_two_actions_in_one_step() {
        let (_, text) = ALL[0];
        let mut value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        value["steps"][0] = serde_json::json!({"restart": {}, "rollout-undo": {}});
        assert_ne!(schema::errors(&schema(), &value.to_string()), [""; 0]);
    }
}
