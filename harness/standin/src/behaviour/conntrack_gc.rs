//! How often the agent collects dead connections, and what becomes of new ones when it does so too seldom.
//!
//! On kernels with LRU maps a full table makes room by itself. On older ones it holds what it was made for, entries stay
//! in it until they are collected, and the packets of a connection that finds no place are dropped.

use std::time::Duration;

use jiff::SignedDuration;

use super::connection_table::ConnectionTable;
use super::kernel;
use crate::agent::config::{ConfigError, Settings};

/// The first kernel with LRU maps.
const LRU_MAPS: (u16, u16) = (4, 10);
const STARTING: Duration = Duration::from_secs(5 * 60);
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How long a handshake without an answer stays alive.
const SYN_LIFETIME: Duration = Duration::from_secs(60);
/// How long a connection stays alive that both ends have closed.
const CLOSE_LIFETIME: Duration = Duration::from_secs(10);

/// How a version chooses the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConntrackGc {
    /// 1.0 and 1.1: ten seconds.
    Fixed,
    /// Up to 1.4: the option in seconds, a minute by default.
    Seconds,
    /// From 1.5: the option, a duration; without it, by how much of the table the last run has cleared.
    Dynamic,
}

/// How many connections the tables can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// TCP.
    pub(crate) tcp: u32,
    /// All others.
    pub(crate) any: u32,
}

/// Bounded tables, and when they are collected.
#[derive(Debug, PartialEq)]
pub(crate) struct Collection {
    /// Their sizes.
    pub(crate) bounds: Bounds,
    interval: Interval,
    /// So many times as fast as upstream's clock runs that of the collection.
    speed: u32,
}

/// The time between two runs, on upstream's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interval {
    Static(Duration),
    Dynamic(Duration),
}

/// The stage of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The server has not answered yet.
    Opening,
    /// It exists.
    Open,
    /// Both ends have closed it.
    Closed,
}

impl ConntrackGc {
    /// What has to be collected on the kernel that `settings` name, or else on this one; nothing if a full table makes room
    /// by itself.
    pub(crate) fn on_kernel(
        self,
        table: ConnectionTable,
        settings: &Settings,
        running: &str,
    ) -> Result<Option<Collection>, ConfigError> {
        let interval = self.interval(settings)?;
        let speed = settings.number("standin-gc-speed", 1)?.max(1);
        let bounds = Bounds { tcp: table.tcp_size.read(settings)?, any: table.any_size.read(settings)? };
        let bounded = kernel::played(settings, running)? < LRU_MAPS;
        Ok(bounded.then_some(Collection { bounds, interval, speed }))
    }

    fn interval(self, settings: &Settings) -> Result<Interval, ConfigError> {
        let seconds = |default| {
            let seconds = settings.number("conntrack-garbage-collector-interval", default)?;
            Ok(Interval::Static(Duration::from_secs(seconds.into())))
        };
        match self {
            Self::Fixed => Ok(Interval::Static(Duration::from_secs(10))),
            Self::Seconds => seconds(60),
            Self::Dynamic => {
                let key = "conntrack-gc-interval";
                let Some(text) = settings.get(key).filter(|it| !it.is_empty()) else {
                    return Ok(Interval::Dynamic(STARTING));
                };
                let interval = duration(text).ok_or_else(|| ConfigError::Value {
                    key,
                    value: text.to_owned(),
                    expected: "a duration such as 10m or 1h30m",
                })?;
                let dynamic = interval.is_zero();
                Ok(if dynamic { Interval::Dynamic(STARTING) } else { Interval::Static(interval) })
            }
        }
    }
}

impl Collection {
    /// The time until the next run, when the last one has cleared this share of the table.
    pub(crate) fn next(&mut self, cleared: f64) -> Duration {
        let interval = match &mut self.interval {
            Interval::Static(interval) => *interval,
            Interval::Dynamic(interval) => {
                *interval = adjusted(*interval, cleared);
                *interval
            }
        };
        interval / self.speed
    }

    /// Whether a TCP connection is dead that has been at this stage without a packet for so long.
    pub(crate) fn is_dead(&self, stage: Stage, idle: Duration) -> bool {
        match stage {
            Stage::Opening => idle >= SYN_LIFETIME / self.speed,
            Stage::Open => false,
            Stage::Closed => idle >= CLOSE_LIFETIME / self.speed,
        }
    }
}

/// Upstream's rule: much that was cleared makes the interval shorter, little makes it longer.
fn adjusted(interval: Duration, cleared: f64) -> Duration {
    let rounded = |factor: f64| Duration::from_secs((interval.as_secs_f64() * factor).round() as u64);
    if cleared > 0.25 {
        rounded(1.0 - cleared.min(0.9)).max(SHORTEST)
    } else if cleared > 0.0 && cleared < 0.05 {
        rounded(1.5).min(LONGEST)
    } else {
        interval
    }
}

