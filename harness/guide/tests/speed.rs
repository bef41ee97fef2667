//! How long a large lint takes: `cargo test --release -p guide --test speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use guide::lint::{Change, Source, lint};

#[test]
#[ignore = "measures wall time: run it alone, in a release build"]
fn lints_ten_thousand_policies_in_two_seconds() {
    let policy = |n: usize| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: p{n}\n  namespace: n{}\nspec:\n  \
             endpointSelector:\n    matchLabels:\n      app: a{n}\n  egress:\n  - toCIDRSet:\n    - cidr: 10.{}.0.0/16\n      \
             except: [10.{}.{}.0/24]\n  - toFQDNs:\n    - matchName: host{n}.example.com\n  ingress:\n  - fromEndpoints:\n    \
             - matchLabels:\n        app: b{n}\n    toPorts:\n    - ports:\n      - port: \"80\"\n      rules:\n        http: \
             [{{path: \"/{n}\"}}]\n",
            n % 50,
            n % 256,
            n % 256,
            n / 256,
        )
    };
    let text = (0..10_000).map(policy).collect::<Vec<_>>().join("---\n");
    let change = Change {
        from: "1.3.8".parse().unwrap(),
        to: "1.6.4".parse().unwrap(),
        kernel: Some("4.9".parse().unwrap()),
    };
    let start = Instant::now();
    let report = lint(&[Source { file: "all.yaml", text: &text }], &change);
    let elapsed = start.elapsed();
    assert_eq!(report.policies, 10_000);
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}
