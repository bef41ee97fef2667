//! Numbers in the same form in every output.

/// A duration: milliseconds below one second, seconds above.
pub fn duration(ms: f64) -> String {
    if ms >= 999.5 { format!("{} s", seconds(ms)) } else { format!("{} ms", millis(ms)) }
}

/// A duration that is known by bounds, such as `1.37–1.38 s`.
///
/// Without an upper bound it reads `≥ 1.37 s`.
pub fn range(min_ms: f64, max_ms: Option<f64>) -> String {
    let Some(max_ms) = max_ms else { return format!("≥ {}", duration(min_ms)) };
    let (digits, unit): (fn(f64) -> String, _) =
        if max_ms >= 999.5 { (seconds, "s") } else { (millis, "ms") };
    let (low, high) = (digits(min_ms), digits(max_ms));
    if low == high { format!("{high} {unit}") } else { format!("{low}–{high} {unit}") }
}

/// A point in time, in seconds since the run started.
pub fn instant(ms: f64) -> String {
    format!("{:.3} s", ms / 1000.0)
}

/// A count with thousands separated, such as `12,000`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// A count with its noun, such as `1 flow` or `12 flows`.
pub fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(n as u64)) }
}

/// A list in words, such as `L3, L4 and L7`.
pub(crate) fn list(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A size in memory, such as `1.2 GB`.
pub(crate) fn bytes(n: u64) -> String {
    let mega = n as f64 / 1e6;
    if mega >= 1000.0 { format!("{:.2} GB", mega / 1000.0) } else { format!("{mega:.0} MB") }
}

fn seconds(ms: f64) -> String {
    let s = ms / 1000.0;
    if s < 99.995 { format!("{s:.2}") } else { format!("{s:.0}") }
}

fn millis(ms: f64) -> String {
    match ms {
        0.0 => "0".to_owned(),
        ms if ms < 0.995 => format!("{ms:.2}"),
        ms if ms < 9.95 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::zero(0.0, "0 ms")]
    #[case::micro(0.34, "0.34 ms")]
    #[case::few(3.42, "3.4 ms")]
    #[case::many(137.4, "137 ms")]
    #[case::below_a_second(999.4, "999 ms")]
    #[case::rounds_up_to_a_second(999.6, "1.00 s")]
    #[case::seconds(1374.0, "1.37 s")]
    #[case::minutes(137_400.0, "137 s")]
    fn durations(#[case] ms: f64, #[case] words: &str) {
        assert_eq!(duration(ms), words);
    }

    #[rstest]
    #[case::both(1371.0, Some(1384.0), "1.37–1.38 s")]
    #[case::one_lost_sample(0.0, Some(40.0), "0–40 ms")]
    #[case::around_a_second(980.0, Some(1020.0), "0.98–1.02 s")]
    #[case::equal_when_rounded(137.1, Some(137.3), "137 ms")]
    #[case::never_ended(1371.0, None, "≥ 1.37 s")]
    fn ranges(#[case] min: f64, #[case] max: Option<f64>, #[case] words: &str) {
        assert_eq!(range(min, max), words);
    }

    #[rstest]
    #[case::small(7, "7")]
    #[case::exact_group(999, "999")]
    #[case::thousands(12_000, "12,000")]
    #[case::millions(1_234_567, "1,234,567")]
    fn counts(#[case] n: u64, #[case] words: &str) {
        assert_eq!(count(n), words);
    }
}
