//! Runs as they come out of a real upgrade and rollback, for tests.

use std::collections::BTreeMap;

use model::{Change, Confidence, Direction, Impact, Kind, Layer, Protocol, Role};

use crate::observation::Observation;
use crate::run::*;
use crate::trial::{self, Trial, TrialOutcome};

/// Where traffic starts and ends, ms since the run started.
const TRAFFIC: (f64, f64) = (12_400.0, 66_000.0);

/// Agent restarts: node, terminated, started, ready, step.
const RESTARTS: [(&str, f64, f64, f64, &str); 4] = [
    ("node1", 27_204.1, 28_010.4, 28_574.0, UPGRADE),
    ("node2", 27_391.7, 28_312.9, 28_960.2, UPGRADE),
    ("node1", 49_120.3, 49_907.8, 50_399.5, ROLLBACK),
    ("node2", 49_266.0, 50_180.1, 50_811.6, ROLLBACK),
];

const UPGRADE: &str = "upgrade 1.5.13 -> 1.6.12";
const ROLLBACK: &str = "rollback 1.6.12 -> 1.5.13";

/// A passed run of 25 flows: held and new HTTP are cut by the proxy's restarts, one UDP flow loses two packets.
pub(crate) fn clean() -> Run {
    Run {
        schema: SCHEMA.into(),
        id: "20261124-031502-b7f3".into(),
        name: None,
        seatrial: "0.1.0".into(),
        started: "2026-11-24T03:15:02Z".into(),
        elapsed_ms: 68_912.4,
        verdict: Verdict::Passed,
        reason: "all 25 flows stayed inside their budgets; HTTP clients had to reconnect, as documented"
            .into(),
        exit_code: 0,
        subject: "standin".into(),
        provider: provider(),
        path: path(),
        steps: steps(),
        probing: String::new(),
        noise: Noise {
            canary_clean: true,
            canary_lost: 0,
            lateness_p50_us: 58.0,
            lateness_p99_us: 212.0,
            lateness_max_us: 1_904.0,
            stolen_ms: Some(40.0),
            cpu_pressure: Some(0.18),
        },
        flows: flows(),
        observations: observations(),
        findings: Vec::new(),
        incidents: Vec::new(),
        budgets: budgets(),
    }
}

/// The same run, but a denied client was answered while the agent of its server's node was away.
pub(crate) fn deny_leak() -> Run {
    let mut run = clean();
    run.verdict = Verdict::Failed;
    run.exit_code = 1;
    run.reason = "deny-tcp/cross-node/pod-ip was answered 3 times: denied traffic passed for 40–80 ms".into();
    let flow = run.flows.iter_mut().find(|flow| flow.id == "deny-tcp/cross-node/pod-ip").unwrap();
    flow.answered = 3;
    flow.lost -= 3;
    flow.classes = BTreeMap::from([("answered".into(), 3), ("lost".into(), flow.lost)]);
    let leak = outage("answered", 49_960.0, 50_000.0, 20.0, ROLLBACK, 3);
    flow.outages.push(leak);
    run.findings.push(Finding {
        id: "F1".into(),
        hazard: Some("policy-gap-on-restart".into()),
        flow: Some("deny-tcp/cross-node/pod-ip".into()),
        summary: "traffic that the policy forbids was answered during the rollback".into(),
        evidence: "3 of 2,680 probes answered between 49.960 s and 50.000 s; the agent on node2 was away from 49.266 s to 50.180 s".into(),
        reproduce: "seatrial run 1.5.13 1.6.12 --rollback --subject standin --nodes 2".into(),
    });
    let budget = run.budgets.iter_mut().find(|budget| budget.name == "policy").unwrap();
    budget.measured = "3 answers in 1 flow, leak of 40–80 ms".into();
    budget.kept = Some(false);
    run
}

/// A run whose cluster did not come up.
pub(crate) fn errored() -> Run {
    let mut run = clean();
    run.verdict = Verdict::Errored;
    run.exit_code = 3;
    run.reason = "the cluster did not come up: node2 was not Ready within 30 s".into();
    run.elapsed_ms = 33_120.0;
    run.steps.truncate(2);
    run.steps[1].ended_ms = 32_655.0;
    run.steps[1].outcome = Outcome::Failed;
    run.steps[1].detail = Some(
        "node2: kubelet exited with 1, last line: \"failed to run Kubelet: no cpuset controller\"".into(),
    );
    run.provider.boot_ms = None;
    run.noise = Noise::default();
    run.flows.clear();
    run.observations.clear();
    run.budgets.clear();
    run
}

/// A trial with this outcome.
pub(crate) fn trial(outcome: TrialOutcome) -> Trial {
    let wrong = match outcome {
        TrialOutcome::AsExpected => Vec::new(),
        TrialOutcome::NotAsExpected => vec![
            "not found: L4 held".to_owned(),
            "deny-tcp/cross-node/pod-ip had an outage that is policy".to_owned(),
        ],
        TrialOutcome::NotJudged => vec!["errored: the cluster did not come up".to_owned()],
    };
    let (scenario, arm) = ("kvstore-keys".to_owned(), "skipped".to_owned());
    Trial { schema: trial::SCHEMA.into(), scenario, arm, outcome, wrong }
}

