//! One module a command.

pub(crate) mod calibrate;
pub(crate) mod cluster;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod image;
pub(crate) mod lint;
pub(crate) mod man;
pub(crate) mod matrix;
pub(crate) mod plan;
pub(crate) mod rebase;
pub(crate) mod report;
pub(crate) mod repro;
pub(crate) mod run;
pub(crate) mod scenario;
pub(crate) mod watch;
