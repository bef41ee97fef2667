//! A provider as options choose it.

use std::path::PathBuf;
use std::sync::Arc;

use cluster::{Components, ProviderOptions};

use crate::errors;
use crate::exit::Usage;
use crate::paths;
use crate::place::existing::{ExistingOptions, Purpose};
use crate::place::{ExistingCluster, Place};

/// The choice of a provider, and its options.
#[derive(Clone, Debug, Default)]
pub struct Provider {
    /// Name of the provider.
    pub name: String,
    /// The options of providers.
    pub options: ProviderOptions,
    /// The options of an existing cluster.
    pub existing: ExistingOptions,
    /// Folder of the programs that clusters consist of.
    pub components: Option<PathBuf>,
}

impl Provider {
    /// The provider, with its options; an existing cluster has to be looked at first.
    ///
    /// # Errors
    /// When the provider refuses an option.
    pub fn provider(&self) -> Result<Arc<dyn cluster::Provider>, Usage> {
        cluster::registry::from_options(&self.name, &self.options).map_err(|e| Usage(e.to_string()))
    }

    /// Whether the cluster exists already.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.name == cluster::existing::NAME
    }

    /// Checks what can be checked before anything exists.
    ///
    /// # Errors
    /// When an option is wrong or missing, or this machine lacks something.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.is_there() {
            self.existing.both()?;
        }
        errors::machine_is_ready(&*self.provider()?)
    }

    /// Checks that nodes can get images that nobody loads into them, where those are needed.
    ///
    /// # Errors
    /// When they cannot.
    pub fn can_pull(&self, needed: bool) -> Result<(), Usage> {
        // Options are checked later: until then, only the default provider is known not to pull.
        let pulls = self.provider().map_or(true, |provider| provider.capabilities().pulls_images);
        if needed && !pulls {
            let remedy =
                "load them with --images, replace Cilium's with ours (--shim), or use --provider kind";
            return Err(Usage(format!("nodes of a {} cannot pull images: {remedy}", self.name)));
        }
        Ok(())
    }

    /// The place of the run `id`: the existing cluster as it is now, or one that is created with so many nodes.
    ///
    /// # Errors
    /// When an option is wrong or missing, or the existing cluster cannot be used.
    pub async fn place(&self, id: &str, nodes: u8) -> anyhow::Result<Place> {
        if !self.is_there() {
            return Ok(Place::created(id, self.provider()?, self.components(), nodes));
        }
        self.check()?;
        let existing = ExistingCluster::find(&self.existing, id, nodes, Purpose::Upgrade).await?;
        Ok(Place::existing(id, existing, self.components()))
    }

    /// The programs that clusters consist of.
    #[must_use]
    pub fn components(&self) -> Components {
        Components::new(self.components.clone(), paths::cache())
    }
}
