//! ConfigMaps by construction: what they mean and which line belongs to which key is known before they are written.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

/// Keys that some version renames, requires, removes or knows, and keys that none does.
const KEYS: [&str; 22] = [
    "debug",
    "disable-ipv4",
    "enable-ipv4",
    "monitor-aggregation",
    "monitor-aggregation-level",
    "ct-global-max-entries-tcp",
    "bpf-ct-global-tcp-max",
    "legacy-host-allows-world",
    "enable-legacy-services",
    "kvstore",
    "kvstore-opt",
    "identity-allocation-mode",
    "container-runtime",
    "tunnel",
    "etcd-config",
    "clean-cilium-state",
    "custom-cni-conf",
    "x-ours",
    "a.first",
    "zz_last",
    "sidecar-http-proxy",
    "prometheus-serve-addr",
];

const WORDS: [&str; 14] = [
    "true",
    "false",
    "",
    "none",
    "medium",
    "524288",
    "a # b",
    "it's",
    "say \"hi\"",
    "{\"etcd.config\": \"/x\"}",
    "yes",
    " spaced ",
    "ü→",
    "back\\slash",
];

const BLOCKS: [&str; 6] = [
    "---\nendpoints:\n- https://192.168.33.11:2379\n#\n# tls",
    "one",
    "a\n\n\nb",
    "kvstore: inside\ndebug: \"inside\"",
    "x\n  indented\n # hash",
    "tab\there",
];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    /// With the number of newlines that end the value: `|-`, `|`, `|+`.
    Literal(usize),
    Folded,
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    key: String,
    value: String,
    style: Style,
    quoted_key: bool,
    trailing: bool,
    above: Vec<Above>,
}

/// A line above an entry that belongs to nobody.
#[derive(Clone, Copy, Debug)]
enum Above {
    Comment,
    ColumnZero,
    Blank,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Manifest,
    DataFirst,
    List,
    Documents,
}

#[derive(Clone, Debug)]
pub(crate) struct File {
    items: Vec<Item>,
    shape: Shape,
    crlf: bool,
    final_newline: bool,
    server_metadata: bool,
}

/// A line and the key that owns it.
type Line = (String, Option<String>);

impl File {
    pub(crate) fn manifest(items: Vec<Item>) -> Self {
        Self { items, shape: Shape::Manifest, crlf: false, final_newline: true, server_metadata: false }
    }

    pub(crate) fn text(&self) -> String {
        let lines: Vec<_> = self.lines().into_iter().map(|(line, _)| line).collect();
        lines.join("\n")
    }

    pub(crate) fn indent(&self) -> usize {
        if matches!(self.shape, Shape::List) { 6 } else { 2 }
    }

    pub(crate) fn is_crlf(&self) -> bool {
        self.crlf
    }

    pub(crate) fn data(&self) -> BTreeMap<String, String> {
        let last = self.items.len() - 1;
        let at_end = !self.final_newline && !matches!(self.shape, Shape::DataFirst | Shape::Documents);
        let value = |(index, item): (usize, &Item)| {
            let value = match item.style {
                // A block at the very end has no line end to keep.
                Style::Literal(1) if at_end && index == last => item.value.trim_end_matches('\n').to_owned(),
                _ => item.value.clone(),
            };
            (item.key.clone(), value)
        };
        self.items.iter().enumerate().map(value).collect()
    }

    /// The lines that remain when some keys and what the server made are left out; a renamed key loses its first line only.
    pub(crate) fn without(
        &self,
        keys: &BTreeSet<&str>,
        renamed: &BTreeSet<&str>,
        removed: &BTreeSet<&str>,
    ) -> Vec<String> {
        let keeps = |key: &str| {
            let item = self.items.iter().find(|item| item.key == key);
            item.is_some_and(|item| matches!(item.style, Style::Literal(2..)))
        };
        let mut started = BTreeSet::new();
        let mut kept = Vec::new();
        // Blank lines behind a removed key go when the key before it would take them for its own.
        let (mut after_keep, mut gap) = (false, false);
        let lines = self.lines();
        let last = lines.len() - 1;
        for (index, (line, owner)) in lines.into_iter().enumerate() {
            let line = line.trim_end_matches('\r').to_owned();
            let Some(key) = owner else {
                // The last one is no line but what follows the last line end.
                if !(gap && line.is_empty()) || index == last {
                    gap = false;
                    kept.push(line);
                }
                continue;
            };
            let first = started.insert(key.clone());
            let goes = key == "server"
                || (keys.contains(key.as_str()) && (first || !renamed.contains(key.as_str())));
            gap = after_keep && removed.contains(key.as_str());
            if !goes {
                kept.push(line);
            }
            if !removed.contains(key.as_str()) && key != "server" {
                // A value that is written anew stands on one line.
                after_keep = keeps(&key) && (!goes || renamed.contains(key.as_str()));
            }
        }
        kept
    }

    /// The lines, from zero, on which entries start.
    pub(crate) fn entry_lines(&self) -> Vec<usize> {
        let lines = self.lines();
        let starts = |key: &str| lines.iter().position(|(_, owner)| owner.as_deref() == Some(key)).unwrap();
        self.items.iter().map(|item| starts(&item.key)).collect()
    }

    pub(crate) fn key_at(&self, line: usize) -> String {
        self.lines()[line].1.clone().unwrap()
    }

