//! The published schemas of all records, in `schemas/`.

use schemars::{Schema, schema_for};

use crate::event::Event;
use crate::matrix::Matrix;
use crate::run::Run;
use crate::trial::Trial;

/// The schema of every record, by the name of its file in `schemas/` without `.json`.
#[must_use]
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("run", schema_for!(Run)),
        ("event", schema_for!(Event)),
        ("trial", schema_for!(Trial)),
        ("matrix", schema_for!(Matrix)),
    ]
}
