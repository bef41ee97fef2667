//! CLOCK_MONOTONIC, a precise timer on it, and the difference between the clocks of two machines.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const NS_PER_S: u64 = 1_000_000_000;

/// Returns the time now, ns of CLOCK_MONOTONIC.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * NS_PER_S + now.tv_nsec.unsigned_abs()
}

/// Converts a recent time of CLOCK_REALTIME, with which the kernel stamps datagrams, to ns of CLOCK_MONOTONIC; never
/// later than now.
pub(crate) fn monotonic_of(real: Duration) -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let now = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
    let ago = u64::try_from(now.saturating_sub(real).as_nanos()).unwrap_or(u64::MAX);
    now_ns().saturating_sub(ago)
}

/// The clock of a running machine: its CLOCK_MONOTONIC starts at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Identifies the machine and its boot.
    boot_id: String,
    /// CLOCK_REALTIME at 0 of CLOCK_MONOTONIC, ns.
    epoch_ns: u64,
}

impl Machine {
    /// Returns this machine, as of the first call.
    pub(crate) fn here() -> &'static Self {
        static HERE: OnceLock<Machine> = OnceLock::new();
        HERE.get_or_init(|| {
            let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            let real = clock_gettime(ClockId::Realtime);
            let real_ns = real.tv_sec.unsigned_abs() * NS_PER_S + real.tv_nsec.unsigned_abs();
            Self { boot_id: boot_id.trim().to_owned(), epoch_ns: real_ns.saturating_sub(now_ns()) }
        })
    }

    /// Converts a time of this machine to the clock of another. The result is exact on one machine; between two, its error
    /// is the difference of their wall clocks.
    pub(crate) fn moved_to(&self, other: &Self, at_ns: u64) -> u64 {
        if self.boot_id == other.boot_id {
            return at_ns;
        }
        (self.epoch_ns + at_ns).saturating_sub(other.epoch_ns)
    }
}

/// Returns the whole µs from `from_ns` to `to_ns`, 0 when that is in the past.
pub(crate) fn micros_between(from_ns: u64, to_ns: u64) -> u32 {
    u32::try_from(to_ns.saturating_sub(from_ns) / 1_000).unwrap_or(u32::MAX)
}

/// A timer for absolute times, about ten times more precise than the runtime's.
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Creates a timer on the current runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: an `OwnedFd` keeps its descriptor open, and the same one, for as long as it lives.
        #[expect(unsafe_code, reason = "tokio cannot know that the descriptor stays open")]
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? };
        Ok(Self(fd))
    }

    /// Returns at `at_ns`, or immediately if it has passed.
    pub(crate) async fn until(&self, at_ns: u64) -> io::Result<()> {
        let at = Timespec {
            tv_sec: i64::try_from(at_ns / NS_PER_S).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at_ns % NS_PER_S).unwrap_or(0),
        };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: zero, it_value: at };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0u8; 8];
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut expirations)?)) {
                Ok(read) => {
                    // It fires once: nothing more can be read before it is set again.
                    ready.clear_ready();
                    return read.map(drop);
                }
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_on_one_machine_and_moves_with_the_wall_clocks_between_two() {
        let machine = |boot_id: &str, epoch_ns| Machine { boot_id: boot_id.into(), epoch_ns };
        let (here, there) = (machine("a", 5_000), machine("b", 1_000));
        assert_eq!(machine("a", 1_000).moved_to(&here, 7), 7);
        assert_eq!(there.moved_to(&here, 4_200), 200);
        assert_eq!(here.moved_to(&there, 200), 4_200);
        assert_eq!(there.moved_to(&here, 100), 0, "before this machine's boot");
        assert_eq!(Machine::here().moved_to(&Machine::here().clone(), 7), 7);
    }

    #[tokio::test]
    async fn fires_at_the_time_and_at_once_for_the_past() {
        let timer = Timer::new().unwrap();
        let at = now_ns() + 20_000_000;
        timer.until(at).await.unwrap();
        assert!(now_ns() >= at);
        timer.until(at).await.unwrap();
    }
}
