//! Registries that the nodes of a kind cluster pull from in the place of others.

use std::str::FromStr;

use super::{KindError, docker};

/// Where containerd looks which registry stands for which.
const FOLDER: &str = "/etc/containerd/certs.d";
/// Where it is told to look there; node images of kind v0.27 and newer do.
const CONFIG: &str = "/etc/containerd/config.toml";

/// A registry that stands for another: what it lacks is asked of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The registry's name, as references of images begin.
    host: String,
    /// Address of the one that is asked first.
    address: String,
}

/// A text says nothing about a mirror.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write it as HOST=URL, as in docker.io=http://192.168.0.2:5000")]
pub struct BadMirror;

impl FromStr for Mirror {
    type Err = BadMirror;

    fn from_str(text: &str) -> Result<Self, BadMirror> {
        let (host, address) = text.split_once('=').ok_or(BadMirror)?;
        let place = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
        let of_a_host = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        let is_host = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(of_a_host);
        let plain = |c: char| c.is_ascii_graphic() && !"\"\\".contains(c);
        if !is_host || !place.is_some_and(|place| !place.is_empty() && place.chars().all(plain)) {
            return Err(BadMirror);
        }
        Ok(Self { host: host.to_owned(), address: address.to_owned() })
    }
}

impl std::fmt::Display for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.host, self.address)
    }
}

/// Tells every node; its containerd looks at each pull.
pub(super) async fn lay(nodes: &[String], mirrors: &[Mirror]) -> Result<(), KindError> {
    let write = r#"mkdir -p "$1" && printf '[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$2" >"$1/hosts.toml""#;
    for node in nodes {
        if !mirrors.is_empty() && docker::exec(node, &["grep", "-q", FOLDER, CONFIG]).await.is_err() {
            return Err(KindError::NoMirrors { node: node.clone() });
        }
        for Mirror { host, address } in mirrors {
            let folder = format!("{FOLDER}/{host}");
            docker::exec(node, &["sh", "-c", write, "sh", &folder, address]).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("docker.io=http://192.168.0.2:5000", true)]
    #[case::with_a_port("registry.lab:5000=https://mirror.lab/v2", true)]
    #[case::no_address("docker.io", false)]
    #[case::no_scheme("docker.io=mirror:5000", false)]
    #[case::no_host("=http://mirror:5000", false)]
    #[case::nothing_behind_the_scheme("docker.io=http://", false)]
    #[case::out_of_the_folder("../..=http://mirror:5000", false)]
    #[case::a_repository("docker.io/library=http://mirror:5000", false)]
    #[case::out_of_the_quotes("docker.io=http://mirror\"]", false)]
    fn mirrors_are_read(#[case] text: &str, #[case] right: bool) {
        let read = text.parse::<Mirror>();
        assert_eq!(read.as_ref().map(ToString::to_string).ok().as_deref(), right.then_some(text), "{read:?}");
    }
}
