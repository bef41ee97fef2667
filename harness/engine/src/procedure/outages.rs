//! Outages of known length, made with nftables on the server's node.

use std::path::PathBuf;
use std::time::Duration;

use probe::calibration::{Fault, Injected};
use probe::traffic::{HTTP_PORT, TCP_PORT, UDP_PORT};

/// The nftables table with the fault; it is dormant except during an outage.
const TABLE: &str = "seatrial_fault";
/// Shortest and longest outage, s.
const LENGTHS: (f64, f64) = (0.02, 5.0);
/// Shortest and longest time between two outages, s: every flow is steady again.
const GAPS: (f64, f64) = (0.4, 0.8);
/// Putting the rules of an outage in place and away again takes less than this, s.
const AROUND: f64 = 0.2;

/// An outage that will be made.
pub(super) struct Planned {
    fault: Fault,
    /// Time before it, s.
    gap: f64,
    /// Length, s.
    length: f64,
}

/// Plans outages of random lengths at random moments.
pub(super) fn schedule(count: u32) -> Vec<Planned> {
    let planned = |index: u32| Planned {
        fault: if index.is_multiple_of(2) { Fault::Drop } else { Fault::Reset },
        gap: GAPS.0 + (GAPS.1 - GAPS.0) * fastrand::f64(),
        // Short ones are the hard ones: as many between 20 and 200 ms as between 0.2 and 2 s.
        length: LENGTHS.0 * (LENGTHS.1 / LENGTHS.0).powf(fastrand::f64()),
    };
    (0..count).map(planned).collect()
}

/// The time that a schedule takes at most, whole seconds.
pub(super) fn seconds(schedule: &[Planned]) -> u64 {
    let each = |planned: &Planned| planned.gap + planned.length + AROUND;
    schedule.iter().map(each).sum::<f64>().ceil() as u64 + 1
}

/// Injects outages on the node of the server.
pub(super) struct Injector {
    /// The folder of the cluster in the ledger.
    pub(super) cluster: PathBuf,
    pub(super) node: String,
    /// The address of the server.
    pub(super) server: String,
    /// A further UDP port that loses packets.
    pub(super) companion_port: Option<u16>,
}

impl Injector {
    /// Makes the outages, one after the other.
    pub(super) async fn inject(
        &self,
        schedule: &[Planned],
        progress: &dyn Fn(String),
    ) -> anyhow::Result<Vec<Injected>> {
        let mut injected = Vec::new();
        for (number, Planned { fault, gap, length }) in (1..).zip(schedule) {
            pass(*gap).await;
            self.nft(&self.rules(*fault)).await?;
            let from_ns = self.set_dormant(false).await?;
            pass(*length).await;
            let to_ns = self.set_dormant(true).await?;
            self.nft(&format!("delete table inet {TABLE}")).await?;
            injected.push(Injected { fault: *fault, from_ns, to_ns });
            progress(format!("{number} of {}: {fault} for {:.0} ms", schedule.len(), length * 1e3));
        }
        pass(GAPS.1).await;
        Ok(injected)
    }

    /// Affects our flows, and what companions send: ICMP, their UDP port and HTTP.
    fn rules(&self, fault: Fault) -> String {
        let (hook, rules) = match fault {
            Fault::Drop => {
                let ports = std::iter::once(UDP_PORT).chain(self.companion_port);
                let ports = ports.map(|port| port.to_string()).collect::<Vec<_>>().join(", ");
                let rules = vec![
                    format!("udp dport {{ {ports} }} drop"),
                    "icmp type echo-request drop".to_owned(),
                    format!("tcp dport {HTTP_PORT} drop"),
                ];
                ("prerouting", rules)
            }
            Fault::Reset => {
                let rule = format!("tcp dport {{ {TCP_PORT}, {HTTP_PORT} }} reject with tcp reset");
                ("forward", vec![rule])
            }
        };
        let server = &self.server;
        let rules: String = rules
            .iter()
            .map(|rule| format!("; add rule inet {TABLE} faults ip daddr {server} {rule}"))
            .collect();
        format!(
            "add table inet {TABLE} {{ flags dormant; }}; add chain inet {TABLE} faults {{ type filter hook {hook} \
             priority -400; }}{rules}"
        )
    }

    /// Commits rules.
    async fn nft(&self, rules: &str) -> anyhow::Result<()> {
        cluster::sandbox::exec(&self.cluster, &self.node, &["nft", rules], None).await?;
        Ok(())
    }

    /// Starts or ends the fault; returns the times just before and just after, ns.
    async fn set_dormant(&self, dormant: bool) -> anyhow::Result<(u64, u64)> {
        let done = cluster::sandbox::set_dormant(&self.cluster, &self.node, TABLE, dormant).await?;
        Ok((u64::try_from(done.started_ns)?, u64::try_from(done.ended_ns)?))
    }
}

/// Waits for some seconds.
async fn pass(seconds: f64) {
    #[expect(clippy::disallowed_methods, reason = "the length of an outage is a time, not a condition")]
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
