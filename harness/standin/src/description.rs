//! What the harness must know to pack and install the stand-in.

use serde::Serialize;

use crate::chart::{MINORS, images};
use crate::role::LINKS;
use crate::shim::HEALTH_PORT;
use crate::version::Version;

/// The version of the command line and of [`Description`]; it changes when an older harness can no longer use them.
const INTERFACE: u32 = 1;

/// The output of `seatrial-standin describe`.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    /// Version of this format.
    interface: u32,
    /// Minors that can be installed from the stand-in's own charts, oldest first.
    minors: Vec<Minor>,
    /// The version that stands in for all newer ones in the charts of others.
    newest: String,
    /// Absolute paths in an image that must link to the program.
    links: [&'static str; LINKS.len()],
    /// Programs of the host that an image must contain.
    tools: [Tool; 2],
    /// Environment variables of a container.
    environment: Environment,
}

#[derive(Debug, Serialize)]
struct Minor {
    minor: &'static str,
    /// Images of its pods without the registry; `{tag}` stands for the value `global.tag` of its chart.
    images: &'static [&'static str],
}

#[derive(Debug, Serialize)]
struct Tool {
    program: &'static str,
    /// Debian package.
    package: &'static str,
}

#[derive(Debug, Serialize)]
struct Environment {
    /// Variable that names the version to play.
    version: &'static str,
    /// Variable that holds the port at which the kubelet checks the pod's health over HTTP.
    health_port: &'static str,
}

impl Description {
    pub(crate) fn new() -> Self {
        Self {
            interface: INTERFACE,
            minors: MINORS.map(|minor| Minor { minor, images: images(minor) }).into(),
            newest: Version::NEWEST.to_string(),
            links: LINKS,
            tools: [
                Tool { program: "nft", package: "nftables" },
                Tool { program: "conntrack", package: "conntrack" },
            ],
            environment: Environment { version: Version::VARIABLE, health_port: HEALTH_PORT },
        }
    }
}
