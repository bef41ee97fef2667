//! A comparison as lines of text.

use super::{Change, Comparison, Consequence, Difference, Field, Setting};

/// The fields of an object that are shown; JSON has all of them.
const FIELDS: usize = 12;

/// Writes a line for each object that matters, and with `detail` all of them with their fields.
pub fn lines(comparison: &Comparison, detail: bool) -> String {
    let mut lines = Vec::new();
    let matters = |object: &&Difference| detail || object.consequence != Consequence::None;
    for object in comparison.objects.iter().filter(matters) {
        lines.push(of_object(object));
        if detail {
            lines.extend(object.fields.iter().take(FIELDS).map(of_field));
            if object.fields.len() > FIELDS {
                lines.push(format!(
                    "  and {} more fields; --output json has all",
                    object.fields.len() - FIELDS
                ));
            }
        }
    }
    let others = comparison.objects.iter().filter(|object| !matters(object)).count();
    if others > 0 {
        lines.push(format!(
            "{others} more objects differ, and no pod restarts because of them; --explain lists them"
        ));
    }
    let settings = comparison.settings.iter().filter(|setting| detail || setting.attention);
    lines.extend(settings.map(of_setting));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn of_object(object: &Difference) -> String {
    let Difference { kind, name, change, why, .. } = object;
    let namespace = object.namespace.as_ref().map(|it| format!("{it}/")).unwrap_or_default();
    let change = match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    };
    format!("{change}: {kind} {namespace}{name}: {why}")
}

fn of_setting(setting: &Setting) -> String {
    let Setting { key, kept, after, why, .. } = setting;
    let value = |value: &Option<String>| value.as_ref().map_or("unset".to_owned(), |it| format!("{it:?}"));
    let label = if setting.attention { "behaviour changes" } else { "setting" };
    let (kept, after) = (value(kept), value(after));
    format!("{label}: {key}: {kept} keeps the behaviour, and the chart sets {after}: {why}")
}

fn of_field(field: &Field) -> String {
    let short = |value: &Option<String>| match value {
        None => "absent".to_owned(),
        Some(text) if text.chars().count() > 60 => format!("{}…", text.chars().take(59).collect::<String>()),
        Some(text) => text.clone(),
    };
    format!("  {}: {} → {}", field.path, short(&field.before), short(&field.after))
}
