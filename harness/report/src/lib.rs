//! One event stream in; console, JSON, JUnit and HTML out.
//!
//! The runner emits [`Event`]s and fills in a [`Run`]. Everything that a person or a machine sees of a run is made
//! here from those two, so that `seatrial report` can make it again from the run folder.

pub mod event;
pub mod run;

pub use event::Event;
pub use run::Run;
