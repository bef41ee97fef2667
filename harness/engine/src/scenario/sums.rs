//! Sums of numbers in the output of steps, for each node.

use report::run::Run;
use schemars::JsonSchema;
use serde::Deserialize;

/// Bounds on the sum of some metrics, on every node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Sum {
    /// Beginning of the name of the steps that read them; each must be within the bounds.
    pub step: String,
    /// Beginning of the lines of the metrics.
    pub lines: String,
    /// Minimum of the sum.
    #[serde(default)]
    pub at_least: f64,
    /// Maximum of the sum.
    pub at_most: Option<f64>,
}

impl Sum {
    /// Returns what is not as expected.
    pub(super) fn judge(&self, run: &Run) -> Vec<String> {
        let steps: Vec<_> =
            run.steps.iter().filter(|taken| taken.name.starts_with(self.step.as_str())).collect();
        if steps.is_empty() {
            return vec![format!("no step is `{}`", self.step)];
        }
        let said = |step: &&report::run::Step| (step.name.clone(), step.detail.clone().unwrap_or_default());
        steps.iter().map(said).flat_map(|(name, detail)| self.step(&name, &detail)).collect()
    }

    fn step(&self, name: &str, detail: &str) -> Vec<String> {
        let mut sums: Vec<(&str, Option<f64>)> = Vec::new();
        for line in detail.lines() {
            match (line.strip_suffix(':'), sums.last_mut()) {
                (Some(node), _) => sums.push((node, None)),
                (None, Some((_, sum))) if line.starts_with(self.lines.as_str()) => {
                    let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
                    *sum = Some(sum.unwrap_or_default() + value.unwrap_or(f64::NAN));
                }
                _ => {}
            }
        }
        if sums.is_empty() {
            return vec![format!("`{name}` names no node")];
        }
        let most = self.at_most.unwrap_or(f64::INFINITY);
        let wrong = |(node, sum): (&str, Option<f64>)| match sum {
            Some(sum) if sum >= self.at_least && sum <= most => None,
            Some(sum) => Some(format!(
                "`{name}`: on {node}, `{}` adds up to {sum}, not to {} to {most}",
                self.lines, self.at_least
            )),
            None => Some(format!("`{name}`: on {node} there is no `{}`", self.lines)),
        };
        sums.into_iter().filter_map(wrong).collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn judge(expected: &str, detail: &str) -> Vec<String> {
        let sum: Sum = serde_saphyr::from_str(expected).unwrap();
        sum.step("scrape 1.6.12", detail)
    }

    const BOUNDS: &str = "{step: scrape, lines: 'entries{protocol=\"TCP\"', at-least: 10, at-most: 20}";

    #[test]
    fn what_adds_up_within_bounds_holds() {
        let detail = "node1:\nentries{protocol=\"TCP\",a=\"b c\"} 4\nentries{protocol=\"TCP\"} 6\nentries{protocol=\"UDP\"} 90\n\
                      node2:\nentries{protocol=\"TCP\"} 20";
        assert_eq!(judge(BOUNDS, detail), Vec::<String>::new());
    }

    #[rstest]
    #[case::too_little(
        "node1:\nentries{protocol=\"TCP\"} 9",
        "on node1, `entries{protocol=\"TCP\"` adds up to 9"
    )]
    #[case::too_much(
        "node1:\nentries{protocol=\"TCP\"} 10\nnode2:\nentries{protocol=\"TCP\"} 21",
        "on node2, `entries{protocol=\"TCP\"` adds up to 21"
    )]
    #[case::no_number("node1:\nentries{protocol=\"TCP\"} many", "adds up to NaN")]
    #[case::not_there("node1:\nentries{protocol=\"UDP\"} 15", "on node1 there is no")]
    #[case::no_node("", "names no node")]
    fn what_does_not_is_said(#[case] detail: &str, #[case] said: &str) {
        let wrong = judge(BOUNDS, detail);
        assert!(wrong.len() == 1 && wrong[0].contains(said), "{wrong:?}");
    }

    #[test]
    fn without_bounds_only_presence_counts() {
        assert!(judge("{step: scrape, lines: a}", "node1:\na 1e9").is_empty());
    }
}
