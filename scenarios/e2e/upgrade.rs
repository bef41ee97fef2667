//! Upgrades, measured.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use model::{Kind, Layer, Protocol};
use report::run::{Flow, Verdict};

use crate::command::{Running, check, run, seatrial};

/// The main job: within the guide's impact, proxied connections cut once per restart, no denied traffic let through.
pub(crate) fn there_and_back() -> Result<(), Failed> {
    let started = Instant::now();
    let mut running = Running::start(&["run", "1.5", "1.6", "--subject", "standin", "--rollback"])?;
    let code = running.ended()?;
    let took = started.elapsed();
    let record = running.record()?;
    check(code == Some(0), running.console())?;
    check(record.verdict == Verdict::Passed, format!("verdict {}", record.verdict))?;
    check(took < Duration::from_secs(75), format!("the run took {took:.1?}"))?;
    let memory = record.provider.memory_peak_bytes.unwrap_or(u64::MAX);
    check(memory < 1_500_000_000, format!("the run used {memory} bytes of memory"))?;
    for flow in &record.flows {
        flow_is_as_the_guide_says(flow)?;
    }
    let budgets = &record.budgets;
    check(budgets.len() == 8, format!("{} budgets", budgets.len()))?;
    check(budgets.iter().all(|budget| budget.kept == Some(true)), format!("{budgets:?}"))?;
    rollback_restored_the_daemon_set_alone(&running)
}

fn flow_is_as_the_guide_says(flow: &Flow) -> Result<(), Failed> {
    let (id, outages) = (&flow.id, &flow.outages);
    match flow.layer {
        Layer::L7 => {
            // One agent restart in the upgrade and one in the rollback, on each node of the path.
            let cuts: u64 = outages.iter().map(|outage| outage.connections_cut).sum();
            check(flow.kind != Kind::Held || cuts == 2, format!("{id}: {cuts} cuts\n{flow:#?}"))?;
            check(!outages.is_empty(), format!("{id} had no outage at the restart of its proxy"))?;
            for outage in outages {
                let event = outage.attribution.as_ref().map_or("", |cause| cause.event.as_str());
                check(event.starts_with("agent "), format!("{id} is attributed to `{event}`: {outage:#?}"))?;
                check(outage.first_good_ms.is_some(), format!("{id} did not recover: {outage:#?}"))?;
            }
        }
        Layer::Policy => check(flow.answered == 0 && outages.is_empty(), format!("{id}: {flow:#?}"))?,
        _ => check(outages.is_empty(), format!("{id}: {outages:?}"))?,
    }
    let length_ms = flow.window_ms.1 - flow.window_ms.0;
    let (due, planned) = (length_ms / flow.period_ms, flow.planned as f64);
    check(length_ms > 10_000.0, format!("{id} was probed for {length_ms} ms only"))?;
    check(planned > 0.95 * due, format!("{id}: {planned} probes planned, {due} due"))
}

fn rollback_restored_the_daemon_set_alone(running: &Running) -> Result<(), Failed> {
    let objects = running.folder().ok_or("no run folder")?.join("objects");
    let read = |point: &str, object: &str| {
        let path = objects.join(point).join(format!("{object}.yaml"));
        std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let daemon_set = "daemonset-cilium";
    let (installed, upgraded, rolled_back) = (
        read("installed", daemon_set)?,
        read("upgraded-1.6.12", daemon_set)?,
        read("rolled-back-1.5.13", daemon_set)?,
    );
    check(installed != upgraded, "the upgrade did not change the DaemonSet")?;
    let template =
        |text: &str| text.split_once("template:").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    check(!template(&installed).is_empty(), "the DaemonSet has no template")?;
    check(template(&installed) == template(&rolled_back), "the rollback did not restore the template")?;
    let config = "configmap-cilium-config";
    check(
        read("upgraded-1.6.12", config)? == read("rolled-back-1.5.13", config)?,
        "undo changed the ConfigMap",
    )?;
    check(read("rolled-back-1.5.13", config)?.contains("kvstore-opt"), "the required keys are gone")
}

/// Packets that are dropped for half a second are found with their duration, and not attributed to an event.
pub(crate) fn injected_outage_is_seen() -> Result<(), Failed> {
    let mut running = Running::start(&["run", "1.5", "1.6", "--subject", "standin"])?;
    running.wait_for_event(&["step-started", "settle on 1.6.12"])?;
    // After the rollout has calmed down, well inside the window that is judged.
    running.let_run(Duration::from_millis(1_500))?;
    let id = running.id().ok_or("no run folder")?;
    let node = |argv: &[&str]| {
        let mut words = vec!["cluster", "exec", &id, "node2", "--"];
        words.extend(argv);
        run(&mut seatrial(&words))?.expect_code(0)
    };
    node(&[
        "nft",
        "add table inet fault; add chain inet fault drops { type filter hook prerouting priority -400; }; add rule inet fault drops udp dport 7000 drop",
    ])?;
    let from = Instant::now();
    running.let_run(Duration::from_millis(500))?;
    let held = from.elapsed();
    node(&["nft", "delete table inet fault"])?;
    let at_most = from.elapsed() + Duration::from_millis(400);

    let code = running.ended()?;
    let record = running.record()?;
    check(code == Some(1) && record.verdict == Verdict::Failed, running.console())?;
    let to_node2 = |flow: &&Flow| flow.kind == Kind::Packet && flow.server_node == "node2";
    let flow = record.flows.iter().find(to_node2).ok_or("no packet flow to node2")?;
    let [outage] = &flow.outages[..] else {
        return Err(format!("{} outages of {}", flow.outages.len(), flow.id).into());
    };
    let held_ms = held.as_secs_f64() * 1_000.0;
    // An outage without an upper bound did not end.
    let max_ms = outage.max_ms.unwrap_or(f64::NAN);
    check(max_ms >= held_ms, format!("dropped for {held_ms} ms, at most {max_ms} ms measured"))?;
    let min_ms = outage.min_ms;
    check(min_ms <= at_most.as_secs_f64() * 1_000.0, format!("at least {min_ms} ms measured"))?;
    let findings = &record.findings;
    check(findings.iter().any(|it| it.flow.as_ref() == Some(&flow.id)), format!("{findings:?}"))?;
    let others = record.flows.iter().filter(|it| it.protocol == Protocol::Tcp && it.layer == Layer::L4);
    for other in others {
        check(other.outages.is_empty(), format!("{} has an outage as well", other.id))?;
    }
    Ok(())
}

/// A patch upgrade uses `set image`, which leaves the init container as it is, like the guide's command.
pub(crate) fn micro() -> Result<(), Failed> {
    let mut running = Running::start(&["run", "1.6.11", "1.6.12", "--subject", "standin", "--nodes", "1"])?;
    check(running.ended()? == Some(0), running.console())?;
    let objects = running.folder().ok_or("no run folder")?.join("objects");
    let upgraded = std::fs::read_to_string(objects.join("upgraded-1.6.12/daemonset-cilium.yaml"))?;
    check(upgraded.contains("cilium:v1.6.12"), "the agents' image was not changed")?;
    check(upgraded.contains("cilium:v1.6.11"), "the init container's image was changed too")
}
