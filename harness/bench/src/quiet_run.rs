//! A run of the stand-in with given steps, whose folder is not kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::place::Place as Options;
use cluster::Components;
use cluster::sandbox::SandboxProvider;
use engine::exit::Usage;
use engine::place::Place;
use engine::procedure::upgrade;
use engine::run::procedure::Procedure;
use engine::run::recipe::{Recipe, Story};
use engine::run::request::Request;
use engine::scratch::Scratch;
use engine::steps::Step;
use engine::{errors, paths};
use report::run::Run;
use subject::Subject;
use subject::standin::Standin;

/// The provider of the options.
pub(crate) fn provider(options: &Options) -> anyhow::Result<SandboxProvider> {
    let provider = SandboxProvider { api_port: options.api_port, dual_stack: false };
    errors::machine_is_ready(&provider)?;
    Ok(provider)
}

/// The programs that the cluster consists of.
pub(crate) fn components(options: &Options) -> Components {
    Components::new(options.components.clone(), paths::cache())
}

/// The version that runs.
pub(crate) fn version() -> anyhow::Result<model::Version> {
    Ok(guide::resolve(&"1.6".parse()?).map_err(|e| Usage(e.to_string()))?)
}

/// The stand-in.
pub(crate) fn standin() -> anyhow::Result<Arc<dyn Subject>> {
    Ok(Arc::new(Standin::find().map_err(Usage::from)?))
}

/// Takes the steps under the standard traffic, and returns the record.
pub(crate) async fn run(options: &Options, steps: Vec<Step>) -> anyhow::Result<Run> {
    let folder = Scratch::new("bench-")?;
    let (version, subject) = (version()?, standin()?);
    let story =
        Story::Run { from: version.to_string(), to: version.to_string(), rollback: false, budgets: None };
    let provider = Arc::new(provider(options)?);
    let request = Request {
        place: Place::created(&engine::id::new_id(), provider, components(options), 2),
        recipe: Recipe::new(subject.option(), 2, &BTreeMap::new(), story),
        procedure: Procedure { first: version, steps },
        again: "seatrial-bench".to_owned(),
        budgets: None,
        subject,
        config: BTreeMap::new(),
        policies: BTreeMap::new(),
        names: false,
        required: Vec::new(),
        out: folder.path().to_owned(),
        verbose: false,
    };
    upgrade(&request).await
}
