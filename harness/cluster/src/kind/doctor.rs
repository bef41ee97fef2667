//! What a kind cluster needs on this machine.

use super::boot::OWN_IMAGES;
use super::docker;
use crate::components::{Component, Components};
use crate::doctor::{Check, State, check, component};

/// Bit of CAP_SYS_RESOURCE in a set of capabilities.
const SYS_RESOURCE: u32 = 24;

/// Checks Docker, the node image and kind.
pub(super) async fn examine(components: &Components) -> Vec<Check> {
    let docker = match docker::version().await {
        Ok(version) => check("docker", State::Fine, format!("version {version} responds")),
        Err(e) => check("docker", State::Missing, e.to_string()),
    };
    let mut checks = vec![docker];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if lacks_sys_resource(&status) {
        let remedy =
            "privileged containers fail here unless the daemon drops CAP_SYS_RESOURCE; ci/docker/start does";
        checks.push(check("capabilities", State::Note, remedy));
    }
    checks.push(match docker::newest(OWN_IMAGES).await {
        Ok(Some(image)) => check("node image", State::Fine, image),
        _ => check(
            "node image",
            State::Note,
            "kind pulls its default image; without a registry, ci/kind-node-image makes one",
        ),
    });
    checks.push(component(components, Component::Kind).await);
    checks
}

fn lacks_sys_resource(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set >> SYS_RESOURCE & 1 == 0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::all("CapBnd:\t000001ffffffffff\n", false)]
    #[case::missing("CapBnd:\t000001fffeffffff\n", true)]
    #[case::unknown("", false)]
    fn missing_capability_is_found(#[case] status: &str, #[case] lacks: bool) {
        assert_eq!(lacks_sys_resource(status), lacks);
    }
}
