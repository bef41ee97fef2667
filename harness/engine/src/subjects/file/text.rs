//! The subject file: what may stand in it, and how it is read.

use std::collections::BTreeMap;

use clap::ValueEnum as _;
use model::Version;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use subject::Names;

use crate::exit::Usage;
use crate::subjects::SubjectName;

/// A network component that is a DaemonSet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SubjectFile {
    /// What reports call it; the names of its objects that are in no namespace have it in them.
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9-]+$"))]
    name: Spanned<String>,
    /// Namespace of its other objects.
    namespace: String,
    /// The agents' DaemonSet.
    daemon_set: String,
    /// The agent's container.
    container: String,
    /// The agents' configuration, where it is in a ConfigMap.
    config_map: Option<String>,
    /// What it carries beside traffic among pods and hosts.
    #[serde(default)]
    pub(super) carries: Vec<Carried>,
    /// The manifests of each version: a file, or a folder of files; a path that is not absolute begins at this file.
    #[schemars(with = "BTreeMap<Version, String>")]
    pub(super) versions: BTreeMap<Version, Spanned<String>>,
}

/// What a component may carry beside traffic among pods and hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Carried {
    /// Services: their addresses, their ports on nodes, and with them the cluster's DNS.
    Services,
    /// Connections of pods to hosts outside of the cluster.
    World,
    /// IPv6 beside IPv4, among pods: its clusters have addresses of both families.
    Ipv6,
}

impl SubjectFile {
    /// Reads it; unknown keys are errors.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Usage> {
        let read: Self = serde_saphyr::from_str(text).map_err(|e| {
            let place = e.location().unwrap_or(Location::UNKNOWN);
            let shown = e.without_snippet().to_string();
            // The place stands in front already.
            let suffix = format!(" at line {}, column {}", place.line(), place.column());
            at(file, place, shown.strip_suffix(&suffix).unwrap_or(&shown))
        })?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if read.name.value.is_empty() || !read.name.value.chars().all(allowed) {
            return Err(at(
                file,
                read.name.referenced,
                "a name is written in small letters, digits and hyphens",
            ));
        }
        if let Ok(taken) = SubjectName::from_str(&read.name.value, false) {
            let message =
                format!("the name {} is that of --subject {0}: give this one another", taken.name());
            return Err(at(file, read.name.referenced, &message));
        }
        Ok(read)
    }

    pub(super) fn names(&self) -> Names {
        Names {
            name: self.name.value.clone(),
            namespace: self.namespace.clone(),
            daemon_set: self.daemon_set.clone(),
            app: None,
            container: self.container.clone(),
            config_map: self.config_map.clone(),
            proxy: None,
            operator: None,
            preflight: None,
            policy: None,
        }
    }
}

/// What is wrong at a place of the file.
pub(super) fn at(file: &str, place: Location, message: &str) -> Usage {
    Usage(format!("{file}:{}:{}: {message}", place.line(), place.column()))
}
