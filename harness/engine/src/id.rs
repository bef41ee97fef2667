//! Ids of runs and clusters.

/// A new cluster or run id: when, and something that two runs in the same second do not share.
pub fn new_id() -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    format!("{}-{:x}", now.strftime("%Y%m%d-%H%M%S"), std::process::id())
}
