//! The matrix as text, as JSON, and for GitHub Actions.

use std::num::NonZeroUsize;

use engine::command_line::quoted;
use report::matrix::{self, LeftOut, Trial};
use report::units::plural;
use serde_json::json;

use super::shard::Shard;

/// Minutes for a job before its first run with an empty cache: everything is compiled.
const SETUP_MINUTES: u64 = 30;

/// All trials, or one shard of them.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) subject: &'static str,
    pub(super) of: NonZeroUsize,
    pub(super) only: Option<Shard>,
    pub(super) trials: Vec<Trial>,
    pub(super) left_out: Vec<LeftOut>,
}

impl Matrix {
    pub(super) fn table(&self) -> String {
        let width = self.trials.iter().map(|trial| trial.name.len()).max().unwrap_or_default().max(5);
        let mut lines = vec![format!("{:width$}  shard  seconds  transitions", "trial")];
        lines.extend(self.trials.iter().map(|trial| {
            let transitions = match &trial.transitions[..] {
                [] => "refused before anything exists".to_owned(),
                all => all.join(", "),
            };
            format!("{:width$}  {:>5}  {:>7}  {transitions}", trial.name, trial.shard, trial.seconds)
        }));
        let part = self.only.map_or(String::new(), |shard| format!(" in shard {shard}"));
        lines.push(format!(
            "\n{}{part}, about {}",
            plural(self.trials.len(), "trial"),
            minutes(self.trials.iter().map(|trial| trial.seconds).sum())
        ));
        if self.only.is_none() && self.of.get() > 1 {
            lines.extend(self.shards().map(|(shard, trials)| {
                let seconds = trials.iter().map(|trial| trial.seconds).sum();
                format!("shard {shard}: {}, about {}", plural(trials.len(), "trial"), minutes(seconds))
            }));
        }
        if !self.left_out.is_empty() {
            lines.push(format!("left out, since {} does not play these versions:", self.subject));
            lines.extend(self.left_out.iter().map(|left| format!("  {}", left.name)));
        }
        lines.join("\n") + "\n"
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        let matrix = matrix::Matrix {
            schema: matrix::SCHEMA.to_owned(),
            subject: self.subject.to_owned(),
            shards: self.of.get(),
            shard: self.only.map(|shard| shard.number),
            trials: self.trials.clone(),
            left_out: self.left_out.clone(),
        };
        // A value has its fields in order of name.
        Ok(serde_json::to_string_pretty(&serde_json::to_value(matrix)?)? + "\n")
    }

    /// On one line, since a job's output is one.
    pub(super) fn github(&self) -> serde_json::Result<String> {
        let jobs = self.shards().filter(|(_, trials)| !trials.is_empty()).map(|(shard, trials)| {
            let seconds: u64 = trials.iter().map(|trial| trial.seconds).sum();
            json!({
                "shard": shard.to_string(),
                "trials": trials.len(),
                "seconds": seconds,
                // Twice the expected time: a slow machine is no failure.
                "timeout": SETUP_MINUTES + (2 * seconds).div_ceil(60),
            })
        });
        let matrix = json!({"include": jobs.collect::<Vec<_>>()});
        Ok(serde_json::to_string(&matrix)? + "\n")
    }

    pub(super) fn commands(&self) -> String {
        self.trials.iter().map(|trial| quoted(&trial.command) + "\n").collect()
    }

    fn shards(&self) -> impl Iterator<Item = (Shard, Vec<&Trial>)> {
        let numbers = (1..=self.of.get()).filter(|n| self.only.is_none_or(|only| only.number == *n));
        numbers.map(|number| {
            let trials = self.trials.iter().filter(|trial| trial.shard == number).collect();
            (Shard { number, of: self.of }, trials)
        })
    }
}

