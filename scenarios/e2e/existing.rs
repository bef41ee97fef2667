//! A cluster that is there: upgraded, and watched while something is done to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams};
use libtest_mimic::Failed;
use model::Layer;
use nix::sys::signal::Signal;
use report::run::{Attribution, Flow, Verdict};
use serde_json::Value;

use crate::account::Account;
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
    /// One of its users, who may nothing at first.
    watcher: Account,
}

/// What is done is seen and put down to its cause; nothing is left, however it ends; nothing is guessed.
pub(crate) fn upgraded_and_watched() -> Result<(), Failed> {
    let there = There::make()?;
    let done = there
        .refuses_what_is_not_named()
        .and_then(|()| there.refuses_who_may_not())
        .and_then(|()| there.changes_nothing_unasked())
        .and_then(|()| there.is_upgraded())
        .and_then(|()| there.sees_a_restart())
        .and_then(|()| there.dies())
        .and_then(|()| there.dies_amid_a_check());
    run(&mut seatrial(&["cluster", "down", &there.id]))?.expect_code(0)?;
    done
}

impl There {
    fn make() -> Result<Self, Failed> {
        let mut kept =
            Running::start(&["run", "1.5", "1.6", "--subject", "standin", "--rollback", "--keep"])?;
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
        let watcher = Account::make(&kubeconfig)?;
        Ok(Self { id, kubeconfig, context, image, watcher })
    }

