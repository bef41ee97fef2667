//! Options that several commands share, and what they become in the engine.

mod components;
mod existing;
mod provider;
mod subject;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

pub(crate) use components::ComponentArgs;
pub(crate) use existing::ExistingArgs;
pub(crate) use provider::ProviderArgs;
pub(crate) use subject::SubjectArgs;

use engine::steps::Arm;

/// Parses an arm of a scenario.
pub(crate) fn arm() -> impl TypedValueParser<Value = Arm> {
    let value = |arm: Arm| {
        PossibleValue::new(arm.as_str()).help(match arm {
            Arm::Followed => "As the guide says",
            Arm::Skipped => "With something left out",
        })
    };
    PossibleValuesParser::new(Arm::ALL.map(value)).try_map(|word| word.parse())
}