fn minutes(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn trial(name: &str, transitions: &[&str], seconds: u64, shard: usize) -> Trial {
        let (scenario, arm) = name.split_once('/').unzip();
        let words = format!("seatrial scenario run {}", name.replace('/', " --arm "));
        Trial {
            name: name.to_owned(),
            scenario: scenario.map(str::to_owned),
            arm: arm.map(str::to_owned),
            transitions: transitions.iter().map(|&hop| hop.to_owned()).collect(),
            seconds,
            shard,
            command: words.split(' ').map(str::to_owned).collect(),
        }
    }

    fn matrix() -> Matrix {
        let hop = "upgrade 1.5.13 -> 1.6.12";
        Matrix {
            subject: "standin",
            of: NonZeroUsize::new(2).unwrap(),
            only: None,
            trials: vec![
                trial("kvstore-keys/followed", &[hop, "rollback 1.6.12 -> 1.5.13"], 50, 1),
                trial("kvstore-keys/skipped", &[hop], 40, 2),
                trial("unlisted-path/followed", &[], 0, 2),
            ],
            left_out: ["1.6.12 1.7.16", "1.7.16 1.8.13"]
                .map(|hop| LeftOut { name: format!("run {hop}"), reason: "it plays 1.0 to 1.6".to_owned() })
                .into(),
        }
    }

    fn first_shard() -> Matrix {
        let mut matrix = matrix();
        matrix.only = Some("1/2".parse().unwrap());
        matrix.trials.truncate(1);
        matrix.left_out.clear();
        matrix
    }

    #[test]
    fn tables() {
        assert_snapshot!(matrix().table(), @"
        trial                   shard  seconds  transitions
        kvstore-keys/followed       1       50  upgrade 1.5.13 -> 1.6.12, rollback 1.6.12 -> 1.5.13
        kvstore-keys/skipped        2       40  upgrade 1.5.13 -> 1.6.12
        unlisted-path/followed      2        0  refused before anything exists

        3 trials, about 1 min 30 s
        shard 1/2: 1 trial, about 50 s
        shard 2/2: 2 trials, about 40 s
        left out, since standin does not play these versions:
          run 1.6.12 1.7.16
          run 1.7.16 1.8.13
        ");
        assert_snapshot!(first_shard().table(), @"
        trial                  shard  seconds  transitions
        kvstore-keys/followed      1       50  upgrade 1.5.13 -> 1.6.12, rollback 1.6.12 -> 1.5.13

        1 trial in shard 1/2, about 50 s
        ");
    }

    #[test]
    fn json_names_its_schema() {
        let json: serde_json::Value = serde_json::from_str(&matrix().json().unwrap()).unwrap();
        assert_eq!(json["schema"], "seatrial/matrix/v1");
        assert_eq!((&json["shards"], &json["shard"]), (&2.into(), &serde_json::Value::Null));
        assert_eq!(json["left_out"][0]["reason"], "it plays 1.0 to 1.6");
        assert_eq!(json["trials"][2]["transitions"], serde_json::json!([]));
        assert_snapshot!(serde_json::to_string_pretty(&json["trials"][0]).unwrap(), @r#"
        {
          "arm": "followed",
          "command": [
            "seatrial",
            "scenario",
            "run",
            "kvstore-keys",
            "--arm",
            "followed"
          ],
          "name": "kvstore-keys/followed",
          "scenario": "kvstore-keys",
          "seconds": 50,
          "shard": 1,
          "transitions": [
            "upgrade 1.5.13 -> 1.6.12",
            "rollback 1.6.12 -> 1.5.13"
          ]
        }
        "#);
    }

    #[test]
    fn a_job_for_github_is_a_shard() {
        assert_snapshot!(matrix().github().unwrap() + &first_shard().github().unwrap(), @r#"
        {"include":[{"seconds":50,"shard":"1/2","timeout":32,"trials":1},{"seconds":40,"shard":"2/2","timeout":32,"trials":2}]}
        {"include":[{"seconds":50,"shard":"1/2","timeout":32,"trials":1}]}
        "#);
    }

    #[test]
    fn a_shard_with_nothing_to_do_is_no_job() {
        let mut matrix = matrix();
        matrix.of = NonZeroUsize::new(9).unwrap();
        assert_eq!(matrix.github().unwrap().matches("\"shard\"").count(), 2);
    }

    #[test]
    fn commands_are_lines() {
        assert_snapshot!(matrix().commands(), @"
        seatrial scenario run kvstore-keys --arm followed
        seatrial scenario run kvstore-keys --arm skipped
        seatrial scenario run unlisted-path --arm followed
        ");
    }
}
