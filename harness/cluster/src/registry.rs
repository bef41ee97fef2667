//! All providers: one line each. Everything that handles clusters of any provider goes through here.

use futures_util::future::BoxFuture;
use std::sync::Arc;

use crate::error::ProviderError;
use crate::ledger::{Entry, Ledger, LedgerError, Listed};
use crate::options::{OptionError, ProviderOptions};
use crate::provider::{Origin, Provider};
use crate::registration::Registration;
use crate::{existing, kind, sandbox};

/// The providers; the first is the default.
pub const PROVIDERS: &[Registration] = &[sandbox::REGISTRATION, kind::REGISTRATION, existing::REGISTRATION];

/// The names of all providers, the default first.
#[must_use]
pub fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name).collect()
}

/// Constructs a provider by name.
///
/// # Errors
/// When there is no such provider, or it refuses an option.
pub fn from_options(name: &str, options: &ProviderOptions) -> Result<Arc<dyn Provider>, OptionError> {
    match PROVIDERS.iter().find(|provider| provider.name == name) {
        Some(provider) => (provider.from_options)(options),
        None => {
            Err(OptionError(format!("there is no provider {name}; choose one of {}", names().join(", "))))
        }
    }
}

/// Constructs the provider of a ledger entry.
///
/// # Errors
/// When its provider is not known, or the entry is damaged.
pub fn from_entry(entry: &Entry) -> Result<Arc<dyn Provider>, ProviderError> {
    match PROVIDERS.iter().find(|provider| provider.name == entry.provider) {
        Some(provider) => (provider.from_entry)(entry),
        None => {
            let (id, provider) = (entry.id.clone(), entry.provider.clone());
            Err(ProviderError::new(UnknownProvider { id, provider }))
        }
    }
}

/// A ledger entry is of a provider that is not in the registry.
#[derive(Debug, thiserror::Error)]
#[error("cluster {id} is of provider {provider}, which is unknown here; use the seatrial that made it")]
pub struct UnknownProvider {
    /// The cluster.
    pub id: String,
    /// The provider.
    pub provider: String,
}

/// The state of a cluster of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A command uses it.
    Running,
    /// It runs until it is taken down.
    Kept,
    /// It has ended; [`collect`] removes the rest.
    Dead,
    /// Its provider is unknown: it is left alone.
    Unknown,
}

/// A cluster of the ledger.
#[derive(Debug)]
pub struct Recorded {
    /// Its entry.
    pub entry: Entry,
    /// Its state.
    pub status: Status,
    /// Whether it was made or existed before; `None` for an unknown provider.
    pub origin: Option<Origin>,
}

impl Recorded {
    fn new(Listed { entry, locked }: Listed) -> Self {
        if entry.is_unwritten() {
            let status = if locked { Status::Running } else { Status::Dead };
            return Self { entry, status, origin: Some(Origin::Made) };
        }
        let Ok(provider) = from_entry(&entry) else {
            return Self { entry, status: Status::Unknown, origin: None };
        };
        let capabilities = provider.capabilities();
        let status = match (locked, entry.kept) {
            (true, true) => Status::Kept,
            (true, false) => Status::Running,
            (false, true) if capabilities.lives_unlocked => Status::Kept,
            (false, _) => Status::Dead,
        };
        Self { entry, status, origin: Some(capabilities.origin) }
    }
}

/// All clusters of the ledger.
#[derive(Debug)]
pub struct Inventory {
    /// The clusters, oldest first.
    pub clusters: Vec<Recorded>,
    /// The entries that cannot be read, each with the reason; they are left alone.
    pub unreadable: Vec<LedgerError>,
}

/// Lists the clusters of the ledger with their states.
///
/// # Errors
/// When the folder of the ledger cannot be read.
pub fn inventory(ledger: &Ledger) -> Result<Inventory, LedgerError> {
    let listing = ledger.list()?;
    let clusters = listing.entries.into_iter().map(Recorded::new).collect();
    Ok(Inventory { clusters, unreadable: listing.unreadable })
}

/// Removes what is left of a cluster that has ended or is ending, and waits until it has ended. An id that the ledger does not
/// have is no error.
///
/// # Errors
/// When its provider is unknown, it still runs after the deadline, or cannot be removed.
pub fn collect<'a>(ledger: &'a Ledger, id: &'a str) -> BoxFuture<'a, Result<(), ProviderError>> {
    Box::pin(async move {
        match ledger.entry(id).map_err(ProviderError::new)? {
            None => Ok(()),
            Some(entry) if entry.is_unwritten() => ledger.remove_unwritten(id).map_err(ProviderError::new),
            Some(entry) => from_entry(&entry)?.collect(ledger, id).await,
        }
    })
}

