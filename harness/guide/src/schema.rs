//! JSON schemas of the documents that seatrial writes and of its data files.

use std::collections::BTreeMap;

use schemars::{Schema, schema_for};

use crate::lint::{fields, metrics, policies, prefixes};
use crate::{
    catalogue, combinations, hazard, keys, lint, node_image, options, plan, rebase, required, transition,
    values,
};

/// Returns every schema by name: documents first, then data files.
pub fn all() -> [(&'static str, Schema); 18] {
    [
        ("plan", schema_for!(plan::Plan)),
        ("rebase", schema_for!(rebase::render::Report)),
        ("lint", schema_for!(lint::Report)),
        ("data-versions", schema_for!(Vec<catalogue::Line>)),
        ("data-transitions", schema_for!(transition::Table)),
        ("data-required", schema_for!(Vec<required::Entry>)),
        ("data-keys", schema_for!(keys::File)),
        ("data-combinations", schema_for!(Vec<combinations::Combination>)),
        ("data-options", schema_for!(Vec<options::AgentOption>)),
        ("data-hazards", schema_for!(Vec<hazard::Entry>)),
        ("data-policy-features", schema_for!(Vec<policies::Support>)),
        ("data-policy-fields", schema_for!(Vec<fields::Field>)),
        ("data-policy-limits", schema_for!(prefixes::File)),
        ("data-metrics", schema_for!(Vec<metrics::Metric>)),
        ("values", schema_for!(values::render::Report)),
        ("data-values", schema_for!(values::Facts)),
        ("data-values-known", schema_for!(BTreeMap<String, String>)),
        ("data-node-images", schema_for!(Vec<node_image::NodeImage>)),
    ]
}
