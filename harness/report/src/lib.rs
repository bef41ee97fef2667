//! The record of a run, and everything made from it: console output, HTML, JUnit and GitHub reports.
//!
//! The engine emits [`Event`]s and fills in a [`Run`]. All reports are made from these two, so that `seatrial report` can
//! make them again from a run folder.

pub mod collection;
pub mod compare;
pub mod console;
pub mod event;
pub mod folder;
pub mod github;
pub mod html;
pub mod incidents;
pub mod junit;
pub mod layout;
pub mod matrix;
pub mod observation;
pub mod printable;
pub mod run;
pub mod schema;
pub mod summary;
pub mod trial;
pub mod units;

mod names;
mod table;

#[cfg(test)]
mod fixture;

pub use console::Console;
pub use event::Event;
pub use folder::RunFolder;
pub use layout::Layout;
pub use run::Run;
