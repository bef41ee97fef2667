//! Golden tests: what people read, kept under review. `cargo insta review` shows what changed.

mod errors;
mod lints;
mod plans;
mod rebases;
mod rollbacks;
mod values;

use model::Version;

/// Every hop between neighbouring minors that the guide lists, at the latest patch of each, and 1.2 to 1.5.
fn hops() -> Vec<(Version, Version)> {
    let latest: Vec<_> = guide::catalogue::lines().iter().map(|line| line.latest.clone()).collect();
    let mut hops: Vec<_> = latest.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    hops.push((version("1.2"), version("1.5")));
    hops
}

fn version(text: &str) -> Version {
    guide::resolve(&text.parse().expect("a version")).expect("a known version")
}
