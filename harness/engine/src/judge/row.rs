//! A line of the budget table.

use probe::budget::Judgement;
use report::run::Budget;

/// One line of the budget table: the flows of a layer together.
#[derive(Default)]
pub(super) struct Row {
    words: String,
    rule: String,
    worst: Option<(u64, String)>,
    flows: usize,
    broken: usize,
    judged: bool,
    doubtful: bool,
}

impl Row {
    pub(super) fn add(&mut self, flow: &str, judged: &Judgement, longest_ns: Option<u64>) {
        self.words.clone_from(&judged.impact);
        self.rule.clone_from(&judged.rule);
        self.flows += 1;
        self.broken += usize::from(judged.kept == Some(false));
        self.judged |= judged.kept.is_some();
        self.doubtful |= judged.noisy;
        if let Some(longest_ns) = longest_ns
            && self.worst.as_ref().is_none_or(|(worst, _)| *worst < longest_ns)
        {
            self.worst = Some((longest_ns, format!("{flow}: {}", judged.measured)));
        }
    }

    pub(super) fn budget(self, name: String) -> Budget {
        let measured = match self.worst {
            None => format!("{} flows, nothing lost", self.flows),
            Some((_, worst)) => format!("{} flows, worst {worst}", self.flows),
        };
        // A row is kept only when each of its flows could be told to be inside.
        let told = self.judged && (self.broken > 0 || !self.doubtful);
        let kept = told.then_some(self.broken == 0);
        Budget { name, words: self.words, rule: self.rule, measured, kept }
    }
}
