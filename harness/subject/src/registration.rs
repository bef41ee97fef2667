//! What the registry knows of each subject.

use std::fmt::{self, Debug, Formatter};

use model::Version;

use crate::input::InputError;
use crate::options::SubjectOptions;
use crate::subject::Subject;

/// Checks whether a version of a subject can be run at all; the error has the reason.
pub type Supported = Box<dyn Fn(&Version) -> Result<(), InputError>>;

/// A subject by name, and the ways to construct it.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, for a list of subjects.
    pub summary: &'static str,
    /// Constructs it from options; refuses those that it does not have.
    pub open: fn(&SubjectOptions) -> Result<Box<dyn Subject>, InputError>,
    /// Finds out which versions can be run, without any options.
    pub supported: fn() -> Result<Supported, InputError>,
}

impl Debug for Registration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.name).finish()
    }
}
