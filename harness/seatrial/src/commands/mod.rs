//! One module a command.

pub(crate) mod cluster;
pub(crate) mod doctor;
pub(crate) mod gc;
pub(crate) mod report;
