//! Network policy: its model, its selectors, and the traffic that it allows.

pub(crate) mod model;
pub(crate) mod resolve;
pub(crate) mod selector;
