//! What a kind cluster needs of the machine.

use super::{OWN_IMAGES, docker};
use crate::doctor::{Check, State, check};

/// Bit of CAP_SYS_RESOURCE in a set of capabilities.
const SYS_RESOURCE: u32 = 24;

/// Looks at Docker and at the node image.
pub(crate) async fn examine() -> Vec<Check> {
    let docker = match docker::version().await {
        Ok(version) => check("docker", State::Fine, format!("version {version} answers")),
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
            "kind pulls its own; without a registry, ci/kind-node-image makes one",
        ),
    });
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
    #[case::without_it("CapBnd:\t000001fffeffffff\n", true)]
    #[case::kernel_does_not_say("", false)]
    fn missing_capability_is_seen(#[case] status: &str, #[case] lacks: bool) {
        assert_eq!(lacks_sys_resource(status), lacks);
    }
}
