//! A cluster that is there, watched while something is done to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use libtest_mimic::Failed;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::command::{Running, run, seatrial, state};
use crate::kills::signal;

/// How long is measured after the agent is back: clients reconnect.
const SETTLED: Duration = Duration::from_secs(3);

/// A kept cluster, as its owner sees it.
struct There {
    id: String,
    kubeconfig: PathBuf,
    context: String,
    image: String,
}

/// What is done is seen and put down to its cause; nothing is left, however the watch ends; nothing is guessed.
pub(crate) fn watched() -> Result<(), Failed> {
    let there = There::make()?;
    let done =
        there.refuses_what_is_not_named().and_then(|()| there.sees_a_restart()).and_then(|()| there.dies());
    run(&mut seatrial(&["cluster", "down", &there.id]))?.expect_code(0)?;
    done
}

impl There {
    fn make() -> Result<Self, Failed> {
        let mut kept = Running::start(&["run", "1.6.11", "1.6.12", "--keep"])?;
        kept.ended()?;
        let id = kept.id().ok_or("the run made no folder")?;
        let kubeconfig = state().join("clusters").join(&id).join("kubeconfig");
        let config: Value = serde_json::from_slice(&std::fs::read(&kubeconfig)?)?;
        let context = config["current-context"].as_str().ok_or("the kubeconfig has no current context")?;
        let context = context.to_owned();
        remove_probes(&kubeconfig)?;
        let folder = tempfile::tempdir()?;
        let archive = folder.path().join("probe.tar").display().to_string();
        let image = run(&mut seatrial(&["image", &archive]))?.expect_code(0)?.out.trim().to_owned();
        Ok(Self { id, kubeconfig, context, image })
    }

    fn arguments<'a>(&'a self, context: &'a str) -> Result<[&'a str; 7], Failed> {
        let kubeconfig = self.kubeconfig.to_str().ok_or("a path that is no text")?;
        Ok(["watch", "--kubeconfig", kubeconfig, "--context", context, "--image", &self.image])
    }

    fn refuses_what_is_not_named(&self) -> Result<(), Failed> {
        let wrong = run(&mut seatrial(&self.arguments("nobodys")?))?;
        wrong.expect_code(2)?.expect_words(&["it has no context nobodys; it has", &self.context])?;
        Ok(())
    }

    fn sees_a_restart(&self) -> Result<(), Failed> {
        let mut watch = Running::start(&self.arguments(&self.context)?)?;
        watch.wait_for_event(&["change the cluster now"])?;
        run(&mut seatrial(&["cluster", "exec", &self.id, "node2", "--", "pkill", "-x", "cilium-agent"]))?
            .expect_code(0)?;
        // The first was ready when the watch began.
        watch.wait_for_events(2, &["observed", "\"agent\"", "\"ready\"", "node2"])?;
        watch.let_run(SETTLED)?;
        signal(&watch, Signal::SIGINT)?;
        let code = watch.ended()?;
        let record = watch.record()?;
        let versions = [&record["path"][0]["from"], &record["path"][0]["to"]];
        let cut = record["flows"].as_array().into_iter().flatten().filter(|flow| restarted(flow)).count();
        let seen = record["provider"]["name"] == "existing" && versions == ["v1.6.12", "v1.6.12"];
        if code != Some(0) || record["verdict"] != "passed" || !seen || cut < 2 {
            return Err(
                format!("exit code {code:?}, {cut} flows cut, {versions:?}\n{}", watch.console()).into()
            );
        }
        Ok(())
    }

    fn dies(&self) -> Result<(), Failed> {
        let mut watch = Running::start(&self.arguments(&self.context)?)?;
        watch.wait_for_event(&["step-started", "baseline"])?;
        signal(&watch, Signal::SIGKILL)?;
        watch.ended()?;
        let id = watch.id().ok_or("the watch made no folder")?;
        let listed = run(&mut seatrial(&["cluster", "list"]))?.expect_code(0)?;
        if listed.out.contains(&id) {
            return Err(format!("a watch is no cluster of ours:\n{}", listed.out).into());
        }
        run(&mut seatrial(&["gc"]))?.expect_code(0)?.expect_words(&[&format!("removed {id}"), "1 alive"])?;
        Ok(())
    }
}

/// Removes the probes of the run that made the cluster: they hold the ports of its nodes.
fn remove_probes(kubeconfig: &Path) -> Result<(), Failed> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let namespaces: Api<Namespace> = Api::all(cluster::client(kubeconfig).await?);
        namespaces.delete("seatrial-probes", &DeleteParams::default()).await?;
        let probe = async || match namespaces.get_opt("seatrial-probes").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is there".to_owned()),
            Err(e) => Err(e.to_string()),
        };
        let (minute, often) = (Duration::from_secs(60), Duration::from_millis(100));
        Ok(cluster::wait::until("the run's own probes to be gone", minute, often, probe).await?)
    })
}

/// Whether a proxied connection to node2 was cut by what was done there.
fn restarted(flow: &Value) -> bool {
    let cause = &flow["outages"][0]["attribution"];
    let event = cause["event"].as_str().unwrap_or_default();
    flow["layer"] == "L7"
        && flow["server_node"] == "node2"
        && event.starts_with("agent ")
        && cause["node"] == "node2"
}
