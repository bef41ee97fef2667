//! The loop that removes dead connections from bounded tables, and its metrics.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::monitor::NO_PLACE;
use crate::behaviour::conntrack_gc::Collection;
use crate::chain;
use crate::datapath::nft::ToolError;
use crate::datapath::tracked::{self, Collected};
use crate::policy::resolve::Transport;
use crate::wait::pause;

const TABLES: [Transport; 2] = [Transport::Tcp, Transport::Udp];

/// What was collected in either table, and how often.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<(u64, [Collected; 2])>);

impl Figures {
    fn note(&self, last: [Collected; 2]) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *figures = (figures.0 + 1, last);
    }

    /// The metrics as Prometheus reads them; `failed` is the number of packets from pods, and of those to pods, that found
    /// no place.
    fn render(&self, failed: [u64; 2]) -> String {
        let (runs, last) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let mut say = |name: &str, labels: &str, value: u64| {
            // Writing to a string does not fail.
            let written = writeln!(text, "cilium_{name}{{{labels}}} {value}");
            debug_assert!(written.is_ok());
        };
        for (protocol, Collected { alive, deleted }) in ["TCP", "non-TCP"].into_iter().zip(last) {
            let table = format!(r#"family="ipv4",protocol="{protocol}""#);
            say("datapath_conntrack_gc_runs_total", &format!(r#"{table},status="completed""#), runs);
            for (status, entries) in [("alive", alive), ("deleted", deleted)] {
                say("datapath_conntrack_gc_entries", &format!(r#"{table},status="{status}""#), entries);
            }
        }
        // Upstream counts nothing before it has dropped something.
        for (direction, packets) in ["EGRESS", "INGRESS"].into_iter().zip(failed).filter(|it| it.1 > 0) {
            say("drop_count_total", &format!(r#"direction="{direction}",reason="{NO_PLACE}""#), packets);
        }
        text
    }

    /// The metrics of now.
    pub(super) async fn metrics(&self) -> String {
        let failed = tracked::failed_insertions().await.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "dropped packets could not be counted");
            [0, 0]
        });
        self.render(failed)
    }
}

/// Collects until the agent ends; the first time at once.
pub(super) async fn keep_collecting(mut collection: Collection, figures: Arc<Figures>) {
    loop {
        let cleared = match collect(&collection).await {
            Ok(last) => {
                figures.note(last);
                tracing::info!(?last, "dead connections were collected");
                share(&collection, last)
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "dead connections could not be collected");
                0.0
            }
        };
        let interval = collection.next(cleared);
        tracing::info!(cleared, ?interval, "dead connections are collected again");
        pause(interval).await;
    }
}

async fn collect(collection: &Collection) -> Result<[Collected; 2], ToolError> {
    let mut last = [Collected::default(); 2];
    for (collected, transport) in last.iter_mut().zip(TABLES) {
        *collected = tracked::collect(collection, transport).await?;
    }
    Ok(last)
}

/// The share of the table that was cleared; of two tables that of which more was.
fn share(collection: &Collection, last: [Collected; 2]) -> f64 {
    let sizes = [collection.bounds.tcp, collection.bounds.any].map(|size| f64::from(size.max(1)));
    let shares = last.iter().zip(sizes).map(|(collected, size)| collected.deleted as f64 / size);
    shares.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviours;

    const LAST: [Collected; 2] = [Collected { alive: 3, deleted: 16 }, Collected { alive: 1, deleted: 2 }];

    #[test]
    fn figures_are_those_of_the_last_run() {
        let figures = Figures::default();
        figures.note([Collected::default(); 2]);
        figures.note(LAST);
        let quiet = figures.render([0, 0]);
        for line in [
            r#"cilium_datapath_conntrack_gc_runs_total{family="ipv4",protocol="TCP",status="completed"} 2"#,
            r#"cilium_datapath_conntrack_gc_entries{family="ipv4",protocol="TCP",status="alive"} 3"#,
            r#"cilium_datapath_conntrack_gc_entries{family="ipv4",protocol="non-TCP",status="deleted"} 2"#,
        ] {
            assert!(quiet.lines().any(|it| it == line), "{quiet}");
        }
        assert!(!quiet.contains("drop_count"), "{quiet}");
        let line = r#"cilium_drop_count_total{direction="INGRESS",reason="CT: Map insertion failed"} 7"#;
        assert!(figures.render([0, 7]).lines().any(|it| it == line));
    }

    #[test]
    fn the_fuller_table_sets_the_interval() {
        let behaviours = Behaviours::of("1.6.12".parse().unwrap()).unwrap();
        let settings =
            [("standin-kernel", "4.9"), ("bpf-ct-global-tcp-max", "64"), ("bpf-ct-global-any-max", "4")];
        let settings = settings.into_iter().collect();
        let collection = behaviours
            .conntrack_gc
            .on_kernel(behaviours.connection_table, &settings, "6.1")
            .unwrap()
            .unwrap();
        assert!((share(&collection, LAST) - 0.5).abs() < 1e-9);
    }
}
