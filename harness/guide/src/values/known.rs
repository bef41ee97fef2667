//! Which values the chart of each minor reads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::path;
use crate::data;
use model::Minor;

/// The oldest minor with a chart.
pub(super) const FIRST: Minor = Minor::new(1, 6);

/// Minors, both ends included.
type Spans = Vec<(Minor, Option<Minor>)>;

struct Known {
    values: HashMap<&'static str, Spans>,
    /// Maps of free form.
    free: HashMap<&'static str, Spans>,
    /// Paths that have values below them.
    inner: HashSet<&'static str>,
}

static FILE: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| data::embedded!("values-known"));

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known { values: HashMap::new(), free: HashMap::new(), inner: HashSet::new() };
    for (path, spans) in FILE.iter() {
        let bare = match path.strip_suffix(".*") {
            Some(map) => {
                known.free.insert(map, parse(spans));
                map
            }
            None => {
                known.values.insert(path.as_str(), parse(spans));
                path.as_str()
            }
        };
        known.inner.extend(bare.match_indices('.').map(|(at, _)| &bare[..at]));
    }
    known
});

/// Parses `1.9-1.11, 1.16-`; the data file is checked by tests.
fn parse(text: &str) -> Spans {
    let span = |span: &str| {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        Some((first.parse().ok()?, if last.is_empty() { None } else { Some(last.parse().ok()?) }))
    };
    text.split(", ").filter_map(span).collect()
}

fn within(spans: Option<&Spans>, minor: Minor) -> bool {
    let inside =
        |(first, last): &(Minor, Option<Minor>)| *first <= minor && last.is_none_or(|last| minor <= last);
    spans.is_some_and(|spans| spans.iter().any(inside))
}

/// The values of a chart, where a chart is at hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chart<'a>(pub(super) Option<&'a Value>);

/// Tells whether the chart of a minor reads a value; `empty` for null and empty maps, which a path of a map takes, too.
pub(super) fn reads(path: &[String], minor: Minor, empty: bool, chart: Chart<'_>) -> bool {
    let dotted = path.join(".");
    let ends = dotted.match_indices('.').map(|(at, _)| at).chain([dotted.len()]);
    let known = &*KNOWN;
    within(known.values.get(dotted.as_str()), minor)
        || ends.into_iter().any(|end| within(known.free.get(&dotted[..end]), minor))
        || (empty && known.inner.contains(dotted.as_str()))
        || chart.0.is_some_and(|values| in_chart(values, path, empty))
}

fn in_chart(values: &Value, path: &[String], empty: bool) -> bool {
    match path::get(values, path) {
        Some(Value::Object(map)) => empty || map.is_empty(),
        Some(_) => true,
        None => false,
    }
}

/// Returns the known path that a misspelt one resembles.
pub(super) fn resembling(path: &[String], minor: Minor) -> Option<&'static str> {
    let dotted = path.join(".");
    let most = if dotted.len() < 8 { 1 } else { 2 };
    let known = KNOWN.values.iter().filter(|(_, spans)| within(Some(spans), minor));
    let near = known.filter(|(known, _)| known.len().abs_diff(dotted.len()) <= most);
    let edits = near.map(|(known, _)| (strsim::damerau_levenshtein(known, &dotted), *known));
    edits.filter(|(edits, _)| *edits <= most).min().map(|(_, known)| known)
}

/// Tells whether any minor reads a value of this path or below it.
pub(super) fn is_of_cilium(path: &[String]) -> bool {
    let dotted = path.join(".");
    let known = &*KNOWN;
    known.values.contains_key(dotted.as_str())
        || known.free.contains_key(dotted.as_str())
        || known.inner.contains(dotted.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn every_span_is_read() {
        for (path, spans) in FILE.iter() {
            assert_eq!(parse(spans).len(), spans.split(", ").count(), "{path}: {spans}");
        }
        assert!(FILE.len() > 1500);
    }

    #[rstest]
    #[case::known("tunnel", "1.14", true)]
    #[case::removed("tunnel", "1.15", false)]
    #[case::came_back("extraInitContainers", "1.12", false)]
    #[case::came_back_later("extraInitContainers", "1.16", true)]
    #[case::below_a_free_map("extraConfig.any-key", "1.16", true)]
    #[case::not_in_the_default_values("nodePort.range", "1.16", true)]
    #[case::map_now("bandwidthManager", "1.12", false)]
    #[case::refused_by_a_template("ipam.operator.clusterPoolIPv4PodCIDR", "1.14", false)]
    #[case::read_through_a_variable("socketLB.hostNamespaceOnly", "1.16", true)]
    fn knows_what_a_chart_reads(#[case] path: &str, #[case] at: &str, #[case] read: bool) {
        assert_eq!(reads(&path::parse(path), at.parse().unwrap(), false, Chart(None)), read);
    }

    #[test]
    fn a_misspelt_path_has_a_suggestion() {
        let at = Minor::new(1, 16);
        assert_eq!(resembling(&path::parse("hubbel.relay.enabled"), at), Some("hubble.relay.enabled"));
        assert_eq!(resembling(&path::parse("mycompany.owner"), at), None);
    }
}
