//! Identities: their migration from the kvstore to the API server, and their deletion there.

use kube::api::{Api, DeleteParams, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};

use crate::daemonset::{Installation, InstallationError, request};
use crate::source::Chart;

/// An identity that was migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Its number in the kvstore.
    pub identity: u32,
    /// Its fate.
    pub fate: Fate,
}

/// The effect of the migration on an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It has the same number in the API server now.
    Migrated,
    /// It had the same number in the API server before.
    AlreadyMigrated,
    /// Its number belongs to other labels there; its labels have this number instead.
    Renumbered(u32),
}

impl Installation {
    /// Runs `cilium preflight migrate-identity` in a pre-flight pod of a version, and returns the fate of
    /// every identity.
    ///
    /// # Errors
    /// When the pre-flight DaemonSet does not become ready, when the version has none, or when the command fails.
    pub async fn migrate_identities(&self, chart: &Chart) -> Result<Vec<Migrated>, InstallationError> {
        let command = ["cilium", "preflight", "migrate-identity"];
        let printed = self.with_preflight(chart, async |_| self.exec_in_preflight(&command).await).await?;
        let missing = || InstallationError::Command {
            command: command.join(" "),
            output: "this version has no pre-flight check to run it in".to_owned(),
        };
        Ok(read(&printed.ok_or_else(missing)?))
    }

    /// Deletes all identities of the API server, as `kubectl delete ciliumid --all` does. No agent may use them.
    ///
    /// # Errors
    /// When they cannot be deleted.
    pub async fn clear_identities(&self) -> Result<(), InstallationError> {
        let kind = GroupVersionKind::gvk("cilium.io", "v2", "CiliumIdentity");
        let kind = ApiResource::from_gvk_with_plural(&kind, "ciliumidentities");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let deleted =
            api.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default()).await;
        deleted.map(drop).map_err(request("the identities of the API server could not be deleted"))
    }
}

/// Reads the lines of the command.
fn read(printed: &str) -> Vec<Migrated> {
    printed.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Migrated> {
    let number = |key: &str| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
        value.parse().ok()
    };
    let identity = number("identity")?;
    let has = |words: &str| line.contains(words);
    if has("Migrated identity") {
        return Some(Migrated { identity, fate: Fate::Migrated });
    }
    if has("It is already migrated") {
        return Some(Migrated { identity, fate: Fate::AlreadyMigrated });
    }
    let renumbered = has("New ID allocated for key in CRD");
    renumbered
        .then(|| number("oldIdentity"))?
        .map(|old| Migrated { identity: old, fate: Fate::Renumbered(identity) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the guide's example.
    #[test]
    fn the_lines_of_the_guide_are_understood() {
        let printed = "INFO[0003] Listing identities in kvstore\n\
            INFO[0003] Migrated identity                             identity=34815 identityLabels=\"k8s:class=tiefighter;\"\n\
            WARN[0003] ID is allocated to a different key in CRD. A new ID will be allocated for the this key  identityLabels=\"k8s:class=deathstar;\" oldIdentity=11730\n\
            INFO[0003] Reusing existing global key                   key=\"k8s:class=deathstar;\" subsys=allocator\n\
            INFO[0003] New ID allocated for key in CRD               identity=17281 identityLabels=\"k8s:class=deathstar;\" oldIdentity=11730\n\
            INFO[0003] ID was already allocated to this key. It is already migrated  identity=17003 identityLabels=\"k8s:class=xwing;\"\n";
        let fate = |identity, fate| Migrated { identity, fate };
        assert_eq!(
            read(printed),
            [
                fate(34815, Fate::Migrated),
                fate(11730, Fate::Renumbered(17281)),
                fate(17003, Fate::AlreadyMigrated)
            ]
        );
    }
}
