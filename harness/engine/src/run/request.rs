//! The request for a run, checked before anything is created.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use cluster::Components;
use guide::{ConfigMap, Facts, Options, PlanError};
use model::Version;
use probe::budget::Budgets;
use serde_json::Value;
use subject::{Subject, SubjectOptions, cilium};

use super::procedure::Procedure;
use super::recipe::{Recipe, Story};
use crate::command_line::CommandLine;
use crate::exit::Usage;
use crate::id::new_id;
use crate::place::{Keep, Place};
use crate::provider::Provider;
use crate::subjects;

/// The options of an upgrade, as a person gives them.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The version that runs.
    pub from: String,
    /// The version to upgrade to.
    pub to: String,
    /// Whether the upgrade is rolled back.
    pub rollback: bool,
    /// The options of the subject.
    pub subject: SubjectOptions,
    /// The number of nodes.
    pub nodes: u8,
    /// The manifest of a ConfigMap.
    pub config: Option<PathBuf>,
    /// A file of budgets.
    pub budgets: Option<PathBuf>,
    /// Parts of flow ids, each of which some flow must have.
    pub required: Vec<String>,
    /// The folder for the run folder.
    pub out: PathBuf,
    /// Whether the cluster is kept.
    pub keep: bool,
    /// Whether the images are listed instead, so that nodes need not pull them.
    pub images_only: bool,
    /// Whether the summary lists flows that lost nothing.
    pub verbose: bool,
    /// The provider.
    pub provider: Provider,
}

/// The chosen subject, and its procedure.
pub(super) struct Planned {
    pub(super) subject: Box<dyn Subject>,
    from: Version,
    to: Version,
    pub(super) procedure: Procedure,
}

impl RunOptions {
    /// Chooses the subject, and plans the procedure.
    ///
    /// With the cluster's ConfigMap, nothing is set that the user has set already.
    pub(super) async fn plan(
        &self,
        components: &Components,
        config: Option<&ConfigMap>,
    ) -> anyhow::Result<Planned> {
        let mut subject = subjects::choose(&self.subject)?;
        self.provider.can_pull(subject.needs_registry() && !self.images_only)?;
        subject.load_versions(components).await.map_err(subjects::failed)?;
        let (from, to) = (subjects::resolve(&*subject, &self.from)?, subjects::resolve(&*subject, &self.to)?);
        let procedure = plan(&*subject, &from, &to, self.rollback, config)?;
        Ok(Planned { subject, from, to, procedure })
    }
}

/// Plans the procedure of an upgrade: by the guide where it documents the subject.
///
/// With the cluster's ConfigMap, no key is set that the user has set already.
pub(crate) fn plan(
    subject: &dyn Subject,
    from: &Version,
    to: &Version,
    rollback: bool,
    config: Option<&ConfigMap>,
) -> Result<Procedure, Usage> {
    if to < from {
        let remedy = "name the versions the other way round, and add --rollback to measure the way back";
        return Err(Usage(format!("{to} is not newer than {from}: {remedy}")));
    }
    let procedure = if subject.is_documented() {
        let facts = Facts { available: subject.available(), config, ..Facts::default() };
        let plan = guide::plan_for(from, to, Options::default(), &facts);
        Procedure::of_plan(&plan.map_err(|e| Usage(e.to_string()))?, rollback)
    } else if from == to {
        return Err(Usage(PlanError::SameVersion { version: to.clone() }.to_string()));
    } else {
        Procedure::undocumented(from.clone(), to.clone(), rollback)
    };
    procedure.versions().iter().try_for_each(|version| subject.supports(version)).map_err(Usage::from)?;
    Ok(procedure)
}

