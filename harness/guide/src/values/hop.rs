//! One hop between neighbouring minors, and which values the charts of both read.

use super::Request;
use super::known::{self, Chart};
use crate::catalogue;
use model::Minor;

/// A hop between neighbouring minors, with the charts of its ends where they are at hand.
#[derive(Clone, Copy)]
pub(super) struct Hop<'a> {
    pub(super) from: Minor,
    pub(super) to: Minor,
    pub(super) old: Chart<'a>,
    pub(super) new: Chart<'a>,
}

impl Hop<'_> {
    /// Tells whether the older of both minors is the target.
    pub(super) fn is_down(&self) -> bool {
        self.to < self.from
    }

    /// Tells whether a change in a minor lies between both.
    pub(super) fn crosses(&self, into: Minor) -> bool {
        self.from.max(self.to) == into
    }

    /// Tells whether the chart of the source reads a value.
    pub(super) fn was_read(&self, path: &[String], empty: bool) -> bool {
        known::reads(path, self.from, empty, self.old)
    }

    /// Tells whether the chart of the target reads a value.
    pub(super) fn is_read(&self, path: &[String], empty: bool) -> bool {
        known::reads(path, self.to, empty, self.new)
    }
}

/// Returns the hops of a request; none between patches of a minor.
pub(super) fn path<'a>(request: &Request<'a>) -> Vec<Hop<'a>> {
    let (from, to) = (request.from.minor(), request.to.minor());
    let inside = |minor: &Minor| (from.min(to)..=from.max(to)).contains(minor);
    let mut minors: Vec<_> = catalogue::lines().iter().map(|line| line.minor).filter(inside).collect();
    if to < from {
        minors.reverse();
    }
    let chart = |minor, end, values| Chart(if minor == end { values } else { None });
    let hop = |pair: &[Minor]| Hop {
        from: pair[0],
        to: pair[1],
        old: chart(pair[0], from, request.charts.map(|(old, _)| old)),
        new: chart(pair[1], to, request.charts.map(|(_, new)| new)),
    };
    minors.windows(2).map(hop).collect()
}
