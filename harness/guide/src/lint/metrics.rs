//! Deprecated and removed metrics in Prometheus rules and Grafana dashboards.

use std::sync::LazyLock;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Change, Finding, Level, RuleId};
use crate::data::{self, Confidence};
use crate::yaml::{self, Node, Value};
use model::Minor;

/// The prefix of every metric of the agent.
pub const METRICS_PREFIX: &str = "cilium_";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metric {
    metric: String,
    deprecated: Option<Minor>,
    removed: Option<Minor>,
    instead: Option<String>,
    #[expect(dead_code, reason = "part of every entry; checked by parsing")]
    source: String,
    #[expect(dead_code, reason = "part of every entry; checked by parsing")]
    confidence: Confidence,
}

static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| data::embedded!("metrics"));

/// Checks the expressions of a document and returns their number.
pub(super) fn check(file: &str, document: &Node, change: &Change, findings: &mut Vec<Finding>) -> usize {
    let mut expressions = Vec::new();
    collect(document, &mut expressions);
    for (node, expression) in &expressions {
        for name in deprecated_in(expression, change) {
            findings.push(finding(file, node, name, change));
        }
    }
    let embedded = document.get("data").map_or(&[][..], Node::entries).iter();
    let dashboards = embedded.filter(|entry| entry.key.ends_with(".json"));
    let inner: usize = dashboards.map(|entry| embedded_dashboard(file, &entry.value, change, findings)).sum();
    expressions.len() + inner
}

/// Checks a dashboard inside a ConfigMap; findings get the position of its entry.
fn embedded_dashboard(file: &str, holder: &Node, change: &Change, findings: &mut Vec<Finding>) -> usize {
    let Some(Ok(documents)) = holder.text().map(yaml::documents) else { return 0 };
    let mut inner = Vec::new();
    let count = documents.iter().map(|document| check(file, document, change, &mut inner)).sum();
    findings.extend(inner.into_iter().map(|finding| Finding {
        line: holder.position.line,
        column: holder.position.column,
        ..finding
    }));
    count
}

/// Collects `expr` of rules and targets and the queries of dashboard variables, at any depth.
fn collect<'a>(node: &'a Node, expressions: &mut Vec<(&'a Node, &'a str)>) {
    match &node.value {
        Value::Scalar { .. } => {}
        Value::Sequence(items) => items.iter().for_each(|item| collect(item, expressions)),
        Value::Mapping { entries, .. } => {
            for entry in entries {
                match (entry.key.as_str(), entry.value.text()) {
                    ("expr" | "query", Some(text)) => expressions.push((&entry.value, text)),
                    _ => collect(&entry.value, expressions),
                }
            }
        }
    }
}

fn finding(file: &str, node: &Node, metric: &Metric, change: &Change) -> Finding {
    Finding {
        rule: RuleId::DeprecatedMetrics,
        level: Level::Warning,
        file: file.to_owned(),
        line: node.position.line,
        column: node.position.column,
        message: metric.message(change),
        help: match &metric.instead {
            Some(instead) => format!("write {METRICS_PREFIX}{instead}"),
            None => "remove it: no metric replaces it".to_owned(),
        },
    }
}

impl Metric {
    /// Returns the first minor that deprecates or removes it.
    fn since(&self) -> Option<Minor> {
        self.deprecated.into_iter().chain(self.removed).min()
    }

    fn message(&self, change: &Change) -> String {
        let to = change.to.minor();
        match (self.removed.filter(|removed| *removed <= to), self.deprecated) {
            (Some(removed), _) => {
                format!(
                    "the expression reads {}, which {removed} removed: on {} it returns no data",
                    self.metric, change.to
                )
            }
            (None, Some(deprecated)) => format!(
                "the expression reads {}, which {deprecated} deprecates: a later version returns no data",
                self.metric
            ),
            (None, None) => format!("the expression reads {}", self.metric),
        }
    }
}

fn deprecated_in(expression: &str, change: &Change) -> Vec<&'static Metric> {
    let named = |metric: &&Metric| expression.contains(&metric.metric) || expression.contains("__name__");
    let candidates: Vec<_> = METRICS
        .iter()
        .filter(|metric| metric.since().is_some_and(|since| since <= change.to.minor()))
        .filter(named)
        .collect();
    if candidates.is_empty() {
        return candidates;
    }
    let candidates = candidates.into_iter();
    match parser::parse(&without_variables(expression)) {
        Ok(parsed) => {
            let mut selectors = Selectors::default();
            match walk_expr(&mut selectors, &parsed) {
                Ok(_) => candidates.filter(|metric| selectors.select(&metric.metric)).collect(),
                Err(never) => match never {},
            }
        }
        // Not PromQL, for example a macro of a dashboard: compare words only.
        Err(_) => candidates.filter(|metric| has_word(expression, &metric.metric)).collect(),
    }
}