/// Ends a kept cluster and removes it.
///
/// # Errors
/// When its provider is unknown, or it does not end.
pub fn down<'a>(ledger: &'a Ledger, entry: &'a Entry) -> BoxFuture<'a, Result<(), ProviderError>> {
    Box::pin(async move { from_entry(entry)?.down(ledger, entry).await })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn names_are_unique_and_the_sandbox_is_the_default() {
        let names = names();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!((names[0], unique.len()), ("sandbox", names.len()));
    }

    #[rstest]
    #[case::kind_config_of_a_sandbox(
        "sandbox",
        ProviderOptions { kind_config: Some("two-node".into()), ..Default::default() },
        "--provider sandbox does not take --kind-config"
    )]
    #[case::network_of_a_sandbox(
        "sandbox",
        ProviderOptions { docker_network: Some("lab".into()), ..Default::default() },
        "does not take --docker-network"
    )]
    #[case::mirror_of_a_sandbox(
        "sandbox",
        ProviderOptions { registry_mirrors: vec!["docker.io=http://m:5000".parse().unwrap()], ..Default::default() },
        "does not take --registry-mirror"
    )]
    #[case::context_of_a_sandbox(
        "sandbox",
        ProviderOptions { context: Some("prod".into()), ..Default::default() },
        "does not take --context"
    )]
    #[case::port_of_kind(
        "kind",
        ProviderOptions { api_port: 7000, ..Default::default() },
        "networking.apiServerPort"
    )]
    #[case::unknown_shape(
        "kind",
        ProviderOptions { kind_config: Some("nothing".into()), ..Default::default() },
        "nothing is neither a file nor a kind configuration"
    )]
    #[case::dual_stack_of_an_existing_cluster(
        "existing",
        ProviderOptions { dual_stack: true, context: Some("lab".into()), ..Default::default() },
        "does not take --dual-stack"
    )]
    #[case::no_context("existing", ProviderOptions::default(), "name the cluster with --context")]
    #[case::no_confirmation(
        "existing",
        ProviderOptions { context: Some("prod".into()), ..Default::default() },
        "--yes-upgrade prod"
    )]
    #[case::confirmation_of_another_context(
        "existing",
        ProviderOptions { context: Some("prod".into()), yes_upgrade: Some("lab".into()), ..Default::default() },
        "--yes-upgrade prod"
    )]
    #[case::no_such_provider(
        "k4d",
        ProviderOptions::default(),
        "there is no provider k4d; choose one of sandbox, "
    )]
    fn wrong_options_are_refused(
        #[case] provider: &str,
        #[case] options: ProviderOptions,
        #[case] expected: &str,
    ) {
        let error = from_options(provider, &options).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[tokio::test]
    async fn cluster_of_an_unknown_provider_is_neither_dead_nor_collected() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        drop(ledger.enter(&Entry { kept: true, ..Entry::new("k4d", "one", 1) }).unwrap());
        let inventory = inventory(&ledger).unwrap();
        let found = &inventory.clusters[0];
        assert_eq!((found.entry.id.as_str(), found.status), ("one", Status::Unknown));
        for error in [collect(&ledger, "one").await, down(&ledger, &found.entry).await] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("cluster one is of provider k4d"), "{error}");
        }
        assert!(ledger.folder("one").exists());
    }

    #[rstest]
    #[case::kind_lives_without_a_holder("kind", Status::Kept)]
    #[case::sandbox_holds_its_own_lock("sandbox", Status::Dead)]
    #[tokio::test]
    async fn unlocked_kept_cluster(#[case] provider: &str, #[case] expected: Status) {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        drop(ledger.enter(&Entry { kept: true, ..Entry::new(provider, "one", 1) }).unwrap());
        let status = async || match inventory(&ledger).unwrap().clusters[0].status {
            status if status == expected => Ok(()),
            status => Err(format!("{status:?}")),
        };
        // A process that another test is starting holds copies of all locks for a moment.
        let (deadline, pause) = (std::time::Duration::from_secs(5), std::time::Duration::from_millis(1));
        crate::wait::until("the status", deadline, pause, status).await.unwrap();
    }

    #[tokio::test]
    async fn folder_without_entry_is_collected() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(state.path());
        std::fs::create_dir_all(ledger.folder("one")).unwrap();
        std::fs::write(ledger.folder("one").join("lock"), "").unwrap();
        std::fs::create_dir_all(ledger.folder("two")).unwrap();
        for id in ["one", "two"] {
            assert!(inventory(&ledger).unwrap().clusters.iter().all(|found| found.status == Status::Dead));
            collect(&ledger, id).await.unwrap();
        }
        assert!(inventory(&ledger).unwrap().clusters.is_empty());
    }
}
