//! Takes secrets out of texts that are kept or leave the machine. When in doubt, out.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands in the place of a secret.
pub const MARK: &str = "<redacted>";

/// Words that make the name of a key the name of a secret.
const SECRET: &str = "password|passwd|passphrase|secret|token|credential|private[-_.]?key|api[-_.]?key|access[-_.]?key|tls[.][\\w.]*key|authorization";

struct Patterns {
    private_key: Regex,
    encoded_pem: Regex,
    url: Regex,
    bearer: Regex,
    web_token: Regex,
    line: Regex,
    inline: Regex,
    named: Regex,
    value: Regex,
    named_inline: Regex,
    harmless: Regex,
    block: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let pattern = |text: &str| match Regex::new(text) {
        Ok(pattern) => pattern,
        Err(e) => unreachable!("a pattern of ours is wrong: {e}"),
    };
    let key = format!(r#"(?:\\?["'])?[\w.-]*(?i:{SECRET})[\w.-]*(?:\\?["'])?"#);
    let quoted = r#"\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'"#;
    Patterns {
        private_key: pattern(
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
        ),
        // What begins with `-----BEGIN `, in base64, as the data of a Secret or a value of a chart.
        encoded_pem: pattern(r"\bLS0tLS1CRUdJTi[\w+/=-]{8,}"),
        url: pattern(r#"(://)[^/\s:@"']*:[^/\s@"']+@"#),
        bearer: pattern(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
        web_token: pattern(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
        line: pattern(&format!(r"^((\s*)(?:- )?{key}\s*:\s+)(\S.*)$")),
        inline: pattern(&format!(r#"({key}\s*(?::\s*|=\s*))({quoted}|(?:\\,|[^\s,{{}}"'\\])+)"#)),
        named: pattern(&format!(r#"^\s*(?:- )?name:\s+["']?[\w.-]*(?i:{SECRET})[\w.-]*["']?\s*$"#)),
        value: pattern(r"^((\s*)value:\s+)(\S.*)$"),
        named_inline: pattern(&format!(
            r#"("?name"?\s*:\s*["']?[\w.-]*(?i:{SECRET})[\w.-]*["']?\s*,\s*"?value"?\s*:\s*)({quoted}|[^\s,{{}}"'\\]+)"#
        )),
        harmless: pattern(r#"^\\?["']?(?:true|false|null|~|<redacted>)?\\?["']?$"#),
        block: pattern(r"^[|>][-+0-9]*\s*(?:#.*)?$"),
    }
});

/// What stands in the place of a match.
type Replacement = fn(&Captures<'_>) -> String;

/// Takes private keys, passwords in URLs, tokens, and the values of keys and variables with a telling name out of a text.
pub fn redact(text: &str) -> String {
    let mut text = text.to_owned();
    let whole: [(&Regex, Replacement); 5] = [
        (&PATTERNS.private_key, |_| MARK.to_owned()),
        (&PATTERNS.encoded_pem, |_| MARK.to_owned()),
        (&PATTERNS.url, |found| format!("{}{MARK}@", &found[1])),
        (&PATTERNS.bearer, |found| format!("{}{MARK}", &found[1])),
        (&PATTERNS.web_token, |_| MARK.to_owned()),
    ];
    for (pattern, instead) in whole {
        text = pattern.replace_all(&text, instead).into_owned();
    }
    let mut lines = Vec::new();
    let mut inside: Option<usize> = None;
    let mut named = false;
    for line in text.split('\n') {
        if inside.is_some_and(|indent| line.trim().is_empty() || indentation(line) > indent) {
            continue;
        }
        inside = None;
        // What a variable of a container is called stands in the line before its value.
        let value = named.then(|| PATTERNS.value.captures(line)).flatten();
        named = PATTERNS.named.is_match(line);
        lines.push(match value.or_else(|| PATTERNS.line.captures(line)) {
            Some(found) if !names_a_secret(&found[1]) && !PATTERNS.harmless.is_match(found[3].trim_end()) => {
                inside = PATTERNS.block.is_match(&found[3]).then(|| found[2].len());
                format!("{}{MARK}", &found[1])
            }
            _ => pairs(line),
        });
    }
    lines.join("\n")
}

/// The value of a key, without its secrets.
pub fn value(key: &str, value: &str) -> String {
    let line = format!("{key}: {}", value.replace('\n', " "));
    match PATTERNS.line.captures(&line) {
        Some(found) if !PATTERNS.harmless.is_match(&found[3]) => MARK.to_owned(),
        _ => redact(value),
    }
}

/// Pairs of key and value that stand within a line, such as in JSON.
fn pairs(line: &str) -> String {
    let instead = |found: &Captures<'_>| {
        let value = &found[2];
        if names_a_secret(&found[1]) || PATTERNS.harmless.is_match(value) {
            return found[0].to_owned();
        }
        let quote =
            ["\\\"", "\"", "'"].into_iter().find(|quote| value.starts_with(quote)).unwrap_or_default();
        format!("{}{quote}{MARK}{quote}", &found[1])
    };
    let line = PATTERNS.inline.replace_all(line, instead);
    PATTERNS.named_inline.replace_all(&line, instead).into_owned()
}

/// The name of a Secret is none.
fn names_a_secret(key: &str) -> bool {
    key.trim_matches(|c: char| !c.is_alphanumeric()) == "secretName"
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("etcd-password: hunter2 with, comma", "etcd-password: <redacted>")]
    #[case::quoted("  \"auth-token\": \"hunter2\"", "  \"auth-token\": <redacted>")]
    #[case::in_a_list("- clientSecret: hunter2", "- clientSecret: <redacted>")]
    #[case::like_a_name("  secretNamePassword: hunter2", "  secretNamePassword: <redacted>")]
    #[case::flow(
        "edit-config: {kvstore: etcd, etcd.password: hunter2}",
        "edit-config: {kvstore: etcd, etcd.password: <redacted>}"
    )]
    #[case::json(
        r#"opt: '{"etcd.password": "hunter2", "a": "b"}'"#,
        r#"opt: '{"etcd.password": "<redacted>", "a": "b"}'"#
    )]
    #[case::escaped_json(
        r#"opt: "{\"etcd.password\": \"hunter2\", \"a\": 1}""#,
        r#"opt: "{\"etcd.password\": \"<redacted>\", \"a\": 1}""#
    )]
    #[case::flag("args: [--api-key=hunter2, --debug]", "args: [--api-key=<redacted>, --debug]")]
    #[case::url("endpoint: https://root:hunter2@etcd:2379", "endpoint: https://<redacted>@etcd:2379")]
    #[case::bearer("header: Bearer hunter2hunter2", "header: Bearer <redacted>")]
    #[case::web_token("x: eyJhbGciOiJub25lIn0.eyJzdWIiOiJodW50ZXIyIn0.hunter2", "x: <redacted>")]
    #[case::block(
        "a:\n  ssh-passphrase: |\n    hunter2\n\n    hunter2\n  b: 1",
        "a:\n  ssh-passphrase: <redacted>\n  b: 1"
    )]
    #[case::private_key(
        "tls: |\n  -----BEGIN EC PRIVATE KEY-----\n  hunter2\n  -----END EC PRIVATE KEY-----\nb: 1",
        "tls: |\n  <redacted>\nb: 1"
    )]
    #[case::value_of_a_chart("--set hubble.tls.server.key=hunter2", "--set hubble.tls.server.key=<redacted>")]
    #[case::comma_in_a_value(
        r"--set db.password=hunter2\,hunter2,debug=true",
        "--set db.password=<redacted>,debug=true"
    )]
    #[case::encoded_pem("tls.key: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCmh1bnRlcjI=", "tls.key: <redacted>")]
    #[case::encoded_pem_in_nested_values(
        "  key: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo=",
        "  key: <redacted>"
    )]
    #[case::cut_off_private_key("-----BEGIN PRIVATE KEY-----\nhunter2", "<redacted>")]
    #[case::variable("- name: AUTH_TOKEN\n  value: hunter2", "- name: AUTH_TOKEN\n  value: <redacted>")]
    #[case::variable_of_lines(
        "- name: \"db-password\"\n  value: |-\n    hunter2\n- name: DEBUG\n  value: \"1\"",
        "- name: \"db-password\"\n  value: <redacted>\n- name: DEBUG\n  value: \"1\""
    )]
    #[case::variable_in_json(
        r#"env: [{"name": "API_KEY", "value": "hunter2"}, {"name": "A", "value": "b"}]"#,
        r#"env: [{"name": "API_KEY", "value": "<redacted>"}, {"name": "A", "value": "b"}]"#
    )]
    fn secrets_are_taken_out(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(redact(text), expected);
        assert!(!expected.contains("hunter2"));
    }

    #[rstest]
    #[case::no_secret("kvstore-opt: '{\"etcd.config\": \"/var/lib/etcd-config/etcd.config\"}'")]
    #[case::file_of_a_key("hubble-tls-key-file: /var/lib/cilium/tls/hubble/server.key")]
    #[case::switch("automountServiceAccountToken: false")]
    #[case::certificate("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----")]
    #[case::prose("the secret of a token is that it is no password")]
    #[case::empty("password: \"\"")]
    #[case::reference("- name: AUTH_TOKEN\n  valueFrom:\n    fieldRef: {fieldPath: metadata.name}")]
    #[case::secret_of_a_volume("- name: etcd\n  secret:\n    secretName: cilium-etcd-secrets")]
    #[case::secret_in_json(r#"{"secretName": "cilium-etcd-secrets", "optional": true}"#)]
    #[case::volume("- name: clustermesh-secrets\n  mountPath: /var/lib/cilium/clustermesh")]
    fn other_texts_stay(#[case] text: &str) {
        assert_eq!(redact(text), text);
    }

    #[test]
    fn again_takes_nothing_more() {
        let once = redact("password: hunter2\nx: {token: hunter2}\n");
        assert_eq!(once.matches(MARK).count(), 2);
        assert_eq!(redact(&once), once);
    }

    #[rstest]
    #[case::by_key("etcd-password", "hunter2", "<redacted>")]
    #[case::by_content("etcd-config", "endpoints: https://a:hunter2@b", "endpoints: https://<redacted>@b")]
    #[case::neither("debug", "true", "true")]
    fn values_go_by_key_and_content(#[case] key: &str, #[case] text: &str, #[case] expected: &str) {
        assert_eq!(value(key, text), expected);
    }

    /// A bundle whose scenario was changed would not run the same thing.
    #[test]
    fn our_own_scenarios_stay_as_they_are() {
        for (name, text) in crate::scenario::texts() {
            assert_eq!(redact(text), text, "{name}");
        }
    }
}