/// The metric names and the matchers on names that an expression selects.
#[derive(Default)]
struct Selectors {
    names: Vec<String>,
    matchers: Vec<Matcher>,
}

impl Selectors {
    fn select(&self, metric: &str) -> bool {
        let full = format!("{METRICS_PREFIX}{metric}");
        [metric, &full].iter().any(|name| {
            let named = self.names.iter().any(|selected| selected == name);
            named || self.matchers.iter().any(|matcher| matches(matcher, name))
        })
    }
}

fn matches(matcher: &Matcher, name: &str) -> bool {
    match &matcher.op {
        MatchOp::Equal => matcher.value == name,
        MatchOp::Re(pattern) => pattern.is_match(name),
        MatchOp::NotEqual | MatchOp::NotRe(_) => false,
    }
}

impl ExprVisitor for Selectors {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        let selector = match expr {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(matrix) => &matrix.vs,
            _ => return Ok(true),
        };
        self.names.extend(selector.name.clone());
        let alternatives = selector.matchers.or_matchers.iter().flatten();
        let all = selector.matchers.matchers.iter().chain(alternatives);
        self.matchers.extend(all.filter(|matcher| matcher.name == "__name__").cloned());
        Ok(true)
    }
}

/// Replaces dashboard variables by valid PromQL: a duration in brackets, a number elsewhere.
fn without_variables(expression: &str) -> String {
    let mut plain = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(at) = rest.find('$') {
        let (before, variable) = rest.split_at(at);
        plain.push_str(before);
        let length = match variable.strip_prefix("${") {
            Some(inner) => inner.find('}').map_or(variable.len(), |end| end + 3),
            None => {
                1 + variable[1..]
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(variable.len() - 1)
            }
        };
        let in_brackets = plain.trim_end().ends_with(['[', ':']);
        plain.push_str(if in_brackets { "5m" } else { "1" });
        rest = &variable[length..];
    }
    plain.push_str(rest);
    plain
}

fn has_word(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let full = format!("{METRICS_PREFIX}{word}");
    text.split(|c| !is_name(c)).any(|name| name == word || name == full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn change() -> Change {
        Change { from: "1.5.13".parse().unwrap(), to: "1.6.4".parse().unwrap(), kernel: None }
    }

    #[rstest]
    #[case::rate("rate(cilium_policy_l7_denied_total[5m]) > 0", &["policy_l7_denied_total"])]
    #[case::without_prefix("sum by (pod) (policy_l7_parse_errors_total)", &["policy_l7_parse_errors_total"])]
    #[case::name_matcher("{__name__=\"cilium_policy_l7_received_total\"}", &["policy_l7_received_total"])]
    #[case::name_pattern("{__name__=~\"cilium_policy_l7_(denied|received)_total\"}", &["policy_l7_denied_total", "policy_l7_received_total"])]
    #[case::variables("rate(cilium_policy_l7_denied_total{pod=~\"$pod\"}[$__rate_interval])", &["policy_l7_denied_total"])]
    #[case::braced("increase(cilium_policy_l7_denied_total[${range:raw}])", &["policy_l7_denied_total"])]
    #[case::macro_call("label_values(cilium_policy_l7_denied_total, pod)", &["policy_l7_denied_total"])]
    #[case::successor("cilium_policy_l7_total{rule=\"denied\"}", &[])]
    #[case::label_value("up{job=\"policy_l7_denied_total\"}", &[])]
    #[case::longer_name("my_policy_l7_denied_total_sum", &[])]
    #[case::shorter_name("cilium_policy_l7_total", &[])]
    #[case::other("up", &[])]
    fn finds_names(#[case] expression: &str, #[case] names: &[&str]) {
        let found: Vec<_> = deprecated_in(expression, &change()).iter().map(|m| m.metric.as_str()).collect();
        assert_eq!(found, names);
    }

    #[rstest]
    #[case::removed("identity_count", "1.10.20", true)]
    #[case::still_there("node_connectivity_status", "1.16.19", false)]
    #[case::removed_later("cilium_agent_bootstrap_seconds", "1.20.0", true)]
    fn knows_metrics_that_are_removed(#[case] expression: &str, #[case] to: &str, #[case] found: bool) {
        let change = Change { from: "1.9.18".parse().unwrap(), to: to.parse().unwrap(), kernel: None };
        assert_eq!(!deprecated_in(expression, &change).is_empty(), found);
    }

    #[test]
    fn is_silent_before_the_deprecation() {
        let change = Change { to: "1.5.13".parse().unwrap(), from: "1.4.10".parse().unwrap(), kernel: None };
        assert!(deprecated_in("policy_l7_denied_total", &change).is_empty());
    }
}
