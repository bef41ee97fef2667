//! Rebases checked against a table of effects that is made without them: what changes is named, and what is kept stays.

use super::effects::{Data, Effect, effects, keys_of};
use super::*;
use crate::{catalogue, options};
use options::Kind;
use proptest::prelude::*;

/// The latest patches of 1.6 and later.
fn stops() -> Vec<Version> {
    let lines = catalogue::lines().iter().filter(|line| line.minor >= model::Minor::new(1, 6));
    lines.map(|line| line.latest.clone()).collect()
}

/// Documented values of options that are words.
const WORDS: [(&str, &[&str]); 20] = [
    ("allow-localhost", &["auto", "always", "policy"]),
    ("bpf-lb-acceleration", &["native", "disabled", "best-effort"]),
    ("bpf-lb-algorithm", &["random", "maglev"]),
    ("bpf-lb-dsr-dispatch", &["opt", "ipip", "geneve"]),
    ("bpf-lb-mode", &["snat", "dsr", "hybrid"]),
    ("ces-slice-mode", &["cesSliceModeIdentity", "cesSliceModeFCFS", "identity", "fcfs"]),
    ("cni-chaining-mode", &["none", "aws-cni", "flannel", "generic-veth", "portmap"]),
    ("container-runtime", &["auto", "none", "containerd", "crio", "docker"]),
    ("datapath-mode", &["veth", "ipvlan", "netkit"]),
    ("enable-policy", &["default", "always", "never"]),
    ("identity-allocation-mode", &["crd", "kvstore", "doublewrite-readkvstore"]),
    ("identity-management-mode", &["agent", "operator", "both"]),
    ("ipam", &["kubernetes", "cluster-pool", "eni", "azure", "alibabacloud", "multi-pool", "crd"]),
    ("kube-proxy-replacement", &["probe", "strict", "partial", "disabled", "true", "false"]),
    ("monitor-aggregation", &["none", "low", "medium", "maximum"]),
    ("node-port-mode", &["snat", "dsr", "hybrid"]),
    ("routing-mode", &["native", "tunnel"]),
    ("tunnel", &["vxlan", "geneve", "disabled"]),
    ("tunnel-protocol", &["vxlan", "geneve"]),
    ("underlay-protocol", &["ipv4", "ipv6", "auto"]),
];

/// The documented values of an option, or boundary values of its kind.
fn values(option: &options::AgentOption) -> Vec<&'static str> {
    if let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == option.name) {
        return words.to_vec();
    }
    match option.kind() {
        Kind::Bool => vec!["true", "false"],
        Kind::Integer => vec!["0", "1", "65536"],
        Kind::Number => vec!["0", "0.5"],
        Kind::Duration => vec!["0s", "1m0s"],
        Kind::List => vec!["", "a,b"],
        Kind::Map => vec!["", "{\"a\": \"b\"}"],
        Kind::String => vec!["", "x"],
    }
}

fn defaults(version: &Version) -> Data {
    data(&Template::built_in(version).manifest())
}

fn data(text: &str) -> Data {
    let config = ConfigMap::read(text).unwrap();
    config.data().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The data after a rebase, and its decisions.
fn go(before: &Data, from: &Version, to: &Version) -> (Data, Vec<Decision>) {
    let lines: String = before.iter().map(|(key, value)| format!("  {key}: {value:?}\n")).collect();
    let config =
        ConfigMap::read(&format!("kind: ConfigMap\nmetadata:\n  name: cilium-config\ndata:\n{lines}"))
            .unwrap();
    let request = Request { from, to, template: None, adopt: BTreeSet::new(), comments: false };
    let decisions = decide::decide(&config, &request);
    let after = decisions.iter().filter_map(|d| Some((d.key.clone(), d.after.clone()?))).collect();
    (after, decisions)
}

fn is_open(decisions: &[Decision]) -> bool {
    decisions.iter().any(|decision| matches!(decision.class, Class::Conflict | Class::Lost))
}

fn about<'a>(decisions: &'a [Decision], key: &str) -> Option<&'a Decision> {
    decisions.iter().find(|decision| decision.key == key || decision.old_key.as_deref() == Some(key))
}