fn provider() -> Provider {
    let facts = [
        ("container runtime", "containerd 1.6.20"),
        ("cpus", "2"),
        ("helm", "v3.17.1"),
        ("kernel", "6.1.0-28-amd64"),
    ];
    Provider {
        name: "sandbox".into(),
        kubernetes: "v1.34.4".into(),
        nodes: vec!["node1".into(), "node2".into()],
        boot_ms: Some(3_641.0),
        build_ms: None,
        memory_peak_bytes: Some(1_214_000_000),
        facts: facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

fn path() -> Vec<Transition> {
    [("1.5.13", "1.6.12", Direction::Upgrade), ("1.6.12", "1.5.13", Direction::Rollback)]
        .map(|(from, to, direction)| Transition {
            from: from.into(),
            to: to.into(),
            direction,
            l3_impact: Impact::MinimalToNone,
            l7_impact: Impact::ClientsMustReconnect,
        })
        .into()
}

fn steps() -> Vec<Step> {
    [
        ("check the machine", 0.0, 412.0, None),
        ("cluster up", 412.0, 4_070.0, Some("2 nodes Ready in 3.64 s")),
        ("install 1.5.13", 4_070.0, 9_904.0, None),
        ("start traffic", 9_904.0, 12_400.0, Some("25 flows")),
        ("baseline", 12_400.0, 22_400.0, Some("nothing lost")),
        ("preflight 1.6.12", 22_400.0, 26_010.0, Some("2 of 2 READY")),
        (UPGRADE, 26_010.0, 34_300.0, None),
        ("soak 1.6.12", 34_300.0, 44_300.0, None),
        ("verify 1.6.12", 44_300.0, 47_800.0, Some("2 agents, 25 flows answer")),
        (ROLLBACK, 47_800.0, 55_700.0, Some("template of revision 1 restored")),
        ("soak 1.5.13", 55_700.0, 66_000.0, None),
        ("tear down", 66_000.0, 68_912.4, None),
    ]
    .map(|(name, started_ms, ended_ms, detail)| Step {
        name: name.into(),
        started_ms,
        ended_ms,
        outcome: Outcome::Done,
        detail: detail.map(Into::into),
    })
    .into()
}

fn flows() -> Vec<Flow> {
    let mut flows = Vec::new();
    for (kind, protocol, layer, variants) in [
        (Kind::Packet, Protocol::Udp, Layer::L3, 5),
        (Kind::Held, Protocol::Tcp, Layer::L4, 5),
        (Kind::New, Protocol::Tcp, Layer::L4, 5),
        (Kind::Held, Protocol::Http, Layer::L7, 3),
        (Kind::New, Protocol::Http, Layer::L7, 3),
        (Kind::Deny, Protocol::Tcp, Layer::Policy, 2),
        (Kind::Canary, Protocol::Udp, Layer::Canary, 2),
    ] {
        for &(reach, target) in &REACHES[..variants] {
            flows.push(flow(kind, protocol, layer, reach, target));
        }
    }
    for flow in &mut flows {
        disturb(flow);
    }
    flows
}

const REACHES: [(&str, &str); 5] = [
    ("cross-node", "pod-ip"),
    ("same-node", "pod-ip"),
    ("cross-node", "cluster-ip"),
    ("same-node", "cluster-ip"),
    ("cross-node", "pod-ip-l4-policy"),
];

fn flow(kind: Kind, protocol: Protocol, layer: Layer, reach: &str, target: &str) -> Flow {
    let period_ms = if matches!(kind, Kind::Packet | Kind::Canary) { 10.0 } else { 20.0 };
    let planned = ((TRAFFIC.1 - TRAFFIC.0) / period_ms) as u64;
    let denied = layer == Layer::Policy;
    let policy = match (layer, target) {
        (Layer::L7, _) => ", L7 policy",
        (Layer::Policy, _) => ", denied by policy",
        (_, "pod-ip-l4-policy") => ", L4 policy",
        _ => "",
    };
    let through = if target.starts_with("pod-ip") { "pod IP" } else { "ClusterIP" };
    let server_node = if reach == "cross-node" { "node2" } else { "node1" };
    Flow {
        id: format!("{kind}-{protocol}/{reach}/{target}"),
        kind,
        protocol,
        path: if layer == Layer::Canary {
            format!("{reach}, between hosts")
        } else {
            format!("{reach}, {through}{policy}")
        },
        layer,
        client: "client on node1".into(),
        server: format!("server on {server_node}"),
        client_node: "node1".into(),
        server_node: server_node.into(),
        period_ms,
        window_ms: TRAFFIC,
        planned,
        sent: planned,
        answered: if denied { 0 } else { planned },
        lost: if denied { planned } else { 0 },
        classes: BTreeMap::from([(if denied { "lost" } else { "answered" }.into(), planned)]),
        latency_ms: (!denied).then_some([0.21, 0.74, 6.42]),
        outages: Vec::new(),
    }
}

/// Adds what a restart of the agents does to this flow.
fn disturb(flow: &mut Flow) {
    let (client, server) = (flow.client_node.clone(), flow.server_node.clone());
    for (restart, &(node, terminated, started, ready, step)) in RESTARTS.iter().enumerate() {
        let period = flow.period_ms;
        let outage = match (flow.kind, flow.protocol) {
            (Kind::Held, Protocol::Http) if node == server => {
                let mut cut = outage("reset", terminated + 3.0, ready - 40.0, period, step, restart);
                cut.connections_cut = 1;
                cut
            }
            (Kind::New, Protocol::Http) if node == server => {
                outage("refused", terminated + 9.0, ready - 21.0, period, step, restart)
            }
            (Kind::Packet, Protocol::Udp) if node == client && flow.id.ends_with("cross-node/cluster-ip") => {
                outage("lost", started + 401.0, started + 401.0, period, step, restart)
            }
            _ => continue,
        };
        flow.lost += outage.samples;
        flow.answered -= outage.samples;
        *flow.classes.entry(outage.class.clone()).or_default() += outage.samples;
        flow.classes.insert("answered".into(), flow.answered);
        flow.outages.push(outage);
    }
}

fn outage(class: &str, first_bad: f64, last_bad: f64, period: f64, step: &str, restart: usize) -> Outage {
    let (node, terminated, started, ..) = RESTARTS[restart];
    let (event, at) =
        if class == "lost" { ("agent started", started) } else { ("agent terminated", terminated) };
    Outage {
        class: class.into(),
        samples: ((last_bad - first_bad) / period) as u64 + 1,
        min_ms: micros(last_bad - first_bad),
        max_ms: Some(micros(last_bad - first_bad + 2.0 * period)),
        last_good_ms: Some(micros(first_bad - period)),
        first_bad_ms: micros(first_bad),
        last_bad_ms: micros(last_bad),
        first_good_ms: Some(micros(last_bad + period)),
        connections_cut: 0,
        step: Some(step.into()),
        attribution: Some(Attribution {
            event: event.into(),
            node: Some(node.into()),
            confidence: if class == "lost" { Confidence::Medium } else { Confidence::High },
            evidence: format!(
                "{event} on {node} at {:.3} s, {:.0} ms before the first bad sample; no other event within 2 s",
                at / 1000.0,
                first_bad - at
            ),
        }),
        noisy: false,
    }
}

/// Milliseconds with the digits of a microsecond, which JSON gives back exactly.
fn micros(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

fn observations() -> Vec<TimedObservation> {
    let mut seen = Vec::new();
    for (restart, (node, terminated, started, ready, _)) in RESTARTS.into_iter().enumerate() {
        let image = if restart < 2 { "standin:1.6.12" } else { "standin:1.5.13" };
        let (old, new) = (format!("{node}-{restart}a"), format!("{node}-{restart}b"));
        for (at_ms, pod, change, detail) in [
            (terminated - 180.0, &old, Change::Deleted, None),
            (terminated, &old, Change::Terminated, Some("exit code 0".to_owned())),
            (started, &new, Change::Started, Some(format!("image {image}"))),
            (ready, &new, Change::Ready, None),
        ] {
            let what = Observation {
                node: Some(node.into()),
                role: Role::Agent,
                object: format!("pod kube-system/cilium-{pod}"),
                change,
                detail,
            };
            seen.push(TimedObservation { at_ms, what });
        }
    }
    seen.push(TimedObservation {
        at_ms: 26_090.0,
        what: Observation {
            node: None,
            role: Role::Config,
            object: "configmap kube-system/cilium-config".into(),
            change: Change::Written,
            detail: Some("kvstore, kvstore-opt added".into()),
        },
    });
    seen.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    seen
}

fn budgets() -> Vec<Budget> {
    [
        (
            "L3, upgrade 1.5.13 → 1.6.12",
            "Minimal to None",
            "no outage above 100 ms",
            "worst 0–20 ms in 1 of 5 flows",
        ),
        (
            "L4, upgrade 1.5.13 → 1.6.12",
            "Minimal to None",
            "no outage above 1 s, no reset",
            "nothing lost in 10 flows",
        ),
        (
            "L7, upgrade 1.5.13 → 1.6.12",
            "Clients must reconnect",
            "held: cut at most once per agent restart; new: work 2 s after ready",
            "held cut once per restart; new worked 0 ms after ready",
        ),
        ("policy", "", "a denied probe is never answered", "no answer in 2 flows"),
    ]
    .map(|(name, words, rule, measured)| Budget {
        name: name.into(),
        words: words.into(),
        rule: rule.into(),
        measured: measured.into(),
        kept: Some(true),
    })
    .into_iter()
    .chain([Budget {
        name: "L7, rollback 1.6.12 → 1.5.13".into(),
        words: "N/A".into(),
        rule: "reported, not judged".into(),
        measured: "held cut once per restart; new refused for 1.13–1.55 s".into(),
        kept: None,
    }])
    .collect()
}
