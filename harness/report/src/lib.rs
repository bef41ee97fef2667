//! One event stream in; console, JSON, JUnit and HTML out.
//!
//! The runner emits [`Event`]s and fills in a [`Run`]. Everything that a person or a machine sees of a run is made
//! here from those two, so that `seatrial report` can make it again from the run folder.

pub mod collection;
pub mod compare;
pub mod console;
pub mod event;
pub mod folder;
pub mod github;
pub mod html;
pub mod junit;
pub mod run;
pub mod summary;
pub mod trial;
pub mod units;

#[cfg(test)]
mod fixture;

pub use console::Console;
pub use event::Event;
pub use folder::RunFolder;
pub use run::Run;
