//! Other tools on the same outages: what each reports of lost packets, and what it cannot report.
//!
//! They run in the network of the probing pod and send to the same server, at the rate that each can hold.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::place::Place;
use cluster::NodeShell;
use engine::exit;
use engine::procedure::{CalibrationRequest, Companion, Ends, calibrate};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use probe::calibration::{Comparison, Fault, Injected};
use tokio::task::JoinHandle;

use crate::quiet_run;

/// UDP port of sockperf's server.
const SOCKPERF_PORT: u16 = 11_111;
/// A rule of upgrade tests in use: a client that got no answer for so long has failed, ms.
const RESTART_RULE_MS: f64 = 5_000.0;

/// Runs the command.
pub(crate) async fn run(place: Place, count: u32, rate: u32, out: &mut dyn Write) -> anyhow::Result<u8> {
    let request = CalibrationRequest {
        id: engine::id::new_id(),
        subject: quiet_run::standin()?,
        version: quiet_run::version()?,
        provider: Arc::new(quiet_run::provider(&place)?),
        components: quiet_run::components(&place),
        count,
        rate,
    };
    let mut rivals = Rivals::default();
    let Some(calibrated) = calibrate(request, Some(&mut rivals)).await? else { return Ok(exit::INTERRUPTED) };
    let table = rivals.table(&calibrated.injected, &calibrated.calibration.comparisons);
    write!(out, "{table}{}", calibrated.calibration.text())?;
    Ok(exit::PASSED)
}

/// A stretch in which a tool saw nothing come back, on its own clock.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Gap {
    from_s: f64,
    to_s: f64,
    /// The length that the tool gives it.
    length_ms: f64,
}

/// Finds the gaps in what a tool printed.
type Read = fn(&str) -> Vec<Gap>;

/// A tool, and how it is asked; its name begins with the program.
struct Tool {
    name: &'static str,
    rate: &'static str,
    /// What it cannot say.
    lacks: &'static str,
    read: Read,
    script: String,
}

/// A tool that runs.
struct Rival {
    name: &'static str,
    rate: &'static str,
    lacks: &'static str,
    read: Read,
    output: JoinHandle<anyhow::Result<String>>,
}

/// The tools that are installed.
#[derive(Default)]
struct Rivals {
    running: Vec<Rival>,
    /// What each printed.
    ended: Vec<(Rival, String)>,
}

impl Companion for Rivals {
    fn udp_port(&self) -> Option<u16> {
        Some(SOCKPERF_PORT)
    }

    fn start<'a>(&'a mut self, ends: &'a Ends) -> BoxFuture<'a, anyhow::Result<()>> {
        self.start_tools(ends);
        async { Ok(()) }.boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async {
            for mut rival in self.running.drain(..) {
                let output = (&mut rival.output).await??;
                self.ended.push((rival, output));
            }
            Ok(())
        }
        .boxed()
    }
}

impl Rivals {
    /// Starts every tool that is installed; each ends by itself.
    fn start_tools(&mut self, ends: &Ends) {
        let (address, seconds) = (&ends.server, ends.seconds);
        let [client, server] = &ends.nodes;
        let inside = |pod: &str, command: &str| {
            format!("{}\nnsenter -t \"$pid\" -n sh -c '{command}' 2>&1 || true", pid_of(pod))
        };
        let [asks, answers] = ends.pods;
        let pings = |period: u64| {
            let count = seconds * 1_000 / period;
            inside(asks, &format!("fping -D -o -p {period} -c {count} {address}"))
        };
        let sockperf = format!(
            "log=$(mktemp); sockperf under-load -i {address} -p {SOCKPERF_PORT} -t {seconds} --mps=1000 \
             --reply-every=1 --full-log=$log >/dev/null; cat $log; rm $log"
        );
        let hey =
            format!("hey -z {seconds}s -c 1 -q 100 -t 10 -o csv http://{address}:{}/public", ends.http_port);
        let oha = format!(
            "oha --no-tui --output-format json -z {seconds}s -c 1 -q 100 http://{address}:{}/public",
            ends.http_port
        );
        let serving = format!("timeout {} sockperf server -i 0.0.0.0 -p {SOCKPERF_PORT}", seconds + 5);
        let tool = |name, rate, lacks, read, script| Tool { name, rate, lacks, read, script };
        let tools = [
            tool("fping -o", "1/s (default)", "layer, class, cause", fping_each_second as Read, pings(1_000)),
            tool("fping -o -p 10", "100/s", "layer, class, cause", fping, pings(10)),
            tool("sockperf ul", "1,000/s", "class, cause", sockperf_log, inside(asks, &sockperf)),
            tool("hey", "100/s", "lost or slow, cause", hey_csv, inside(asks, &hey)),
            tool("oha", "100/s", "when, how long, cause", no_gaps, inside(asks, &oha)),
        ];
        for Tool { name, rate, lacks, read, script } in tools {
            let program = name.split(' ').next().unwrap_or(name);
            if which::which(program).is_err() {
                continue;
            }
            if program == "sockperf" {
                let _until_it_ends = spawn(&ends.shell, server, inside(answers, &serving));
            }
            let output = spawn(&ends.shell, client, script);
            self.running.push(Rival { name, rate, lacks, read, output });
        }
    }

