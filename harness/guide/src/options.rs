//! The options that agents, operators and charts read from the ConfigMap, minor by minor.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::data;
use model::Minor;

/// The oldest minor whose options are known.
pub(crate) const FIRST: Minor = Minor::new(1, 5);

/// One option in a range of minors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentOption {
    /// Its name, which is the key in the ConfigMap.
    pub(crate) name: String,
    kind: Option<Kind>,
    since: Minor,
    until: Option<Minor>,
    #[serde(default)]
    reader: Reader,
    #[serde(default)]
    absent: BTreeMap<Minor, Option<String>>,
    then: Option<String>,
}

/// The type of an option's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// True or false.
    Bool,
    /// An integer.
    Integer,
    /// A number with a fraction.
    Number,
    /// A duration, for example `5m0s`.
    Duration,
    /// A list.
    List,
    /// Keys with values.
    Map,
    /// Text.
    #[default]
    String,
}

/// The program that reads an option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Reader {
    #[default]
    Agent,
    Operator,
    Chart,
}

static OPTIONS: LazyLock<Vec<AgentOption>> = LazyLock::new(|| data::embedded!("options"));

static BY_NAME: LazyLock<HashMap<&'static str, Vec<&'static AgentOption>>> = LazyLock::new(|| {
    let mut names = HashMap::<_, Vec<_>>::new();
    OPTIONS.iter().for_each(|option| names.entry(option.name.as_str()).or_default().push(option));
    names
});

/// Returns every entry, sorted by name.
pub(crate) fn all() -> &'static [AgentOption] {
    &OPTIONS
}

/// Returns the ranges of minors that have an option, oldest first; none for an unknown name.
pub(crate) fn named(name: &str) -> &'static [&'static AgentOption] {
    BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// Tells whether a minor reads an option; `None` for an unknown name and for minors without a list of options.
pub(crate) fn is_read(name: &str, minor: Minor) -> Option<bool> {
    let known = named(name);
    (minor >= FIRST && !known.is_empty()).then(|| known.iter().any(|option| option.is_in(minor)))
}

/// Returns the value that a minor uses if the key is absent; `None` if it is unknown or the minor has no such option.
pub(crate) fn without_key(name: &str, minor: Minor) -> Option<&'static str> {
    named(name).iter().find(|option| option.is_in(minor))?.without_key(minor)
}

/// Tells whether two values of an option are the same, however they are written.
pub(crate) fn same(name: &str, a: &str, b: &str) -> bool {
    let kind = named(name).last().map_or(Kind::String, |option| option.kind());
    kind.normal(a) == kind.normal(b)
}

/// Returns a value of an option in one spelling.
#[cfg(test)]
pub(crate) fn normal(name: &str, value: &str) -> String {
    named(name).last().map_or(Kind::String, |option| option.kind()).normal(value)
}

/// Returns the known name that a misspelt one resembles.
pub(crate) fn resembling(name: &str) -> Option<&'static str> {
    let most = if name.len() < 8 { 1 } else { 2 };
    let names = BY_NAME.keys().filter(|known| known.len().abs_diff(name.len()) <= most);
    let near = names
        .map(|known| (strsim::damerau_levenshtein(known, name), *known))
        .filter(|(edits, _)| *edits <= most);
    near.min().map(|(_, known)| known)
}

impl AgentOption {
    /// Tells whether a minor has it.
    pub(crate) fn is_in(&self, minor: Minor) -> bool {
        self.since <= minor && self.until.is_none_or(|last| minor <= last)
    }

    /// Returns the first minor that has it.
    pub(crate) fn since(&self) -> Minor {
        self.since
    }

    /// Returns the type of its values.
    pub(crate) fn kind(&self) -> Kind {
        self.kind.unwrap_or_default()
    }

    /// Returns the type that the lists of options show; `None` for an option that they hide.
    pub(crate) fn documented(&self) -> Option<Kind> {
        self.kind
    }