    fn arguments<'a>(&'a self, context: &'a str) -> Result<[&'a str; 7], Failed> {
        self.arguments_with(&self.kubeconfig, context)
    }

    fn arguments_with<'a>(&'a self, kubeconfig: &'a Path, context: &'a str) -> Result<[&'a str; 7], Failed> {
        let kubeconfig = kubeconfig.to_str().ok_or("a path that is no text")?;
        Ok(["watch", "--kubeconfig", kubeconfig, "--context", context, "--image", &self.image])
    }

    fn refuses_what_is_not_named(&self) -> Result<(), Failed> {
        let wrong = run(&mut seatrial(&self.arguments("nobodys")?))?;
        wrong
            .expect_code(2)?
            .expect_words(&["there is no context \"nobodys\"; the contexts are", &self.context])?;
        Ok(())
    }

    /// Somebody without rights, and somebody who may watch and nothing else.
    fn refuses_who_may_not(&self) -> Result<(), Failed> {
        let kubeconfig = self.watcher.kubeconfig();
        let watch = self.arguments_with(&kubeconfig, &self.context)?;
        run(&mut seatrial(&watch))?.expect_code(2)?.expect_words(&[
            "this user may not get namespaces, create namespaces",
            "`seatrial watch --rbac`",
        ])?;
        self.watcher.grant_watching()?;
        let named = watch.iter().copied().skip(1).chain(["--yes-upgrade", &self.context]);
        let upgrade =
            ["run", "1.5", "1.6", "--subject", "standin", "--provider", "existing"].into_iter().chain(named);
        run(&mut seatrial(&upgrade.collect::<Vec<_>>()))?
            .expect_code(2)?
            .expect_words(&["this user may not * *", "it needs cluster-admin"])?;
        self.is_as_before()
    }

    /// The words that name it to a command, said twice or not.
    fn existing<'a>(&'a self, command: &[&'a str], yes: Option<&'a str>) -> Result<Vec<&'a str>, Failed> {
        let named = self.arguments(&self.context)?;
        let yes = yes.map(|context| ["--yes-upgrade", context]);
        let words =
            command.iter().copied().chain(["--provider", "existing"]).chain(named.into_iter().skip(1));
        Ok(words.chain(yes.into_iter().flatten()).collect())
    }

    fn changes_nothing_unasked(&self) -> Result<(), Failed> {
        let yes = Some(self.context.as_str());
        let refusals: [(&[&str], Option<&str>, &str); 4] = [
            (&["run", "1.5", "1.6", "--subject", "standin"], None, "--yes-upgrade"),
            (&["run", "1.4", "1.5", "--subject", "standin"], yes, "runs Cilium v1.5.13, and not 1.4.10"),
            (
                &["scenario", "run", "upgrade-1.5-1.6", "kvstore-keys", "--subject", "standin"],
                yes,
                "choose it with --arm",
            ),
            (
                &["scenario", "run", "ct-gc-pressure", "--arm", "followed", "--subject", "standin"],
                yes,
                "run it on a new cluster",
            ),
        ];
        for (command, yes, words) in refusals {
            let out = tempfile::tempdir()?;
            let mut refused = seatrial(&self.existing(command, yes)?);
            run(refused.arg("--out").arg(out.path()))?.expect_code(2)?.expect_words(&[words])?;
            if let Some(made) = std::fs::read_dir(out.path())?.next() {
                return Err(format!("it made {}", made?.path().display()).into());
            }
        }
        Ok(())
    }

    /// A scenario's file runs unchanged, there and back.
    fn is_upgraded(&self) -> Result<(), Failed> {
        let scenario = ["scenario", "run", "upgrade-1.5-1.6", "--arm", "followed", "--subject", "standin"];
        let mut upgrade = Running::start(&self.existing(&scenario, Some(&self.context))?)?;
        let code = upgrade.ended()?;
        let record = upgrade.record()?;
        // The report says which cluster it was, whatever its context is called.
        let named = format!("nodes of context {} at https://", self.context);
        let console = upgrade.console();
        let named = console.contains(&named) && console.contains("UID of kube-system ");
        if code != Some(0) || record.provider.name != "existing" || !named {
            return Err(format!("exit code {code:?}\n{}", upgrade.console()).into());
        }
        self.is_as_before()
    }

    /// Names of its namespaces, and of the DaemonSets of its subject.
    fn names(&self) -> Result<Vec<String>, Failed> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let client = cluster::client(&self.kubeconfig).await?;
            let namespaces: Api<Namespace> = Api::all(client.clone());
            let sets: Api<DaemonSet> = Api::namespaced(client, "kube-system");
            let (namespaces, sets) =
                (namespaces.list(&ListParams::default()).await?, sets.list(&ListParams::default()).await?);
            let namespaces = namespaces.into_iter().filter_map(|namespace| namespace.metadata.name);
            Ok(namespaces.chain(sets.into_iter().filter_map(|set| set.metadata.name)).collect())
        })
    }

    /// What was there before any run came, and nothing else.
    fn is_as_before(&self) -> Result<(), Failed> {
        let ours = |name: &&String| name.starts_with("seatrial-") || name.contains("pre-flight");
        match self.names()?.iter().find(ours) {
            Some(left) => Err(format!("{left} is left in the cluster").into()),
            None => Ok(()),
        }
    }

    /// Watched by somebody who may do no more than that.
    fn sees_a_restart(&self) -> Result<(), Failed> {
        let kubeconfig = self.watcher.kubeconfig();
        let mut watch = Running::start(&self.arguments_with(&kubeconfig, &self.context)?)?;
        watch.wait_for_event(&["change the cluster now"])?;
        self.ends_by_itself_and_hides()?;
        run(&mut seatrial(&["cluster", "exec", &self.id, "node2", "--", "pkill", "-x", "cilium-agent"]))?
            .expect_code(0)?;
        // The first was ready when the watch began.
        watch.wait_for_events(2, &["observed", "\"agent\"", "\"ready\"", "node2"])?;
        watch.let_run(SETTLED)?;
        signal(&watch, Signal::SIGINT)?;
        let code = watch.ended()?;
        let record = watch.record()?;
        let versions = record.path.first().map(|hop| (hop.from.as_str(), hop.to.as_str()));
        let cut = record.flows.iter().filter(|flow| restarted(flow)).count();
        let seen = record.provider.name == "existing" && versions == Some(("v1.5.13", "v1.5.13"));
        if code != Some(0) || record.verdict != Verdict::Passed || !seen || cut < 2 {
            return Err(
                format!("exit code {code:?}, {cut} flows cut, {versions:?}\n{}", watch.console()).into()
            );
        }
        Ok(())
    }

    /// Every probe ends without the command, and the server on the network of a node listens on the node's address alone.
    fn ends_by_itself_and_hides(&self) -> Result<(), Failed> {
        let pods = tokio::runtime::Runtime::new()?.block_on(async {
            let pods: Api<Pod> = Api::all(cluster::client(&self.kubeconfig).await?);
            Ok::<_, Failed>(pods.list(&ListParams::default()).await?.items)
        })?;
        let ours = |pod: &Pod| pod.metadata.namespace.as_ref().is_some_and(|it| it.starts_with("seatrial-"));
        let pods: Vec<_> = pods.into_iter().filter(ours).collect();
        let lasts = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| spec.active_deadline_seconds.is_none());
        if let Some(pod) = pods.iter().find(lasts) {
            return Err(format!("{:?} has no deadline", pod.metadata.name).into());
        }
        let listening = ["ss", "-Hlnu", "sport", "=", ":27000"];
        let exec = ["cluster", "exec", &self.id, "node1", "--"].into_iter().chain(listening);
        let sockets = run(&mut seatrial(&exec.collect::<Vec<_>>()))?.expect_code(0)?.out;
        let places: Vec<_> = sockets.split_whitespace().filter(|word| word.ends_with(":27000")).collect();
        if pods.is_empty() || places != ["10.250.0.11:27000"] {
            return Err(format!("{} probes; the canary listens on {places:?}", pods.len()).into());
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
        self.is_as_before()
    }

    /// The agents are not touched yet; what the check has made goes with the rest.
    fn dies_amid_a_check(&self) -> Result<(), Failed> {
        let mut upgrade = Running::start(
            &self.existing(&["run", "1.5", "1.6", "--subject", "standin"], Some(&self.context))?,
        )?;
        upgrade.wait_for_event(&["observed", "\"preflight\""])?;
        signal(&upgrade, Signal::SIGKILL)?;
        upgrade.ended()?;
        let id = upgrade.id().ok_or("the run made no folder")?;
        if self.is_as_before().is_ok() {
            return Err("nothing was left: the kill came too late".into());
        }
        run(&mut seatrial(&["gc"]))?.expect_code(0)?.expect_words(&[&format!("removed {id}"), "1 alive"])?;
        self.is_as_before()
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
fn restarted(flow: &Flow) -> bool {
    let cause = flow.outages.first().and_then(|outage| outage.attribution.as_ref());
    let by_agent =
        |cause: &Attribution| cause.event.starts_with("agent ") && cause.node.as_deref() == Some("node2");
    flow.layer == Layer::L7 && flow.server_node == "node2" && cause.is_some_and(by_agent)
}