    /// How far each tool was from what was injected, and how far we were.
    fn table(&self, injected: &[Injected], ours: &[Comparison]) -> String {
        let drops: Vec<(f64, f64)> = injected
            .iter()
            .filter(|one| one.fault == Fault::Drop)
            .map(|one| (middle(one.from_ns), middle(one.to_ns)))
            .collect();
        let mut text = format!(
            "{} losses of packets\n{:<16} {:<14} {:>6} {:>16} {:>16}   cannot say\n",
            drops.len(),
            "tool",
            "probes",
            "seen",
            "error, median",
            "error, worst"
        );
        let own: Vec<Option<f64>> =
            ours.iter().filter(|one| one.fault == Fault::Drop).map(Comparison::error_ms).collect();
        let lengths = drops.iter().map(|(from, to)| (to - from) * 1e3);
        let own =
            own.iter().zip(lengths.clone()).map(|(error, length)| (error.is_some(), error.unwrap_or(length)));
        row(&mut text, "seatrial", "1,000/s", own.collect(), "-");
        for (rival, output) in &self.ended {
            let gaps = (rival.read)(output);
            let wall = rival.name.starts_with("fping");
            let shift = if wall { real_to_monotonic_s() } else { best_shift(&gaps, &drops) };
            row(&mut text, rival.name, rival.rate, errors(&gaps, &drops, shift), rival.lacks);
        }
        let rule: Vec<_> = ours
            .iter()
            .filter(|one| one.fault == Fault::Drop)
            .zip(lengths)
            .map(|(one, length)| match one.measured_ms {
                Some((least, _)) if least >= RESTART_RULE_MS => (true, 0.0),
                _ => (false, length),
            })
            .collect();
        row(&mut text, "5 s without reply", "1,000/s", rule, "anything shorter");
        text
    }
}

/// A script that finds the first process of a pod's container on the node where it runs.
fn pid_of(pod: &str) -> String {
    format!(
        "id=$(ctr -n k8s.io containers ls -q 'labels.\"io.kubernetes.pod.name\"=={pod},\
         labels.\"io.cri-containerd.kind\"==container' | head -n 1)\n\
         pid=$(ctr -n k8s.io tasks ls | awk -v id=\"$id\" '$1 == id {{ print $2 }}')"
    )
}

fn spawn(shell: &Arc<dyn NodeShell>, node: &str, script: String) -> JoinHandle<anyhow::Result<String>> {
    let (shell, node) = (Arc::clone(shell), node.to_owned());
    tokio::spawn(async move { Ok(shell.exec(&node, &["sh", "-c", &script]).await?.output) })
}

fn row(text: &mut String, name: &str, rate: &str, errors: Vec<(bool, f64)>, lacks: &str) {
    let seen = errors.iter().filter(|(seen, _)| *seen).count();
    let mut sorted: Vec<f64> = errors.into_iter().map(|(_, error)| error).collect();
    sorted.sort_by(f64::total_cmp);
    let (median, worst) = (sorted.get(sorted.len() / 2), sorted.last());
    let ms = |value: Option<&f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"));
    // Writing to a String does not fail.
    let _infallible =
        writeln!(text, "{name:<16} {rate:<14} {seen:>6} {:>16} {:>16}   {lacks}", ms(median), ms(worst));
}

/// For each loss, whether a gap was seen in it, and how far the lengths are apart, ms.
fn errors(gaps: &[Gap], losses: &[(f64, f64)], shift_s: f64) -> Vec<(bool, f64)> {
    losses
        .iter()
        .map(|&(from, to)| {
            let in_it = gaps.iter().filter(|gap| gap.from_s + shift_s <= to && from <= gap.to_s + shift_s);
            let lengths: Vec<f64> = in_it.map(|gap| gap.length_ms).collect();
            (!lengths.is_empty(), (lengths.iter().sum::<f64>() - (to - from) * 1e3).abs())
        })
        .collect()
}

/// Between the clock of a tool and ours: the shift under which its longest gap lies on a loss, and most others do.
fn best_shift(gaps: &[Gap], losses: &[(f64, f64)]) -> f64 {
    let Some(longest) = gaps.iter().max_by(|a, b| a.length_ms.total_cmp(&b.length_ms)) else { return 0.0 };
    let distance = |shift: f64| errors(gaps, losses, shift).iter().map(|(_, error)| error).sum::<f64>();
    let shifts = losses.iter().map(|(from, _)| from - longest.from_s);
    shifts.min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(0.0)
}

/// What is to be added to a time of CLOCK_REALTIME to get CLOCK_MONOTONIC, s.
fn real_to_monotonic_s() -> f64 {
    probe::clock::now_ns() as f64 / 1e9 - jiff::Timestamp::now().as_duration().as_secs_f64()
}

