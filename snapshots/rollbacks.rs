//! What differs from the start after an upgrade and `rollout undo`.

use std::collections::BTreeSet;

use guide::plan;
use guide::rebase::{Request, Template, rebase, render};
use insta::assert_snapshot;

use crate::hops;

#[test]
fn after_undo() {
    for (from, to) in hops() {
        let start = Template::built_in(&from).manifest();
        let request =
            Request { from: &from, to: &to, template: None, adopt: BTreeSet::new(), comments: false };
        let upgraded = rebase(&start, &request).expect("a rebase").text;
        let stages = plan(&from, &to).expect("a plan").stages;
        let left: Vec<_> =
            stages.iter().flat_map(|stage| &stage.rollback.not_undone).map(String::as_str).collect();
        let diff = render::diff("cilium-config.yaml", &start, &upgraded);
        assert_snapshot!(
            format!("{}-{}", from.minor(), to.minor()),
            format!("not undone:\n- {}\n\nthe ConfigMap:\n{diff}", left.join("\n- "))
        );
    }
}
