//! Outages of known length, made with nftables on the server's node.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use probe::calibration::{Fault, Injected};
use probe::traffic::{HTTP_PORT, TCP_PORT, UDP_PORT};

use super::rivals::SOCKPERF_PORT;

/// The nftables table that holds the fault; dormant but for the length of an outage.
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

/// Makes the outages, one after the other.
pub(super) async fn inject(
    schedule: &[Planned],
    cluster: &Path,
    node: &str,
    server: &str,
    err: &mut dyn Write,
) -> anyhow::Result<Vec<Injected>> {
    let mut injected = Vec::new();
    for (number, Planned { fault, gap, length }) in (1..).zip(schedule) {
        pass(*gap).await;
        nft(cluster, node, &rules(*fault, server)).await?;
        let from_ns = set_dormant(cluster, node, false).await?;
        pass(*length).await;
        let to_ns = set_dormant(cluster, node, true).await?;
        nft(cluster, node, &format!("delete table inet {TABLE}")).await?;
        injected.push(Injected { fault: *fault, from_ns, to_ns });
        writeln!(err, "{number} of {}: {fault} for {:.0} ms", schedule.len(), length * 1e3)?;
    }
    pass(GAPS.1).await;
    Ok(injected)
}

/// Lets so many seconds pass.
async fn pass(seconds: f64) {
    #[expect(clippy::disallowed_methods, reason = "the length of an outage is a time, not a condition")]
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// What our flows feel, and what other tools do beside them: ICMP, their UDP and HTTP.
fn rules(fault: Fault, server: &str) -> String {
    let (hook, rules) = match fault {
        Fault::Drop => (
            "prerouting",
            vec![
                format!("udp dport {{ {UDP_PORT}, {SOCKPERF_PORT} }} drop"),
                "icmp type echo-request drop".to_owned(),
                format!("tcp dport {HTTP_PORT} drop"),
            ],
        ),
        Fault::Reset => {
            ("forward", vec![format!("tcp dport {{ {TCP_PORT}, {HTTP_PORT} }} reject with tcp reset")])
        }
    };
    let rules: String =
        rules.iter().map(|rule| format!("; add rule inet {TABLE} faults ip daddr {server} {rule}")).collect();
    format!(
        "add table inet {TABLE} {{ flags dormant; }}; add chain inet {TABLE} faults {{ type filter hook {hook} \
         priority -400; }}{rules}"
    )
}

/// Commits rules on a node.
async fn nft(cluster: &Path, node: &str, rules: &str) -> anyhow::Result<()> {
    cluster::sandbox::exec(cluster, node, &["nft", rules], None).await?;
    Ok(())
}

/// Puts the fault in force, or lifts it; returns the times just before and just after, ns.
async fn set_dormant(cluster: &Path, node: &str, dormant: bool) -> anyhow::Result<(u64, u64)> {
    let done = cluster::sandbox::set_dormant(cluster, node, TABLE, dormant).await?;
    Ok((u64::try_from(done.started_ns)?, u64::try_from(done.ended_ns)?))
}
