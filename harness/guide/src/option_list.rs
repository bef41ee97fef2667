//! Lists of options as a release documents them, and how the option facts differ from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use crate::options::{self, Kind};
use model::Minor;

/// Options of the programs themselves, which no key of the ConfigMap sets.
const OF_THE_PROGRAM: [&str; 5] = ["cmdref", "config", "config-dir", "help", "version"];

/// The options that a release documents.
#[derive(Clone, Debug, Default)]
pub struct OptionList {
    flags: BTreeMap<String, Flag>,
    keys: BTreeSet<String>,
}

/// An option with its type, and the value that holds without it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flag {
    kind: Kind,
    default: String,
}

/// A difference between the facts and a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The option.
    pub name: String,
    /// What differs.
    pub what: What,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The facts do not have the option.
    Missing,
    /// The list does not have the option.
    Unlisted,
    /// The types differ: that of the facts, and that of the list.
    Kind(Option<Kind>, Kind),
    /// The values without the key differ: that of the facts, and that of the list.
    Default(Option<String>, String),
}

impl What {
    /// Returns one word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unlisted => "unlisted",
            Self::Kind(..) => "kind",
            Self::Default(..) => "default",
        }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::Missing => write!(f, "missing {name}: the list has it"),
            What::Unlisted => write!(f, "unlisted {name}: the list does not have it"),
            What::Kind(facts, list) => write!(f, "kind {name}: {facts:?} in the data, {list:?} in the list"),
            What::Default(facts, list) => {
                write!(f, "default {name}: {facts:?} in the data, {list:?} in the list")
            }
        }
    }
}

impl OptionList {
    /// Reads the reference of a program in Markdown (cmdref); of an option of several programs, the first is used.
    pub fn read_reference(&mut self, text: &str) {
        for (name, flag) in text.lines().filter_map(flag) {
            if !OF_THE_PROGRAM.contains(&name.as_str()) {
                self.flags.entry(name).or_insert(flag);
            }
        }
    }

    /// Reads the keys of the chart's template of the ConfigMap.
    pub fn read_template(&mut self, text: &str) {
        let data = text.lines().skip_while(|line| !line.starts_with("data:"));
        let key = |line: &str| {
            let name = line.strip_prefix("  ")?.split_once(':')?.0;
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
        };
        self.keys.extend(data.take_while(|line| *line != "---").filter_map(key));
    }

    /// Returns the number of options.
    pub fn len(&self) -> usize {
        self.flags.keys().chain(&self.keys).collect::<BTreeSet<_>>().len()
    }

