//! Requests and results of CNI, specification 0.3.0 to 1.0.0.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The versions of the specification that the plugin speaks.
pub(super) const VERSIONS: [&str; 4] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0"];

/// The network's configuration, from standard input.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetConf {
    #[serde(default = "oldest")]
    pub(super) cni_version: String,
}

fn oldest() -> String {
    VERSIONS[0].to_owned()
}

/// The runtime's request, from the environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) command: Command,
    pub(super) container_id: String,
    pub(super) namespace_path: String,
    pub(super) interface: String,
    pub(super) pod_namespace: String,
    pub(super) pod: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Del,
    Check,
    Version,
}

/// An error as the specification wants it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct CniError {
    pub(super) code: u32,
    pub(super) msg: String,
}

impl CniError {
    /// A variable is missing or wrong.
    pub(super) fn environment(msg: String) -> Self {
        Self { code: 4, msg }
    }

    /// The configuration cannot be used.
    pub(super) fn config(msg: String) -> Self {
        Self { code: 7, msg }
    }

    /// Later may be better.
    pub(super) fn try_again(msg: String) -> Self {
        Self { code: 11, msg }
    }

    /// Anything else.
    pub(super) fn failed(msg: String) -> Self {
        Self { code: 100, msg }
    }

    /// The document for standard output.
    pub(super) fn document(&self, cni_version: &str) -> Value {
        json!({"cniVersion": cni_version, "code": self.code, "msg": self.msg})
    }
}

impl Invocation {
    /// Reads the environment that `variable` gives access to.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CniError> {
        let command = match variable("CNI_COMMAND").as_deref() {
            Some("ADD") => Command::Add,
            Some("DEL") => Command::Del,
            Some("CHECK") => Command::Check,
            Some("VERSION") => Command::Version,
            other => return Err(CniError::environment(format!("CNI_COMMAND is {other:?}"))),
        };
        let needed = |name: &str, by: &[Command]| match variable(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ if by.contains(&command) => Err(CniError::environment(format!("{name} is not set"))),
            _ => Ok(String::new()),
        };
        let pod_args = variable("CNI_ARGS").unwrap_or_default();
        let pod_args: BTreeMap<&str, &str> =
            pod_args.split(';').filter_map(|pair| pair.split_once('=')).collect();
        let pod_arg = |name: &str| match pod_args.get(name) {
            Some(value) => Ok((*value).to_owned()),
            None if command == Command::Add => Err(CniError::environment(format!(
                "CNI_ARGS does not hold {name}: the runtime has to be Kubernetes'"
            ))),
            None => Ok(String::new()),
        };
        Ok(Self {
            command,
            container_id: needed("CNI_CONTAINERID", &[Command::Add, Command::Del, Command::Check])?,
            namespace_path: needed("CNI_NETNS", &[Command::Add, Command::Check])?,
            interface: needed("CNI_IFNAME", &[Command::Add, Command::Del, Command::Check])?,
            pod_namespace: pod_arg("K8S_POD_NAMESPACE")?,
            pod: pod_arg("K8S_POD_NAME")?,
        })
    }
}

/// A link of the result.
pub(super) struct Interface<'a> {
    pub(super) name: &'a str,
    pub(super) mac: [u8; 6],
    pub(super) sandbox: &'a str,
}

/// The result of ADD: the node's end, the pod's end, its address and its default route.
pub(super) fn added(
    cni_version: &str,
    host: &Interface<'_>,
    pod: &Interface<'_>,
    ip: Ipv4Addr,
    gateway: Ipv4Addr,
) -> Value {
    let interface = |it: &Interface<'_>| {
        let mac: Vec<String> = it.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"name": it.name, "mac": mac.join(":"), "sandbox": it.sandbox})
    };
    let mut address = json!({"address": format!("{ip}/32"), "gateway": gateway, "interface": 1});
    // Specification 1.0.0 dropped the member.
    if !cni_version.starts_with("1.") {
        address["version"] = json!("4");
    }
    json!({
        "cniVersion": cni_version,
        "interfaces": [interface(host), interface(pod)],
        "ips": [address],
        "routes": [{"dst": "0.0.0.0/0", "gw": gateway}],
        "dns": {},
    })
}

/// The result of VERSION.
pub(super) fn versions(cni_version: &str) -> Value {
    json!({"cniVersion": cni_version, "supportedVersions": VERSIONS})
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ADD: [(&str, &str); 5] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "abc"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0"),
    ];

    fn read(change: Option<(&str, Option<&str>)>) -> Result<Invocation, CniError> {
        Invocation::read(|name| match change {
            Some((changed, value)) if changed == name => value.map(str::to_owned),
            _ => ADD.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()),
        })
    }

    #[test]
    fn reads_an_add() {
        let invocation = read(None).unwrap();
        assert_eq!((invocation.pod_namespace.as_str(), invocation.pod.as_str()), ("shop", "web-0"));
        assert_eq!(invocation.command, Command::Add);
    }

    #[rstest]
    #[case::no_command("CNI_COMMAND", None)]
    #[case::odd_command("CNI_COMMAND", Some("FROB"))]
    #[case::no_container("CNI_CONTAINERID", None)]
    #[case::no_namespace("CNI_NETNS", Some(""))]
    #[case::no_pod("CNI_ARGS", Some("K8S_POD_NAMESPACE=shop"))]
    fn refuses_a_bad_environment(#[case] name: &str, #[case] value: Option<&str>) {
        assert_eq!(read(Some((name, value))).unwrap_err().code, 4);
    }

    #[test]
    fn a_del_needs_neither_namespace_nor_pod() {
        let del = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "abc"), ("CNI_IFNAME", "eth0")];
        let variable = |name: &str| del.iter().find(|(it, _)| *it == name).map(|(_, it)| (*it).to_owned());
        assert_eq!(Invocation::read(variable).unwrap().command, Command::Del);
    }

    #[rstest]
    #[case::old("0.3.1", true)]
    #[case::new("1.0.0", false)]
    fn an_address_has_a_version_before_1_0_0(#[case] cni_version: &str, #[case] versioned: bool) {
        let host = Interface { name: "lxc1", mac: [0x0e, 0x58, 10, 244, 0, 2], sandbox: "" };
        let pod = Interface { name: "eth0", mac: [0x0a, 0x58, 10, 244, 0, 2], sandbox: "/run/netns/x" };
        let gateway = Ipv4Addr::new(169, 254, 1, 1);
        let result = added(cni_version, &host, &pod, Ipv4Addr::new(10, 244, 0, 2), gateway);
        assert_eq!(result["ips"][0].get("version").is_some(), versioned);
        assert_eq!(result["ips"][0]["address"], "10.244.0.2/32");
        assert_eq!(result["interfaces"][1]["mac"], "0a:58:0a:f4:00:02");
    }
}
