//! Somebody who may do in a cluster what a role says, and no more.

use std::path::{Path, PathBuf};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Api, PostParams};
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{run, seatrial};

const NAMESPACE: &str = "default";
const NAME: &str = "watcher";

/// A service account with a kubeconfig of its own.
pub(crate) struct Account {
    folder: TempDir,
    admin: PathBuf,
}

impl Account {
    /// Makes one that may do nothing, with the kubeconfig of an administrator.
    pub(crate) fn make(admin: &Path) -> Result<Self, Failed> {
        let token = tokio::runtime::Runtime::new()?.block_on(async {
            let accounts: Api<ServiceAccount> = Api::namespaced(cluster::client(admin).await?, NAMESPACE);
            let account = serde_json::from_value(json!({"metadata": {"name": NAME}}))?;
            accounts.create(&PostParams::default(), &account).await?;
            let spec = TokenRequestSpec { expiration_seconds: Some(3_600), ..TokenRequestSpec::default() };
            let request = TokenRequest { spec, ..TokenRequest::default() };
            let granted = accounts.create_token_request(NAME, &PostParams::default(), &request).await?;
            let status = granted.status.ok_or("the API server gives no token")?;
            Ok::<_, Failed>(status.token)
        })?;
        let mut config: Value = serde_json::from_slice(&std::fs::read(admin)?)?;
        config["users"][0]["user"] = json!({"token": token});
        let account = Self { folder: tempfile::tempdir()?, admin: admin.to_owned() };
        std::fs::write(account.kubeconfig(), config.to_string())?;
        Ok(account)
    }

    /// Its kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Lets it do what `seatrial watch --rbac` prints.
    pub(crate) fn grant_watching(&self) -> Result<(), Failed> {
        let role = run(&mut seatrial(&["watch", "--rbac"]))?.expect_code(0)?.out;
        let role: ClusterRole = serde_saphyr::from_str(&role)?;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": NAME},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role.metadata.name,
            },
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        }))?;
        tokio::runtime::Runtime::new()?.block_on(async {
            let client = cluster::client(&self.admin).await?;
            Api::all(client.clone()).create(&PostParams::default(), &role).await?;
            Api::all(client).create(&PostParams::default(), &binding).await?;
            Ok(())
        })
    }
}