    /// Tells whether there is no option.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Compares the facts about a minor with the list, in the order of names.
    pub fn compare(&self, minor: Minor) -> Vec<Difference> {
        let known = || options::all().iter().filter(move |option| option.is_in(minor));
        let mut found = Vec::new();
        let mut add = |name: &str, what| found.push(Difference { name: name.to_owned(), what });
        for option in known() {
            let name = option.name.as_str();
            let Some(flag) = self.flags.get(name) else {
                let of_chart = option.is_of_chart() && (self.keys.is_empty() || self.keys.contains(name));
                let hidden = !option.is_of_chart() && option.documented().is_none();
                if !of_chart && !hidden {
                    add(name, What::Unlisted);
                }
                continue;
            };
            if option.documented() != Some(flag.kind) {
                add(name, What::Kind(option.documented(), flag.kind));
            }
            let facts = option.without_key(minor);
            if facts.is_none_or(|facts| !options::same(name, facts, &flag.default)) {
                add(name, What::Default(facts.map(ToOwned::to_owned), flag.default.clone()));
            }
        }
        let names: BTreeSet<_> = known().map(|option| option.name.as_str()).collect();
        let listed: BTreeSet<_> = self.flags.keys().chain(&self.keys).map(String::as_str).collect();
        listed.difference(&names).for_each(|name| add(name, What::Missing));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

/// Returns the number of options that the facts have for a minor.
pub fn known(minor: Minor) -> usize {
    options::all().iter().filter(|option| option.is_in(minor)).count()
}

/// Reads a line such as `-D, --debug   Enable debugging` or `--mtu int   Overwrite it (default 0)`.
fn flag(line: &str) -> Option<(String, Flag)> {
    let line = line.trim();
    let line = line
        .strip_prefix("--")
        .or_else(|| line.get(4..)?.strip_prefix("--").filter(|_| line.starts_with('-')))?;
    let (head, text) = line.split_once("  ").unwrap_or((line, ""));
    let (name, kind) = match head.split_once(' ') {
        None => (head, Kind::Bool),
        Some((name, kind)) => (name, kind_of(kind)),
    };
    let shown =
        text.trim().strip_suffix(')').and_then(|text| text.rsplit_once("(default ")).map(|(_, shown)| shown);
    let default = match (shown, kind) {
        (Some(shown), kind) => plain(shown, kind),
        (None, Kind::Bool) => "false".to_owned(),
        (None, Kind::Integer | Kind::Number) => "0".to_owned(),
        (None, Kind::Duration) => "0s".to_owned(),
        (None, Kind::List | Kind::Map | Kind::String) => String::new(),
    };
    Some((name.to_owned(), Flag { kind, default }))
}

fn kind_of(text: &str) -> Kind {
    match text {
        "duration" => Kind::Duration,
        "strings" | "stringSlice" => Kind::List,
        "map" | "stringToString" => Kind::Map,
        _ if text.starts_with("int") || text.starts_with("uint") => Kind::Integer,
        _ if text.starts_with("float") => Kind::Number,
        _ => Kind::String,
    }
}

/// Returns a default as a key of the ConfigMap would have it.
fn plain(shown: &str, kind: Kind) -> String {
    let shown = shown.trim();
    let inner = |start: &str, end: char| shown.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    match (inner("\"", '"'), kind) {
        (Some(quoted), _) => quoted.replace("\\\"", "\""),
        (None, Kind::List) => inner("[", ']').unwrap_or(shown).to_owned(),
        (None, Kind::Map) => inner("map[", ']').or_else(|| inner("[", ']')).unwrap_or(shown).to_owned(),
        (None, _) => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::bool("      --debug   Enable debugging mode", "debug", Kind::Bool, "false")]
    #[case::short("  -D, --debug    Enable debugging mode", "debug", Kind::Bool, "false")]
    #[case::integer(
        "      --bpf-node-map-max uint32   Size (default 16384)",
        "bpf-node-map-max",
        Kind::Integer,
        "16384"
    )]
    #[case::quoted(
        "      --ipam string   IPAM (default \"cluster-pool\")",
        "ipam",
        Kind::String,
        "cluster-pool"
    )]
    #[case::list(
        "      --container-runtime strings   Runtime (default [auto])",
        "container-runtime",
        Kind::List,
        "auto"
    )]
    #[case::json(
        "      --rates string   Rates (default \"[{\\\"nodes\\\":0}]\")",
        "rates",
        Kind::String,
        "[{\"nodes\":0}]"
    )]
    fn reads_a_flag(#[case] line: &str, #[case] name: &str, #[case] kind: Kind, #[case] default: &str) {
        let expected = Flag { kind, default: default.to_owned() };
        assert_eq!(flag(line), Some((name.to_owned(), expected)));
    }

    #[rstest]
    #[case::text("Run the cilium agent")]
    #[case::fence("```")]
    #[case::empty("")]
    fn reads_no_flag(#[case] line: &str) {
        assert_eq!(flag(line), None);
    }

    #[test]
    fn names_each_kind_of_difference() {
        let mut list = OptionList::default();
        list.read_reference("--debug\n--enable-new   New\n--mtu string  (default \"0\")\n--cluster-name string  (default \"x\")\n");
        list.read_template(
            "metadata:\n  name: x\ndata:\n  loadbalancer-l9: x\n{{- if x }}\n  debug: \"true\"\n",
        );
        let found = list.compare(Minor::new(1, 16));
        let of = |name: &str| {
            found.iter().filter(|found| found.name == name).map(|found| found.what.name()).collect::<Vec<_>>()
        };
        assert_eq!(of("debug"), [""; 0]);
        assert_eq!(of("enable-new"), ["missing"]);
        assert_eq!(of("loadbalancer-l9"), ["missing"]);
        assert_eq!(of("mtu"), ["kind"]);
        assert_eq!(of("cluster-name"), ["default"]);
        assert_eq!(of("ipam"), ["unlisted"]);
        assert_eq!(of("clean-cilium-state"), ["unlisted"]);
        assert_eq!(of("enable-srv6"), [""; 0]);
    }
}
