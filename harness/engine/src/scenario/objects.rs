//! Facts about the subject's objects at the points of a run, read from the run folder.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A fact about one object at one point: exactly one of the last six fields.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ObjectFact {
    /// Name of its file in the run folder, such as `daemonset-cilium`.
    pub object: String,
    /// The point: `installed`, `upgraded-1.6.12`, `rolled-back-1.5.13`, …
    pub at: String,
    /// JSON pointer to a part, such as `/data/kvstore`. Default: the whole object.
    #[serde(default)]
    pub part: String,
    /// It equals its state at this point.
    pub same_as: Option<String>,
    /// It differs from its state at this point.
    pub differs_from: Option<String>,
    /// It equals this text.
    pub is: Option<String>,
    /// It ends with this text.
    pub ends_with: Option<String>,
    /// It contains this text.
    pub says: Option<String>,
    /// It does not exist.
    #[serde(default)]
    pub absent: bool,
}

impl ObjectFact {
    /// Returns what is not as expected.
    pub(super) fn judge(&self, folder: &Path) -> Option<String> {
        self.holds(folder).err().map(|why| format!("{}{} at {}: {why}", self.object, self.part, self.at))
    }

    fn holds(&self, folder: &Path) -> Result<(), String> {
        let now = self.read(folder, &self.at)?;
        let text = || now.as_ref().and_then(Value::as_str).unwrap_or_default();
        let shown = || now.as_ref().map_or("nothing".to_owned(), |value| format!("`{value}`"));
        let texts = (&self.is, &self.ends_with, &self.says);
        let (holds, wrong) = match (&self.same_as, &self.differs_from, texts, self.absent) {
            (Some(then), None, (None, None, None), false) => {
                (self.read(folder, then)? == now, format!("it is not what it was at {then}"))
            }
            (None, Some(then), (None, None, None), false) => {
                (self.read(folder, then)? != now, format!("it is still what it was at {then}"))
            }
            (None, None, (Some(is), None, None), false) => {
                (text() == is, format!("it is {}, not `{is}`", shown()))
            }
            (None, None, (None, None, Some(words)), false) => {
                (text().contains(words.as_str()), format!("`{words}` is not in it"))
            }
            (None, None, (None, Some(end), None), false) => (
                text().ends_with(end.as_str()),
                format!("it is {}, which does not end with `{end}`", shown()),
            ),
            (None, None, (None, None, None), true) => (now.is_none(), format!("it is {}", shown())),
            _ => (false, "write one of same-as, differs-from, is, ends-with, says and absent".to_owned()),
        };
        if holds { Ok(()) } else { Err(wrong) }
    }

    fn read(&self, folder: &Path, point: &str) -> Result<Option<Value>, String> {
        let folder = folder.join(point);
        if !folder.is_dir() {
            return Err(format!("the run has no point {point}"));
        }
        let path = folder.join(format!("{}.yaml", self.object));
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| format!("{}: {e}", path.display()))?,
        };
        let object: Value = serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(object.pointer(&self.part).cloned())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn judge(fact: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for (point, text) in
            [("installed", "data: {a: one, b: two}"), ("upgraded", "data: {a: one, b: three}")]
        {
            std::fs::create_dir(folder.path().join(point)).unwrap();
            std::fs::write(folder.path().join(point).join("configmap-x.yaml"), text).unwrap();
        }
        let fact: ObjectFact =
            serde_saphyr::from_str(&format!("{{object: configmap-x, at: upgraded, {fact}}}")).unwrap();
        fact.judge(folder.path())
    }

    #[rstest]
    #[case::same("part: /data/a, same-as: installed")]
    #[case::differs("part: /data/b, differs-from: installed")]
    #[case::whole_differs("differs-from: installed")]
    #[case::is("part: /data/b, is: three")]
    #[case::ends_with("part: /data/b, ends-with: ree")]
    #[case::says("part: /data/b, says: hre")]
    #[case::absent("part: /data/c, absent: true")]
    fn facts_hold(#[case] fact: &str) {
        assert_eq!(judge(fact), None);
    }

    #[test]
    fn an_object_that_is_not_there_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("installed")).unwrap();
        let fact: ObjectFact = serde_saphyr::from_str("{object: x, at: installed, absent: true}").unwrap();
        assert_eq!(fact.judge(folder.path()), None);
    }

    #[rstest]
    #[case::same("part: /data/b, same-as: installed", "not what it was at installed")]
    #[case::differs("part: /data/a, differs-from: installed", "still what it was")]
    #[case::is("part: /data/b, is: two", "it is `\"three\"`, not `two`")]
    #[case::ends_with("part: /data/b, ends-with: x", "does not end with")]
    #[case::says("part: /data/b, says: x", "is not in it")]
    #[case::says_nothing("part: /data/c, says: x", "is not in it")]
    #[case::absent("part: /data/a, absent: true", "it is `\"one\"`")]
    #[case::missing_is_no_text("part: /data/c, is: x", "it is nothing")]
    #[case::other_point("same-as: before", "no point before")]
    #[case::two_at_once("is: x, absent: true", "write one of")]
    #[case::none_at_all("part: /data/a", "write one of")]
    fn facts_that_do_not_hold_say_why(#[case] fact: &str, #[case] said: &str) {
        let wrong = judge(fact).unwrap();
        assert!(wrong.starts_with("configmap-x") && wrong.contains(said), "{wrong}");
    }
}
