//! Probers and servers outside the cluster: the roles of the program on a separate host in place of pods.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use super::DeployError;
use crate::client::FLOWS_VARIABLE;
use crate::flow::{FlowSpec, Token};
use crate::role::{CLIENT_NAME, LISTEN, SERVER_NAME, TOKEN};
use crate::store::Store;
use crate::traffic::ProbePod;

/// The output of a role. The role ends when this is dropped.
pub type Printed = Box<dyn AsyncRead + Send + Unpin>;

/// A host outside the cluster that can run the roles of the program.
pub trait OutsideHost: Send + Sync {
    /// Returns the address by which nodes reach it.
    fn address(&self) -> IpAddr;

    /// Runs a role there, with these arguments and environment.
    ///
    /// # Errors
    /// When the host cannot be reached.
    fn play(
        &self,
        role: &'static str,
        args: Vec<String>,
        env: BTreeMap<String, String>,
    ) -> BoxFuture<'_, io::Result<Printed>>;
}

/// A future that ends with a role.
pub(super) type Following = BoxFuture<'static, ()>;

/// Starts a server there, which ends when the result is dropped.
pub(super) async fn serve(
    host: &dyn OutsideHost,
    planned: &ProbePod,
    token: Token,
) -> Result<Following, DeployError> {
    let listen = format!("{LISTEN}{}", host.address());
    let args = [format!("{TOKEN}{token}"), listen].into_iter();
    let args = args.chain(planned.listeners.iter().map(ToString::to_string)).collect();
    let printed = host.play(SERVER_NAME, args, BTreeMap::new()).await.map_err(refused(planned))?;
    let name = planned.name.clone();
    Ok(Box::pin(follow(printed, move |line| tracing::warn!(name, line, "a server outside says"))))
}

/// Starts a prober there, which ends when the result is dropped; the result stores its samples.
pub(super) async fn probe(
    host: &dyn OutsideHost,
    planned: &ProbePod,
    flows: &[&FlowSpec],
    store: Arc<Store>,
) -> Result<Following, DeployError> {
    let flows = serde_json::to_string(flows).unwrap_or_default();
    let env = BTreeMap::from([(FLOWS_VARIABLE.to_owned(), flows)]);
    let printed = host.play(CLIENT_NAME, Vec::new(), env).await.map_err(refused(planned))?;
    let name = planned.name.clone();
    Ok(Box::pin(follow(printed, move |line| store.take(&name, line))))
}

fn refused(planned: &ProbePod) -> impl Fn(io::Error) -> DeployError {
    move |source| DeployError::Outside { name: planned.name.clone(), source }
}

/// Passes on every complete line. A role that ends early leaves a gap in its samples, which the store reports.
async fn follow(printed: Printed, take: impl Fn(&str) + Send) {
    let mut lines = BufReader::new(printed).lines();
    loop {
        match lines.next_line().await {
            Ok(Some(line)) => take(&line),
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "reading the output of a role outside the cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use model::{Class, Kind, Layer, Protocol};

    use super::*;
    use crate::flow::{self, tests::flow};
    use crate::sample::Sample;
    use crate::traffic::Part;
    use crate::wire::{self, Start, start_line};

    /// The arguments of a role.
    type Asked = (&'static str, Vec<String>, BTreeMap<String, String>);

    /// A host on which every role prints the same.
    struct Scripted {
        prints: String,
        asked: Mutex<Vec<Asked>>,
    }

    impl OutsideHost for Scripted {
        fn address(&self) -> IpAddr {
            [10, 250, 0, 200].into()
        }

        fn play(
            &self,
            role: &'static str,
            args: Vec<String>,
            env: BTreeMap<String, String>,
        ) -> BoxFuture<'_, io::Result<Printed>> {
            self.asked.lock().unwrap().push((role, args, env));
            let printed: Printed = Box::new(io::Cursor::new(self.prints.clone().into_bytes()));
            Box::pin(async { Ok(printed) })
        }
    }

    fn planned(name: &str, part: Part, listeners: &[&str]) -> ProbePod {
        let listeners = listeners.iter().map(|text| text.parse().unwrap()).collect();
        ProbePod { name: name.into(), node: "outside".into(), part, listeners }
    }

    #[tokio::test]
    async fn a_prober_outside_gets_its_flows_and_its_samples_are_kept() {
        let flow = flow(Kind::New, Protocol::Tcp, Layer::L4);
        let sample = Sample {
            seq: 0,
            due_ns: 0,
            class: Class::Answered,
            late_us: 60,
            sent_us: Some(60),
            ended_us: Some(300),
            cut: false,
        };
        let start = Start { flow: flow.id.clone(), start_ns: 0, period_ns: flow.period_ns };
        let part = wire::Part { flow: 0, planned: 1, samples: vec![sample] };
        let prints = start_line(&[start]) + &wire::batch_lines(0, flow.period_ns, &[part]).0.concat();
        let host = Scripted { prints, asked: Mutex::default() };
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::create(folder.path(), [flow.clone()]).unwrap());
        let prober = planned("client-1", Part::OutsideClient, &[]);
        probe(&host, &prober, &[&flow], Arc::clone(&store)).await.unwrap().await;
        let (samples, _) = store.samples(flow.period_ns);
        assert_eq!(samples[0].samples, [sample]);
        let asked = host.asked.into_inner().unwrap();
        let [(role, args, env)] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((*role, args.len()), ("probe-client", 0));
        assert_eq!(serde_json::from_str::<Vec<FlowSpec>>(&env[FLOWS_VARIABLE]).unwrap(), [flow]);
    }

    #[tokio::test]
    async fn a_server_outside_listens_where_it_is_planned_to() {
        let host = Scripted { prints: String::new(), asked: Mutex::default() };
        let server = planned("outside-server", Part::OutsideServer, &["tcp:27002"]);
        serve(&host, &server, flow::tests::TOKEN.parse().unwrap()).await.unwrap().await;
        let asked = host.asked.into_inner().unwrap();
        let args = ["token:0011223344556677", "listen:10.250.0.200", "tcp:27002"].map(str::to_owned);
        assert_eq!(asked, [("probe-server", args.to_vec(), BTreeMap::new())]);
    }
}
