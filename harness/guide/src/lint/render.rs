//! Findings as text, GitHub annotations and SARIF. JSON is the report itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Finding, Level, Report, RuleId};

/// Writes findings as `file:line:column: level[rule]: message`, with help below and a summary at the end.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let Finding { file, line, column, rule, message, help, .. } = finding;
        let level = level(finding.level);
        put(&mut text, format_args!("{file}:{line}:{column}: {level}[{rule}]: {message}\n  help: {help}\n"));
    }
    let count = |level| report.findings.iter().filter(|finding| finding.level == level).count();
    let Report { from, to, files, policies, expressions, .. } = report;
    put(
        &mut text,
        format_args!(
            "{from} to {to}: {}, {}, {} checked: {}, {}, {}\n",
            plural(*files, "file"),
            plural(*policies, "policy"),
            plural(*expressions, "expression"),
            plural(count(Level::Error), "error"),
            plural(count(Level::Warning), "warning"),
            plural(count(Level::Note), "note"),
        ),
    );
    text
}

/// Writes findings as workflow commands, which GitHub shows at the lines.
pub fn github(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let command = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let file = escape(&finding.file).replace(':', "%3A").replace(',', "%2C");
        let message = escape(&format!("{}\nhelp: {}", finding.message, finding.help));
        let Finding { line, column, rule, .. } = finding;
        put(
            &mut text,
            format_args!("::{command} file={file},line={line},col={column},title={rule}::{message}\n"),
        );
    }
    text
}

/// Writes findings as a SARIF 2.1.0 log.
pub fn sarif(report: &Report, version: &str) -> Value {
    let used: BTreeSet<RuleId> = report.findings.iter().map(|finding| finding.rule).collect();
    let rule = |rule: &RuleId| {
        json!({
            "id": rule.name(),
            "shortDescription": { "text": rule.summary() },
            "help": { "text": rule.page(), "markdown": rule.page() },
        })
    };
    let result = |finding: &Finding| {
        json!({
            "ruleId": finding.rule.name(),
            "level": level(finding.level),
            "message": { "text": format!("{}. {}", finding.message, finding.help) },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": finding.file },
                "region": { "startLine": finding.line, "startColumn": finding.column },
            }}],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "seatrial",
                "version": version,
                "rules": used.iter().map(rule).collect::<Vec<_>>(),
            }},
            "results": report.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

fn plural(count: usize, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Appends to a string, which cannot fail.
fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap_or_default();
}