    /// Tells whether only the chart reads it.
    pub(crate) fn is_of_chart(&self) -> bool {
        self.reader == Reader::Chart
    }

    /// Returns the last minor that has it; `None` if the newest minor has it.
    pub(crate) fn until(&self) -> Option<Minor> {
        self.until
    }

    /// Returns the value that later minors behave as, if it is known; `*` if the option no longer matters.
    pub(crate) fn then(&self) -> Option<&str> {
        self.then.as_deref()
    }

    /// Returns the value that a minor uses if the key is absent, if that is known.
    pub(crate) fn without_key(&self, minor: Minor) -> Option<&str> {
        self.absent.range(..=minor).next_back()?.1.as_deref()
    }
}

impl Kind {
    /// Returns a value in one spelling.
    fn normal(self, value: &str) -> String {
        let value = value.trim();
        match self {
            Self::Bool if value.is_empty() => "false".to_owned(),
            Self::Bool => value.to_ascii_lowercase(),
            Self::Integer | Self::Number => {
                let number = if value.is_empty() { Some(0.0) } else { value.parse::<f64>().ok() };
                number.map_or_else(|| value.to_owned(), |number| number.to_string())
            }
            Self::Duration => seconds(value).map_or_else(|| value.to_owned(), |seconds| seconds.to_string()),
            Self::List => value.replace(' ', ","),
            Self::Map | Self::String => value.to_owned(),
        }
    }
}

/// Returns the seconds of a duration in the notation of Go, for example `1h5m0.5s`.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    if matches!(text, "" | "0") {
        return Some(0.0);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn minor(text: &str) -> Minor {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::first("routing-mode", "1.14", Some(true))]
    #[case::before("routing-mode", "1.13", Some(false))]
    #[case::last("tunnel", "1.14", Some(true))]
    #[case::after("tunnel", "1.15", Some(false))]
    #[case::a_name_that_came_back("enable-egress-gateway", "1.12", Some(false))]
    #[case::never_in_a_default_configmap("enable-wireguard", "1.16", Some(true))]
    #[case::unknown("my-key", "1.16", None)]
    #[case::no_list("debug", "1.3", None)]
    fn knows_which_minors_read_an_option(#[case] name: &str, #[case] at: &str, #[case] read: Option<bool>) {
        assert_eq!(is_read(name, minor(at)), read);
    }

    #[rstest]
    #[case::before("tofqdns-min-ttl", "1.13", Some("3600"))]
    #[case::after("tofqdns-min-ttl", "1.14", Some("0"))]
    #[case::later("tofqdns-min-ttl", "1.20", Some("0"))]
    #[case::not_in_the_minor("routing-mode", "1.13", None)]
    fn knows_the_value_of_an_absent_key(#[case] name: &str, #[case] at: &str, #[case] value: Option<&str>) {
        assert_eq!(without_key(name, minor(at)), value);
    }

    #[rstest]
    #[case::duration("identity-gc-interval", "15m", "900s", true)]
    #[case::other_duration("identity-gc-interval", "15m", "15s", false)]
    #[case::empty_integer("cluster-id", "", "0", true)]
    #[case::fraction("bpf-map-dynamic-size-ratio", "0.0", "0", true)]
    #[case::text("routing-mode", "native", "tunnel", false)]
    fn compares_values(#[case] name: &str, #[case] a: &str, #[case] b: &str, #[case] equal: bool) {
        assert_eq!(same(name, a, b), equal);
    }

    #[rstest]
    #[case::swapped("enable-ipv4-masqeurade", Some("enable-ipv4-masquerade"))]
    #[case::missing("routing-mod", Some("routing-mode"))]
    #[case::own("my-company-owner", None)]
    fn finds_the_name_that_a_misspelt_one_resembles(#[case] name: &str, #[case] known: Option<&str>) {
        assert_eq!(resembling(name), known);
    }
}
