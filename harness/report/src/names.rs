//! Names that are the same in every run, so that CI systems can follow a case from run to run.

use std::collections::BTreeSet;

use model::Version;

use crate::run::Run;

/// Replaces each version in a text by its minor: `upgrade 1.5.13 -> 1.6.12` becomes `upgrade 1.5 -> 1.6`.
pub(crate) fn without_patches(text: &str) -> String {
    let word = |word: &str| {
        let version = word.trim_end_matches([',', ';', ':']);
        match version.parse::<Version>() {
            Ok(parsed) => format!("{}{}", parsed.minor(), &word[version.len()..]),
            Err(_) => word.to_owned(),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The name of a run without patch versions and run id: `scenario/arm`, or the minors of its path.
pub(crate) fn of_run(run: &Run) -> String {
    match &run.name {
        Some(name) => name.clone(),
        None if run.path.is_empty() => "run".to_owned(),
        None => without_patches(&run.versions()).replace(" → ", "-"),
    }
}

/// A name as a part of a class name, whose separator is the dot.
pub(crate) fn part(name: &str) -> String {
    name.replace('.', "_")
}

/// Gives each case of a report a name of its own.
#[derive(Debug, Default)]
pub(crate) struct Unique(BTreeSet<String>);

impl Unique {
    /// Returns the name, with a number if an earlier case has it.
    pub(crate) fn name(&mut self, name: String) -> String {
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let mut candidates = std::iter::once(name.clone()).chain(numbered);
        candidates.find(|name| self.0.insert(name.clone())).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::step("upgrade 1.5.13 -> 1.6.12", "upgrade 1.5 -> 1.6")]
    #[case::tag("settle on v1.16.4", "settle on 1.16")]
    #[case::pre_release("L3, upgrade 1.7.0-rc10 → 1.8.1, x", "L3, upgrade 1.7 → 1.8, x")]
    #[case::no_version("tear down in 1.5 s", "tear down in 1.5 s")]
    fn patches_are_left_out(#[case] text: &str, #[case] stable: &str) {
        assert_eq!(without_patches(text), stable);
    }

    #[test]
    fn a_second_case_gets_a_number() {
        let mut unique = Unique::default();
        let names = ["a", "b", "a", "a"].map(|name| unique.name(name.to_owned()));
        assert_eq!(names, ["a", "b", "a (2)", "a (3)"]);
    }
}
