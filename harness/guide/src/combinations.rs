//! Combinations of options with which agents do not start.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::data;
use model::Minor;

/// One combination in a range of minors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Combination {
    /// The option to change.
    pub(crate) key: String,
    values: Vec<String>,
    with: BTreeMap<String, Vec<String>>,
    /// First minor that refuses it.
    pub(crate) since: Minor,
    /// Last minor that refuses it.
    pub(crate) until: Option<Minor>,
    /// The value that avoids it, for a key that a rebase added.
    pub(crate) set: Option<String>,
    /// Why, and the remedy.
    pub(crate) why: String,
    /// Where this was read.
    pub(crate) source: String,
}

static ALL: LazyLock<Vec<Combination>> = LazyLock::new(|| data::embedded!("combinations"));

/// Returns every combination.
pub(crate) fn all() -> &'static [Combination] {
    &ALL
}

impl Combination {
    /// Returns the options of the combination with the values that are part of it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, &[String])> {
        let others = self.with.iter().map(|(name, values)| (name.as_str(), values.as_slice()));
        std::iter::once((self.key.as_str(), self.values.as_slice())).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options;

    #[test]
    fn names_options_of_the_minors_that_refuse_it() {
        for combination in all() {
            for (name, values) in combination.parts() {
                assert!(!values.is_empty(), "{name}");
                for minor in [Some(combination.since), combination.until].into_iter().flatten() {
                    assert_eq!(options::is_read(name, minor), Some(true), "{name} in {minor}");
                }
            }
        }
    }
}
