//! Times of a run: nanoseconds of the monotonic clock, and milliseconds since the start of the run.

/// The start of a run, which its record counts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock {
    start_ns: u64,
}

impl RunClock {
    /// A run that starts now.
    pub(crate) fn start() -> Self {
        Self { start_ns: probe::clock::now_ns() }
    }

    /// Milliseconds since the start; 0 for what was before.
    pub(crate) fn ms(self, at_ns: u64) -> f64 {
        // Whole microseconds, so that a number survives its way through JSON.
        (at_ns.saturating_sub(self.start_ns) / 1_000) as f64 / 1_000.0
    }

    /// The moment that [`Self::ms`] returned as `at_ms`.
    pub(crate) fn ns(self, at_ms: f64) -> u64 {
        self.start_ns + (at_ms * 1_000.0).round() as u64 * 1_000
    }

    /// Milliseconds since the start, now.
    pub(crate) fn now_ms(self) -> f64 {
        self.ms(probe::clock::now_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_the_conversion_to_whole_microseconds() {
        let clock = RunClock { start_ns: 1_000_000_000 };
        assert_eq!(clock.ns(clock.ms(3_000_002_000)), 3_000_002_000);
        assert_eq!(clock.ms(1), 0.0);
    }
}
