//! The subject file: its format, and how it is read.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use model::Version;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::capability::Capability;
use crate::input::InputError;
use crate::names::Names;

/// A network component that is a DaemonSet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SubjectFile {
    /// The name in reports, and of the release of a chart; the names of its cluster-wide objects contain it.
    #[schemars(with = "String", regex(pattern = r"^[a-z0-9-]+$"))]
    name: Spanned<String>,
    /// Namespace of its other objects.
    namespace: String,
    /// The agents' DaemonSet.
    daemon_set: String,
    /// The agent's container.
    container: String,
    /// The ConfigMap with the agents' configuration, if there is one.
    config_map: Option<String>,
    /// The traffic that it carries in addition to traffic among pods and hosts.
    #[serde(default)]
    pub(super) carries: Vec<Carried>,
    /// The manifests or the chart of each version; relative paths begin at this file.
    #[schemars(with = "BTreeMap<Version, VersionSource>")]
    pub(super) versions: BTreeMap<Version, Spanned<VersionSource>>,
}

/// Traffic that a component can carry in addition to traffic among pods and hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Carried {
    /// Services: their addresses, their ports on nodes, and with them the cluster's DNS.
    Services,
    /// Connections of pods to hosts outside of the cluster.
    World,
    /// IPv6 in addition to IPv4, among pods: its clusters have addresses of both families.
    Ipv6,
}

impl From<Carried> for Capability {
    fn from(carried: Carried) -> Self {
        match carried {
            Carried::Services => Self::Services,
            Carried::World => Self::World,
            Carried::Ipv6 => Self::Ipv6,
        }
    }
}

/// Where the objects of a version come from.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum VersionSource {
    /// Manifests: a file, or a folder of files.
    Path(String),
    /// Manifests or a chart.
    Mapping(Mapping),
}

/// Manifests or a chart; exactly one of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// Manifests: a file, or a folder of files.
    pub(super) manifests: Option<String>,
    /// A Helm chart: a folder, or a .tgz archive.
    pub(super) chart: Option<String>,
    /// Values for the chart.
    pub(super) values: Option<ValuesText>,
}

/// Values for a chart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "values must be a file, a list of files, or a mapping of values")]
pub(super) enum ValuesText {
    /// A file.
    File(String),
    /// Files; later ones override earlier ones.
    Files(Vec<String>),
    /// The values.
    Inline(BTreeMap<String, Value>),
}

impl<'de> Deserialize<'de> for VersionSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = VersionSource;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a path (in quotes if it looks like a number), or a mapping with `manifests` or `chart`")
    }

    fn visit_str<E>(self, path: &str) -> Result<Self::Value, E> {
        Ok(VersionSource::Path(path.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Mapping::deserialize(MapAccessDeserializer::new(map)).map(VersionSource::Mapping)
    }
}

impl SubjectFile {
    /// Reads a file; unknown keys and the names of other subjects are errors.
    pub(super) fn parse(file: &str, text: &str, taken: &[&str]) -> Result<Self, InputError> {
        let read: Self = serde_saphyr::from_str(text).map_err(|e| {
            let place = e.location().unwrap_or(Location::UNKNOWN);
            let shown = e.without_snippet().to_string();
            // The place is in front of the message already.
            let suffix = format!(" at line {}, column {}", place.line(), place.column());
            at(file, place, shown.strip_suffix(&suffix).unwrap_or(&shown))
        })?;
        let (name, place) = (&read.name.value, read.name.referenced);
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(at(file, place, "a name consists of lower-case letters, digits and hyphens"));
        }
        if taken.contains(&name.as_str()) {
            let message = format!("the name {name} is that of --subject {name}: choose another one");
            return Err(at(file, place, &message));
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
            sockets: None,
        }
    }
}

/// An error at a place of the file.
pub(super) fn at(file: &str, place: Location, message: &str) -> InputError {
    InputError(format!("{file}:{}:{}: {message}", place.line(), place.column()))
}
