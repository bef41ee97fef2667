//! Decides what happens to each key: one hop between minors after the other, as a stepwise upgrade would.
//!
//! A rebase over several minors is the composition of its hops, so it gives the same file as the same hops one by one.

use super::draft::Draft;
use super::hop::Hop;
use super::{Decision, Request, absent, classify, rules};
use crate::configmap::ConfigMap;
use crate::plan::{Options, plan_with};
use model::Version;

/// Decides for every key of the file, then for those that are added or left out.
pub(super) fn decide(config: &ConfigMap, request: &Request<'_>) -> Vec<Decision> {
    let mut draft = Draft::new(config);
    let stops = stops(request);
    let last = stops.len().saturating_sub(1);
    for (index, (from, to, required)) in stops.iter().enumerate() {
        let template = if index == last { request.template } else { None };
        let skips_defaults = index < last && request.template.is_some();
        let origin = if request.template.is_some() { request.from } else { from };
        rules::apply(&mut draft, &Hop { from, to, required, origin, template, skips_defaults });
    }
    absent::adopt(&mut draft, request);
    classify::dangers(&mut draft);
    draft.explain_untouched(|key, value| classify::untouched(key, value, request));
    draft.decisions()
}

/// One stop after the other: version before, version after, and the keys that the guide requires between them.
type Stop = (Version, Version, Vec<crate::required::ConfigChange>);

/// Returns the hops of a rebase; versions without a route are one hop.
fn stops(request: &Request<'_>) -> Vec<Stop> {
    // A vendor build has the options of the release that it is based on.
    let release = |version: &Version| Version { pre: None, ..version.clone() };
    let (from, to) = (release(request.from), release(request.to));
    let plan = plan_with(&from, &to, Options { downgrade: true, direct: false });
    match plan {
        Ok(plan) => {
            plan.stages.into_iter().map(|stage| (stage.from, stage.to, stage.config_changes)).collect()
        }
        Err(_) => vec![(from, to, Vec::new())],
    }
}
