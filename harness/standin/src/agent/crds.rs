//! The custom resources, registered by the agent at its start as upstream does.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

/// A kind that cannot be registered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    /// The API server refused.
    #[error("a custom resource cannot be registered")]
    Api(#[from] kube::Error),
    /// The API server does not serve it.
    #[error("a custom resource is not served")]
    Wait(#[from] kube::runtime::wait::Error),
    /// It is not well-formed.
    #[error("a custom resource is not well-formed")]
    Definition(#[from] serde_json::Error),
}

struct Kind {
    name: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    scope: &'static str,
    /// Whether its status is written apart from the rest.
    status: bool,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "CiliumNetworkPolicy",
        plural: "ciliumnetworkpolicies",
        short: &["cnp", "ciliumnp"],
        scope: "Namespaced",
        status: true,
    },
    Kind {
        name: "CiliumEndpoint",
        plural: "ciliumendpoints",
        short: &["cep", "ciliumep"],
        scope: "Namespaced",
        status: false,
    },
    Kind { name: "CiliumNode", plural: "ciliumnodes", short: &["cn"], scope: "Cluster", status: false },
    Kind {
        name: "CiliumIdentity",
        plural: "ciliumidentities",
        short: &["ciliumid"],
        scope: "Cluster",
        status: false,
    },
];

/// Registers the kinds called `names` where they are missing, and waits until the API server serves them.
pub(crate) async fn register(client: &Client, names: &[&str]) -> Result<(), RegisterError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for kind in KINDS.iter().filter(|kind| names.contains(&kind.name)) {
        match api.create(&PostParams::default(), &definition(kind)?).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
        let established = kube::runtime::conditions::is_crd_established();
        let name = format!("{}.cilium.io", kind.plural);
        kube::runtime::wait::await_condition(api.clone(), &name, established).await?;
    }
    Ok(())
}

fn definition(kind: &Kind) -> Result<CustomResourceDefinition, serde_json::Error> {
    let subresources = if kind.status { json!({"status": {}}) } else { json!({}) };
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.cilium.io", kind.plural)},
        "spec": {
            "group": "cilium.io", "scope": kind.scope,
            "names": {
                "kind": kind.name, "listKind": format!("{}List", kind.name), "plural": kind.plural,
                "singular": kind.name.to_lowercase(), "shortNames": kind.short,
            },
            "versions": [{"name": "v2", "served": true, "storage": true, "subresources": subresources, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_well_formed() {
        for kind in &KINDS {
            let crd = definition(kind).unwrap();
            assert_eq!(crd.spec.names.plural, kind.plural);
            assert_eq!(crd.spec.versions[0].name, "v2");
        }
    }
}
