//! What the registry knows of each provider.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::components::Components;
use crate::doctor::Check;
use crate::error::ProviderError;
use crate::ledger::Entry;
use crate::options::{OptionError, ProviderOptions};
use crate::provider::Provider;

/// A provider by name, and the ways to construct it.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The name in options, reports and the ledger.
    pub name: &'static str,
    /// What its clusters are, for a list of providers.
    pub summary: &'static str,
    /// Constructs the provider from options; refuses those that it does not have.
    pub from_options: fn(&ProviderOptions) -> Result<Arc<dyn Provider>, OptionError>,
    /// Constructs the provider that can collect, end and reach the cluster of a ledger entry.
    pub from_entry: fn(&Entry) -> Result<Arc<dyn Provider>, ProviderError>,
    /// Checks what this machine has and lacks for the provider; empty where there is nothing to check.
    pub examine: for<'a> fn(&'a Components) -> BoxFuture<'a, Vec<Check>>,
}

impl Debug for Registration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.name).finish()
    }
}
