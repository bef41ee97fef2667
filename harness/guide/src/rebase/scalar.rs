//! Writes scalars that every YAML reader reads as strings.

use crate::configmap::plain_type;
use crate::yaml::Style;

/// Writes a value on one line, in the given style if possible.
pub(crate) fn inline(value: &str, style: Style) -> String {
    match style {
        Style::Plain if is_plain(value) => value.to_owned(),
        Style::SingleQuoted if is_printable(value) => format!("'{}'", value.replace('\'', "''")),
        _ => double_quoted(value),
    }
}

/// Writes the manifest of a ConfigMap with these lines of data.
pub(crate) fn manifest(lines: impl Iterator<Item = String>) -> String {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  namespace: kube-system\ndata:\n";
    let indented = lines.map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
    std::iter::once(head.to_owned()).chain(indented).collect()
}

/// Writes a new entry as lines: in double quotes, JSON in single quotes, several lines as a literal block.
pub(crate) fn entry(key: &str, value: &str) -> Vec<String> {
    let key = if is_plain(key) { key.to_owned() } else { double_quoted(key) };
    if let Some(lines) = literal(value) {
        let chomp = if value.ends_with('\n') { "" } else { "-" };
        return std::iter::once(format!("{key}: |{chomp}")).chain(lines).collect();
    }
    let style = if value.contains('"') { Style::SingleQuoted } else { Style::DoubleQuoted };
    vec![format!("{key}: {}", inline(value, style))]
}

/// Splits a text into the lines of a literal block; `None` if a literal block cannot hold it.
fn literal(value: &str) -> Option<Vec<String>> {
    let body = value.strip_suffix('\n').unwrap_or(value);
    let fits = body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.chars().all(|c| c == '\n' || !c.is_control());
    let indent = |line: &str| if line.is_empty() { String::new() } else { format!("  {line}") };
    fits.then(|| body.split('\n').map(indent).collect())
}

fn is_plain(value: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    plain_type(value).is_none()
        && value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && value.chars().all(safe)
}

fn is_printable(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

fn double_quoted(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("vxlan", Style::Plain, "vxlan")]
    #[case::plain_would_be_a_bool("true", Style::Plain, "\"true\"")]
    #[case::plain_would_be_a_comment("a #b", Style::Plain, "\"a #b\"")]
    #[case::single("it's", Style::SingleQuoted, "'it''s'")]
    #[case::single_cannot_escape("a\nb", Style::SingleQuoted, "\"a\\nb\"")]
    #[case::double("a\"b\\c", Style::DoubleQuoted, "\"a\\\"b\\\\c\"")]
    #[case::block("x", Style::Literal, "\"x\"")]
    fn keeps_the_style_if_it_can(#[case] value: &str, #[case] style: Style, #[case] written: &str) {
        assert_eq!(inline(value, style), written);
    }

    #[rstest]
    #[case::word("debug", "true", "debug: \"true\"")]
    #[case::json("kvstore-opt", "{\"a\": \"b\"}", "kvstore-opt: '{\"a\": \"b\"}'")]
    #[case::lines("etcd-config", "---\na:\n\n  b\n", "etcd-config: |\n  ---\n  a:\n\n    b")]
    #[case::lines_without_newline("e", "a\nb", "e: |-\n  a\n  b")]
    #[case::lines_that_start_indented("e", " a\nb", "e: \" a\\nb\"")]
    fn writes_entries(#[case] key: &str, #[case] value: &str, #[case] written: &str) {
        assert_eq!(entry(key, value).join("\n"), written);
    }
}
