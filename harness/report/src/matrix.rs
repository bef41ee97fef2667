//! The matrix: everything that there is to run, schema `seatrial/matrix/v1`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The schema name of the matrix.
pub const SCHEMA: &str = "seatrial/matrix/v1";

/// All trials for a subject, or those of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matrix {
    /// Always `seatrial/matrix/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Name of the subject.
    pub subject: String,
    /// Number of shards.
    pub shards: usize,
    /// The only shard of this matrix, from 1; none where the matrix is complete.
    pub shard: Option<usize>,
    /// The trials, in order of name.
    pub trials: Vec<Trial>,
    /// Trials that the subject does not support.
    pub left_out: Vec<LeftOut>,
}

/// One run of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// `scenario/arm`, or `run FROM TO`.
    pub name: String,
    /// Name of the scenario, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Arm of the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// The measured transitions, in order; none where the trial is refused before a cluster exists.
    pub transitions: Vec<String>,
    /// Expected wall time, s.
    pub seconds: u64,
    /// The shard that it belongs to, from 1.
    pub shard: usize,
    /// The command that runs it, word by word.
    pub command: Vec<String>,
}

/// A trial that the subject does not support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Name of the trial.
    pub name: String,
    /// Why it is left out.
    pub reason: String,
}