    fn lines(&self) -> Vec<Line> {
        let free = |text: &str| (text.to_owned(), None);
        let mut lines = Vec::new();
        let (head, tail): (&[&str], &[&str]) = match self.shape {
            Shape::Manifest => {
                (&["apiVersion: v1", "kind: ConfigMap", "metadata:", "  name: cilium-config"], &[])
            }
            Shape::DataFirst => {
                (&["apiVersion: v1"], &["kind: ConfigMap", "metadata:", "  name: cilium-config"])
            }
            Shape::List => (
                &[
                    "kind: List",
                    "items:",
                    "  - kind: Secret",
                    "  - kind: ConfigMap",
                    "    metadata: {name: cilium-config}",
                ],
                &[],
            ),
            Shape::Documents => (
                &["kind: Service", "---", "kind: ConfigMap", "metadata: {name: cilium-config}"],
                &["---", "kind: ConfigMapX"],
            ),
        };
        lines.extend(head.iter().map(|line| free(line)));
        if self.server_metadata && matches!(self.shape, Shape::Manifest) {
            let server = |text: &str| (text.to_owned(), Some("server".to_owned()));
            lines.extend(["  uid: abc", "  creationTimestamp: null"].map(server));
        }
        lines.push((format!("{:1$}data:", "", self.indent() - 2), None));
        let mut after_keep = false;
        for item in &self.items {
            item.write(self.indent(), after_keep, &mut lines);
            after_keep = matches!(item.style, Style::Literal(2..));
        }
        lines.extend(tail.iter().map(|line| free(line)));
        let ends_in_keep = after_keep && tail.is_empty();
        let count = lines.len();
        if self.crlf {
            for (index, (line, _)) in lines.iter_mut().enumerate() {
                if index + 1 < count || self.final_newline || ends_in_keep {
                    line.push('\r');
                }
            }
        }
        if self.final_newline || ends_in_keep {
            lines.push(free(""));
        }
        lines
    }
}

impl Item {
    fn write(&self, indent: usize, after_keep: bool, lines: &mut Vec<Line>) {
        for above in &self.above {
            match above {
                Above::Comment => lines.push((format!("{:indent$}# about: nothing", ""), None)),
                Above::ColumnZero => lines.push(("# column: zero".to_owned(), None)),
                // After `|+` a blank line would be content.
                Above::Blank if after_keep => {}
                Above::Blank => lines.push((String::new(), None)),
            }
        }
        let key = if self.quoted_key { format!("\"{}\"", self.key) } else { self.key.clone() };
        let comment = if self.trailing { " # trailing" } else { "" };
        let mut own = |line: String| lines.push((line, Some(self.key.clone())));
        let inline = match self.style {
            Style::Plain => self.value.clone(),
            Style::Single => format!("'{}'", self.value.replace('\'', "''")),
            Style::Double => serde_json::to_string(&self.value).unwrap(),
            Style::Folded => {
                own(format!("{:indent$}{key}: >-{comment}", ""));
                own(format!("{:indent$}  {}", "", self.value));
                return;
            }
            Style::Literal(newlines) => {
                let chomp = ["-", "", "+"][newlines.min(2)];
                own(format!("{:indent$}{key}: |{chomp}{comment}", ""));
                for line in self.value.trim_end_matches('\n').split('\n') {
                    own(if line.is_empty() { String::new() } else { format!("{:indent$}  {line}", "") });
                }
                for _ in 1..newlines {
                    own(String::new());
                }
                return;
            }
        };
        own(format!("{:indent$}{key}: {inline}{comment}", ""));
    }
}

fn style_and_value() -> impl Strategy<Value = (Style, String)> {
    let word = prop::sample::select(WORDS.to_vec()).prop_map(ToOwned::to_owned);
    let plain = prop::sample::select(vec!["none", "vxlan", "/x/y", "a b", "x:y", "v1.2.3", "10.0.0.0/8"]);
    prop_oneof![
        plain.prop_map(|value| (Style::Plain, value.to_owned())),
        word.clone().prop_map(|value| (Style::Single, value)),
        word.prop_map(|value| (Style::Double, value)),
        prop::sample::select(BLOCKS.to_vec()).prop_map(|value| (Style::Double, value.to_owned())),
        prop::sample::select(vec!["folded", "two words"]).prop_map(|value| (Style::Folded, value.to_owned())),
        (prop::sample::select(BLOCKS.to_vec()), 0..4_usize).prop_map(|(value, newlines)| (
            Style::Literal(newlines),
            format!("{value}{}", "\n".repeat(newlines))
        )),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let above = prop_oneof![Just(Above::Comment), Just(Above::ColumnZero), Just(Above::Blank)];
    (
        prop::sample::select(KEYS.to_vec()),
        style_and_value(),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.3),
        prop::collection::vec(above, 0..3),
    )
        .prop_map(|(key, (style, value), quoted_key, trailing, above)| Item {
            key: key.to_owned(),
            value,
            style,
            quoted_key,
            trailing,
            above,
        })
}

/// Items with distinct keys, at least one.
pub(crate) fn entries_only() -> impl Strategy<Value = Vec<Item>> {
    (prop::collection::vec(item(), 1..9), any::<bool>()).prop_map(|(mut items, sorted)| {
        let mut seen = BTreeSet::new();
        items.retain(|item| seen.insert(item.key.clone()));
        if sorted {
            items.sort_by(|a, b| a.key.cmp(&b.key));
        }
        items
    })
}

pub(crate) fn file() -> impl Strategy<Value = File> {
    let shape =
        prop_oneof![Just(Shape::Manifest), Just(Shape::DataFirst), Just(Shape::List), Just(Shape::Documents)];
    (entries_only(), shape, any::<bool>(), prop::bool::weighted(0.8), any::<bool>()).prop_map(
        |(items, shape, crlf, final_newline, server_metadata)| File {
            items,
            shape,
            crlf,
            final_newline,
            server_metadata,
        },
    )
}
