//! Makes pods look up names that they have used so far, as a program does when an answer has expired.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::{Api, Client};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::addresses::DOMAIN;
use super::{DeployError, Target};
use crate::role::{ASK_NAME, CLIENT_NAME};
use crate::traffic::{Part, Traffic};

const LIMIT: Duration = Duration::from_secs(20);

/// Pods that use names, and the names.
pub struct Asker {
    pods: Api<Pod>,
    names: Vec<String>,
    askers: Vec<String>,
    server: String,
}

impl Asker {
    /// Finds them in the traffic; `None` when it has no names.
    #[must_use]
    pub fn new(client: &Client, target: &Target, traffic: &Traffic) -> Option<Self> {
        let dns = traffic.flows.iter().find(|flow| flow.query.is_some())?;
        let names: Vec<_> = traffic.names.iter().map(|it| full(&it.name, target)).collect();
        let askers: Vec<_> = traffic.pods.iter().filter(|pod| pod.part == Part::NameClient).collect();
        let askers: Vec<_> = askers.into_iter().map(|pod| pod.name.clone()).collect();
        (!names.is_empty()).then_some(Self {
            pods: Api::namespaced(client.clone(), &target.namespace),
            names,
            askers,
            server: server(dns.address?, dns.port),
        })
    }

    /// Makes each pod look up each name, once; returns the answers.
    ///
    /// # Errors
    /// When a pod cannot look up a name, or gets no address.
    pub async fn ask(&self) -> Result<String, DeployError> {
        let mut said = Vec::new();
        for (pod, name) in self.askers.iter().flat_map(|pod| self.names.iter().map(move |name| (pod, name))) {
            let failed = |why: String| DeployError::Ask { pod: pod.clone(), name: name.clone(), why };
            let asked = timeout(LIMIT, self.one(pod, name)).await;
            let answer =
                asked.map_err(|_| failed(format!("not within {} s", LIMIT.as_secs())))?.map_err(failed)?;
            said.push(format!("{pod}: {answer}"));
        }
        Ok(said.join("\n"))
    }

    async fn one(&self, pod: &str, name: &str) -> Result<String, String> {
        let params = AttachParams::default().container(CLIENT_NAME).stderr(true);
        let command = [ASK_NAME, &self.server, name];
        let mut process = self.pods.exec(pod, command, &params).await.map_err(|error| error.to_string())?;
        let status = process.take_status();
        let (mut output, mut errors) = (String::new(), String::new());
        if let Some(mut stdout) = process.stdout() {
            stdout.read_to_string(&mut output).await.map_err(|error| error.to_string())?;
        }
        if let Some(mut stderr) = process.stderr() {
            stderr.read_to_string(&mut errors).await.map_err(|error| error.to_string())?;
        }
        let ended = match status {
            Some(status) => status.await,
            None => None,
        };
        let good = ended.is_some_and(|status| status.status.as_deref() == Some("Success"));
        if good { Ok(output.trim_end().to_owned()) } else { Err(errors.trim_end().to_owned()) }
    }
}

fn full(name: &str, target: &Target) -> String {
    format!("{name}.{}.{DOMAIN}", target.namespace)
}

fn server(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}