/// A checked request for a run.
#[derive(Debug)]
pub struct Request {
    /// The cluster.
    pub place: Place,
    /// The first version, and what is done to it.
    pub procedure: Procedure,
    /// The command that runs this again.
    pub again: String,
    /// How this is run elsewhere.
    pub recipe: Recipe,
    /// What flows may lose, in place of the standard budgets.
    pub budgets: Option<Budgets>,
    /// What is upgraded.
    pub subject: Arc<dyn Subject>,
    /// Keys of the ConfigMap at installation.
    pub config: BTreeMap<String, String>,
    /// Policies that are applied before the traffic starts: the `spec` of each, by name.
    pub policies: BTreeMap<String, Value>,
    /// Whether a pod also sends requests to addresses outside of the cluster, one of which has a name.
    pub names: bool,
    /// Parts of flow ids, each of which some flow must have.
    pub required: Vec<String>,
    /// The folder for the run folder.
    pub out: PathBuf,
    /// Whether the summary lists flows that lost nothing.
    pub verbose: bool,
}

impl Request {
    /// Checks the options; nothing was created when it fails.
    ///
    /// # Errors
    /// When an option is wrong, or the place cannot be used.
    pub async fn from_options(args: RunOptions, line: CommandLine) -> anyhow::Result<Self> {
        let place = args.provider.place(&new_id(), args.nodes).await?;
        let place = place.keep(if args.keep { Keep::Always } else { Keep::Never });
        let (config, known) = match (place.existing_cluster(), &args.config) {
            (Some(existing), _) => (BTreeMap::new(), Some(existing.config().await?)),
            (None, Some(path)) => {
                let (config, known) = config_file(path)?;
                (config, Some(known))
            }
            (None, None) => (BTreeMap::new(), None),
        };
        let Planned { subject, from, to, procedure } = args.plan(place.components(), known.as_ref()).await?;
        check_place(&place, &args.subject, &procedure)?;
        let budgets_text = args.budgets.as_deref().map(budgets_file).transpose()?;
        let budgets = match (&args.budgets, &budgets_text) {
            (Some(path), Some(text)) => {
                Some(Budgets::parse(text).map_err(|e| Usage(format!("{}: {e}", path.display())))?)
            }
            _ => None,
        };
        args.provider.check()?;
        let out = std::path::absolute(&args.out).context("the current folder cannot be read")?;
        let story = Story::Run {
            from: from.to_string(),
            to: to.to_string(),
            rollback: args.rollback,
            budgets: budgets_text,
        };
        let line = line.with_positionals([from.to_string(), to.to_string()]);
        let recipe = Recipe::new(subject.option(), args.nodes, &config, story).with_options(&line);
        Ok(Self {
            again: line.to_string(),
            recipe,
            place,
            procedure,
            budgets,
            subject: subject.into(),
            config,
            policies: BTreeMap::new(),
            names: false,
            required: args.required,
            out,
            verbose: args.verbose,
        })
    }
}

/// Checks that an existing cluster can be upgraded this way, with its settings; a created one can.
pub(crate) fn check_place(
    place: &Place,
    subject: &SubjectOptions,
    procedure: &Procedure,
) -> Result<(), Usage> {
    let Some(existing) = place.existing_cluster() else { return Ok(()) };
    subjects::keeps_settings(subject)?;
    existing.check_procedure(procedure)
}

/// The keys of a ConfigMap, and how the guide reads it.
fn config_file(path: &Path) -> Result<(BTreeMap<String, String>, ConfigMap), Usage> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Usage(format!("the ConfigMap {} cannot be read: {e}", path.display())))?;
    let keys = subject::parse_config_map(&text, cilium::CONFIG_MAP)
        .map_err(|e| Usage(format!("{}: {e}", path.display())))?;
    let known = ConfigMap::read(&text).map_err(|e| Usage(format!("{}:{e}", path.display())))?;
    Ok((keys, known))
}

fn budgets_file(path: &Path) -> Result<String, Usage> {
    std::fs::read_to_string(path)
        .map_err(|e| Usage(format!("the budgets {} cannot be read: {e}", path.display())))
}
