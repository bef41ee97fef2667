//! The vocabulary that all crates share: closed sets of values as types.
//!
//! Each type has one spelling, used by serde, [`std::fmt::Display`] and [`std::str::FromStr`] alike. Run folders hold
//! these spellings, so they never change within a schema version.

mod class;
mod confidence;
mod direction;
mod event;
mod flow;
mod impact;
mod layer;
mod spelling;
mod version;

pub use class::Class;
pub use confidence::Confidence;
pub use direction::Direction;
pub use event::{Change, Role};
pub use flow::{Kind, Protocol};
pub use impact::{Impact, wording};
pub use layer::Layer;
pub use spelling::UnknownWord;
pub use version::{Minor, ParseVersionError, Version, VersionSpec};
