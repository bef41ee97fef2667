//! CLOCK_MONOTONIC, and a timer on it that is not late.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const NS_PER_S: u64 = 1_000_000_000;

/// Returns the time now, ns of CLOCK_MONOTONIC.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * NS_PER_S + now.tv_nsec.unsigned_abs()
}

/// Turns a moment that has just passed from CLOCK_REALTIME, which the kernel stamps datagrams with, into ns of
/// CLOCK_MONOTONIC; never later than now.
pub(crate) fn monotonic_of(real: Duration) -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let now = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
    let ago = u64::try_from(now.saturating_sub(real).as_nanos()).unwrap_or(u64::MAX);
    now_ns().saturating_sub(ago)
}

/// Returns the whole µs from `from_ns` to `to_ns`, 0 when that is in the past.
pub(crate) fn micros_between(from_ns: u64, to_ns: u64) -> u32 {
    u32::try_from(to_ns.saturating_sub(from_ns) / 1_000).unwrap_or(u32::MAX)
}

/// A timer for absolute times, about ten times more punctual than the runtime's own.
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Makes a timer on the current runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: an `OwnedFd` keeps its descriptor open, and the same one, for as long as it lives.
        #[expect(unsafe_code, reason = "tokio cannot know that the descriptor stays open")]
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? };
        Ok(Self(fd))
    }

    /// Returns once `at_ns` has come; at once when it has passed.
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
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fires_at_the_time_and_at_once_for_the_past() {
        let timer = Timer::new().unwrap();
        let at = now_ns() + 20_000_000;
        timer.until(at).await.unwrap();
        assert!(now_ns() >= at);
        timer.until(at).await.unwrap();
    }
}