fn middle((before_ns, after_ns): (u64, u64)) -> f64 {
    before_ns.midpoint(after_ns) as f64 / 1e9
}

fn fping_each_second(text: &str) -> Vec<Gap> {
    fping_gaps(text, Duration::from_secs(1))
}

fn fping(text: &str) -> Vec<Gap> {
    fping_gaps(text, Duration::from_millis(10))
}

/// What `-o` adds up: a period for each echo that did not come back.
fn fping_gaps(text: &str, period: Duration) -> Vec<Gap> {
    // [1700000000.12345] 10.0.0.1 : [7], 64 bytes, 0.041 ms (0.048 avg, 0% loss)
    let received = text.lines().filter(|line| line.contains(" bytes, ")).filter_map(|line| {
        let at: f64 = line.strip_prefix('[')?.split(']').next()?.parse().ok()?;
        let number: u64 = line.split(" : [").nth(1)?.split(']').next()?.parse().ok()?;
        Some((at, number))
    });
    let received: Vec<_> = received.collect();
    let lost = |pair: &[(f64, u64)]| (pair[1].1 - pair[0].1).saturating_sub(1);
    let gap = |pair: &[(f64, u64)]| Gap {
        from_s: pair[0].0,
        to_s: pair[1].0,
        length_ms: (lost(pair) as f64) * period.as_secs_f64() * 1e3,
    };
    received.windows(2).filter(|pair| lost(pair) > 0).map(gap).collect()
}

/// Sending times of messages that were answered; those in between were not.
fn sockperf_log(text: &str) -> Vec<Gap> {
    let sent = text.lines().filter_map(|line| line.split(", ").nth(1)?.parse::<f64>().ok());
    gaps_between(&sent.collect::<Vec<_>>(), 0.001)
}

/// When requests began, the last column; one that failed is not listed.
fn hey_csv(text: &str) -> Vec<Gap> {
    let began = text.lines().filter_map(|line| line.rsplit(',').next()?.parse::<f64>().ok());
    gaps_between(&began.collect::<Vec<_>>(), 0.01)
}

/// It prints totals alone.
fn no_gaps(_: &str) -> Vec<Gap> {
    Vec::new()
}

/// Stretches of more than two periods between moments, less the one period that belongs there.
fn gaps_between(moments: &[f64], period_s: f64) -> Vec<Gap> {
    let gap = |pair: &[f64]| Gap {
        from_s: pair[0],
        to_s: pair[1],
        length_ms: (pair[1] - pair[0] - period_s) * 1e3,
    };
    moments.windows(2).filter(|pair| pair[1] - pair[0] > 2.0 * period_s).map(gap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FPING: &str = "[100.00] 10.0.0.1 : [0], 64 bytes, 0.041 ms (0.048 avg, 0% loss)\n\
        [100.01] 10.0.0.1 : [1], timed out (0.048 avg, 50% loss)\n\
        [100.02] 10.0.0.1 : [2], timed out (0.048 avg, 66% loss)\n\
        [100.03] 10.0.0.1 : [3], 64 bytes, 0.041 ms (0.048 avg, 50% loss)\n\
        \n10.0.0.1 : xmt/rcv/%loss = 4/2/50%, outage(ms) = 20, min/avg/max = 0.039/0.048/0.175\n";

    #[test]
    fn fping_gives_a_period_for_each_echo_that_is_lost() {
        assert_eq!(fping(FPING), [Gap { from_s: 100.0, to_s: 100.03, length_ms: 20.0 }]);
    }

    #[test]
    fn sockperf_and_hey_leave_out_what_was_lost() {
        let log = "packet, txTime(sec), rxTime(sec), latency(usec)\n0, 2.400, 2.401, 6\n1, 2.401, 2.402, 6\n\
                   2, 2.501, 2.502, 6\n";
        let gaps = sockperf_log(log);
        assert_eq!(gaps.len(), 1);
        assert!((gaps[0].length_ms - 99.0).abs() < 1e-6, "{gaps:?}");
        let csv = "response-time,DNS+dialup,status-code,offset\n0.001,0,200,0.010\n0.2,0,200,0.020\n0.001,0,200,0.220\n";
        assert_eq!(hey_csv(csv).len(), 1);
    }

    #[test]
    fn a_clock_of_its_own_is_found_and_what_was_not_seen_counts_whole() {
        let losses = [(1_000.0, 1_000.1), (1_001.0, 1_003.0), (1_005.0, 1_005.05)];
        let gap = |from_s: f64, to_s: f64| Gap { from_s, to_s, length_ms: (to_s - from_s) * 1e3 };
        let gaps = [gap(0.0, 0.1), gap(1.0, 3.0)];
        let shift = best_shift(&gaps, &losses);
        assert!((shift - 1_000.0).abs() < 1e-6);
        let errors = errors(&gaps, &losses, shift);
        assert_eq!(errors.iter().map(|(seen, _)| *seen).collect::<Vec<_>>(), [true, true, false]);
        assert!((errors[2].1 - 50.0).abs() < 1e-6);
    }
}
