//! The rights that a run needs in an existing cluster. The API server is asked for them before the run; those of `watch` can
//! be printed as a role.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use serde_json::json;

use super::Purpose;

/// Group, resource, and what is done with it.
type Right = (&'static str, &'static str, &'static [&'static str]);

/// Everywhere; the namespace of the probes does not exist before.
const RIGHTS: &[Right] = &[
    ("", "namespaces", &["get", "create", "delete"]),
    ("", "nodes", &["list", "watch"]),
    ("", "pods", &["get", "list", "watch", "create", "delete"]),
    ("", "pods/log", &["get"]),
    ("", "services", &["get", "list", "watch", "create"]),
    ("", "serviceaccounts", &["get"]),
    ("", "configmaps", &["list", "watch"]),
    ("apps", "daemonsets", &["get"]),
    ("discovery.k8s.io", "endpointslices", &["list", "watch"]),
];
/// Where the cluster has policies.
const POLICIES: &[Right] =
    &[("cilium.io", "ciliumnetworkpolicies", &["get", "list", "watch", "create", "patch"])];

/// What an upgrade takes: charts have roles of their own, and the API server lets nobody grant what he may not do.
const EVERYTHING: &[Right] = &[("*", "*", &["*"])];

fn rights(policies: bool) -> impl Iterator<Item = &'static Right> {
    RIGHTS.iter().chain(POLICIES.iter().filter(move |_| policies))
}

/// The role that `watch` needs, as a manifest.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn manifest() -> anyhow::Result<String> {
    let rules = rights(true).map(
        |(group, resource, verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}),
    );
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "seatrial-watch"},
        "rules": rules.collect::<Vec<_>>(),
    });
    Ok(serde_saphyr::to_string(&role)?)
}

/// Asks the API server for each right, and returns those that it does not grant.
pub(super) async fn lacking(
    client: &kube::Client,
    policies: bool,
    purpose: Purpose,
) -> kube::Result<Vec<String>> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut lacking = Vec::new();
    let more = EVERYTHING.iter().filter(|_| purpose == Purpose::Upgrade);
    for (group, resource, verbs) in rights(policies).chain(more) {
        let (resource, subresource) =
            resource.split_once('/').map_or((*resource, None), |(a, b)| (a, Some(b)));
        for verb in *verbs {
            let attributes = ResourceAttributes {
                group: Some((*group).to_owned()),
                resource: Some(resource.to_owned()),
                subresource: subresource.map(ToOwned::to_owned),
                verb: Some((*verb).to_owned()),
                ..ResourceAttributes::default()
            };
            let spec =
                SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            let answer = api.create(&PostParams::default(), &review).await?;
            if !answer.status.is_some_and(|status| status.allowed) {
                lacking.push(format!(
                    "{verb} {}",
                    subresource.map_or(resource.to_owned(), |s| format!("{resource}/{s}"))
                ));
            }
        }
    }
    Ok(lacking)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_deletes_namespaces_and_pods_and_changes_nothing_of_the_subject() {
        let text = manifest().unwrap();
        let role: k8s_openapi::api::rbac::v1::ClusterRole = serde_saphyr::from_str(&text).unwrap();
        let rules = role.rules.unwrap();
        let who = |verb: &str| -> Vec<String> {
            let may = rules.iter().filter(|rule| rule.verbs.iter().any(|it| it == verb));
            may.flat_map(|rule| rule.resources.clone().unwrap()).collect()
        };
        assert_eq!(who("delete"), ["namespaces", "pods"]);
        assert_eq!(who("patch"), ["ciliumnetworkpolicies"]);
        assert_eq!(who("update"), [""; 0]);
    }
}