/// Names what a rebase changes without a decision that says so.
fn unnamed(before: &Data, after: &Data, decisions: &[Decision], from: &Version, to: &Version) -> Vec<String> {
    let old = effects(before, from.minor());
    let new = effects(after, to.minor());
    let mut found = Vec::new();
    for (name, before_effect) in &old {
        let changes = match (before_effect, &new[name]) {
            (Effect::Of(a), Effect::Of(b)) => a != b,
            // A value that the source does not read takes effect in the target.
            (Effect::None | Effect::Unknown | Effect::Any, Effect::Of(_)) => {
                before.contains_key(name)
                    && options::is_read(name, from.minor()) == Some(false)
                    && options::without_key(name, to.minor())
                        .is_none_or(|absent| !options::same(name, absent, &before[name]))
            }
            (Effect::Of(_), Effect::Unknown | Effect::None) => before.contains_key(name),
            _ => false,
        };
        let says = |decision: &Decision| {
            !matches!(
                decision.class,
                Class::Kept | Class::Unknown | Class::Deprecated | Class::DefaultFlipped
            )
        };
        let keys = keys_of(name);
        let named = keys.iter().filter_map(|key| about(decisions, key)).any(says);
        if changes && !named {
            let class = about(decisions, keys[0]).map(|decision| decision.class);
            found.push(format!("{name}: {before_effect:?} becomes {:?}, {class:?}", new[name]));
        }
    }
    found
}

/// Checks a file on its way from one stop to another and back.
fn check(own: Option<(&str, &str)>, from: usize, to: usize, all: &[Version]) -> Result<(), String> {
    let (first, last) = (&all[from], &all[to]);
    let mut start = defaults(first);
    start.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let (direct, decisions) = go(&start, first, last);
    let problems = unnamed(&start, &direct, &decisions, first, last);
    if !problems.is_empty() {
        return Err(format!("{own:?} from {first} to {last}: {}", problems.join("; ")));
    }
    let (mut stepwise, mut at) = (start.clone(), from);
    while at != to {
        let next = if to > at { at + 1 } else { at - 1 };
        let (after, step) = go(&stepwise, &all[at], &all[next]);
        if step.iter().any(|decision| decision.class == Class::Conflict) {
            let open = is_open(&decisions);
            return if open {
                Ok(())
            } else {
                Err(format!("{own:?} from {first} to {last}: a stop has a conflict"))
            };
        }
        (stepwise, at) = (after, next);
    }
    if stepwise != direct {
        return Err(format!("{own:?} from {first} to {last}: stops change {stepwise:?} {direct:?}"));
    }
    let (back, returned) = go(&direct, last, first);
    for key in start.keys().chain(back.keys()).filter(|key| start.get(*key) != back.get(*key)) {
        let says = |decision: &Decision| decision.is_change() && decision.class != Class::Kept;
        if ![&decisions, &returned].iter().any(|report| about(report, key).is_some_and(says)) {
            return Err(format!("{own:?} from {first} to {last} and back: {key} differs"));
        }
    }
    Ok(())
}

/// Every option with each of its values, in each minor that reads it.
fn cases(all: &[Version]) -> Vec<(usize, &'static str, &'static str)> {
    let minors = all.iter().enumerate();
    let read = |minor| options::all().iter().filter(move |option| option.is_in(minor));
    minors
        .flat_map(|(at, version)| {
            read(version.minor()).flat_map(move |option| {
                values(option).into_iter().map(move |value| (at, option.name.as_str(), value))
            })
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_effect_is_unnamed(case in any::<prop::sample::Index>(), to in 0..15_usize) {
        let all = stops();
        let cases = cases(&all);
        let (from, key, value) = *case.get(&cases);
        prop_assert_eq!(check(Some((key, value)), from, to, &all), Ok(()));
    }
}

#[test]
fn default_configmaps_change_no_effect_unnamed() {
    let all = stops();
    let problems: Vec<_> = (0..all.len())
        .flat_map(|from| (0..all.len()).map(move |to| (from, to)))
        .filter_map(|(from, to)| check(None, from, to, &all).err())
        .collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
#[ignore = "every value of every option in all pairs of minors: more than 7 minutes in a release build on two cores"]
fn no_change_of_effect_is_unnamed_in_all_cases() {
    let all = stops();
    let cases = cases(&all);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let problems: Vec<String> = std::thread::scope(|scope| {
        let (all, cases) = (&all, &cases);
        let work = move |worker: usize| {
            let mine = cases.iter().skip(worker).step_by(workers);
            let each = mine.flat_map(|case| (0..all.len()).map(move |to| (case, to)));
            each.filter_map(|((from, key, value), to)| check(Some((*key, *value)), *from, to, all).err())
                .collect()
        };
        let running: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || -> Vec<String> { work(worker) })).collect();
        running.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let rebases = cases.len() * all.len();
    assert!(
        problems.is_empty(),
        "{} of {rebases} pairs have a problem:\n{}",
        problems.len(),
        problems.join("\n")
    );
}