/// Parses a duration in Go's notation, such as `1h30m`.
fn duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Behaviours;
    use rstest::rstest;

    const OLD: (&str, &str) = ("standin-kernel", "4.9");

    fn collection(version: &str, settings: &[(&str, &str)]) -> Result<Option<Collection>, ConfigError> {
        let behaviours = Behaviours::of(version.parse().unwrap()).unwrap();
        let settings = settings.iter().copied().collect();
        behaviours.conntrack_gc.on_kernel(behaviours.connection_table, &settings, "6.18.44")
    }

    fn seconds(version: &str, settings: &[(&str, &str)], cleared: f64) -> f64 {
        collection(version, settings).unwrap().unwrap().next(cleared).as_secs_f64()
    }

    #[rstest]
    #[case::fixed("1.1.6", &[OLD, ("conntrack-garbage-collector-interval", "5")], 10.0)]
    #[case::default("1.2.8", &[OLD], 60.0)]
    #[case::in_seconds("1.4.10", &[OLD, ("conntrack-garbage-collector-interval", "5")], 5.0)]
    #[case::a_duration("1.5.13", &[OLD, ("conntrack-gc-interval", "1h30m5s")], 5405.0)]
    #[case::nothing_said("1.6.12", &[OLD, ("conntrack-gc-interval", "")], 30.0)]
    #[case::zero("1.6.12", &[OLD, ("conntrack-gc-interval", "0s")], 30.0)]
    #[case::played_faster("1.6.12", &[OLD, ("standin-gc-speed", "10")], 3.0)]
    fn an_interval_that_is_set_stays(
        #[case] version: &str,
        #[case] settings: &[(&str, &str)],
        #[case] expected: f64,
    ) {
        // Almost everything was cleared: a dynamic interval is a tenth of the one before.
        assert!((seconds(version, settings, 0.95) - expected).abs() < 1e-9);
    }

    #[rstest]
    #[case::nothing(&[0.0], 300)]
    #[case::little(&[0.04], 450)]
    #[case::enough(&[0.05], 300)]
    #[case::just_enough(&[0.25], 300)]
    #[case::too_much(&[0.3], 210)]
    #[case::nearly_all(&[1.0], 30)]
    #[case::no_shorter(&[1.0, 1.0, 1.0], 10)]
    #[case::no_longer(&[0.01, 0.01, 0.01, 0.01, 0.01], 1800)]
    fn a_dynamic_interval_follows_what_was_cleared(#[case] cleared: &[f64], #[case] expected: u64) {
        let mut collection = collection("1.6.12", &[OLD]).unwrap().unwrap();
        let last = cleared.iter().map(|cleared| collection.next(*cleared)).last();
        assert_eq!(last, Some(Duration::from_secs(expected)));
    }

    /// Whatever the rate of new connections, the next run finds less than a quarter of the table to clear.
    #[test]
    fn the_interval_ends_where_a_quarter_of_the_table_is_not_exceeded() {
        for share in 1..=60 {
            let full_after = 500.0 / f64::from(share);
            let mut collection = collection("1.6.12", &[OLD]).unwrap().unwrap();
            let mut interval = STARTING;
            let mut cleared = 0.0;
            for _ in 0..20 {
                cleared = (interval.as_secs_f64() / (10.0 * full_after)).min(1.0);
                interval = collection.next(cleared);
            }
            assert!(cleared <= 0.25 || interval == SHORTEST, "{share}: {cleared} after {interval:?}");
        }
    }

    #[rstest]
    #[case::old(&[OLD, ("bpf-ct-global-tcp-max", "7")], Some(Bounds { tcp: 7, any: 262_144 }))]
    #[case::last_without(&[("standin-kernel", "4.9.330"), ("bpf-ct-global-any-max", "8")], Some(Bounds { tcp: 524_288, any: 8 }))]
    #[case::first_with(&[("standin-kernel", "4.10")], None)]
    #[case::running(&[], None)]
    fn only_old_kernels_have_tables_that_fill_up(
        #[case] settings: &[(&str, &str)],
        #[case] expected: Option<Bounds>,
    ) {
        assert_eq!(collection("1.6.12", settings).unwrap().map(|it| it.bounds), expected);
    }

    #[rstest]
    #[case::handshake(Stage::Opening, 59, false)]
    #[case::no_answer(Stage::Opening, 60, true)]
    #[case::held(Stage::Open, 100_000, false)]
    #[case::just_closed(Stage::Closed, 9, false)]
    #[case::closed(Stage::Closed, 10, true)]
    fn connections_die(#[case] stage: Stage, #[case] idle: u64, #[case] dead: bool) {
        let collection = collection("1.6.12", &[OLD]).unwrap().unwrap();
        assert_eq!(collection.is_dead(stage, Duration::from_secs(idle)), dead);
    }

    #[test]
    fn lives_are_played_faster_too() {
        let collection = collection("1.6.12", &[OLD, ("standin-gc-speed", "30")]).unwrap().unwrap();
        assert!(collection.is_dead(Stage::Opening, Duration::from_secs(2)));
        assert!(!collection.is_dead(Stage::Opening, Duration::from_secs(1)));
        assert!(collection.is_dead(Stage::Closed, Duration::from_secs(1)));
    }

    #[rstest]
    #[case::number("10")]
    #[case::word("long")]
    #[case::unit("10x")]
    fn an_interval_is_a_duration(#[case] text: &str) {
        let error = collection("1.6.12", &[OLD, ("conntrack-gc-interval", text)]).unwrap_err();
        assert!(error.to_string().contains("a duration"), "{error}");
    }
}
