//! The decisions on a file: hop by hop, and what does not depend on a hop.

use super::draft::{Draft, Note};
use super::path::{Leaf, Path, json, parse};
use super::{Request, defaults, facts, hop, known, rules};
use crate::rebase::Class;
use model::Minor;

/// Decides on every value of a file.
pub(super) fn decide(leaves: &[Leaf<'_>], request: &Request<'_>) -> Draft {
    let mut draft = Draft::new(leaves.iter().map(|leaf| (leaf.path.clone(), json(&leaf.entry.value))));
    let unknown = unknown(&draft, request);
    let mut open = Vec::new();
    for hop in hop::path(request) {
        open.extend(defaults::guarded(&draft, &hop));
        rules::apply(&mut draft, &hop);
    }
    defaults::ask(&mut draft, request, &open);
    report_images(&mut draft, request);
    report_dangers(&mut draft);
    report_unknown(&mut draft, &unknown, request.from.minor());
    draft
}

/// Returns the paths that neither chart reads.
fn unknown(draft: &Draft, request: &Request<'_>) -> Vec<Path> {
    let (old, new) = (request.charts.map(|(old, _)| old), request.charts.map(|(_, new)| new));
    let read = |path: &Path| {
        let empty = draft.get(path).is_some_and(|value| value.is_null() || value.as_object().is_some());
        known::reads(path, request.from.minor(), empty, known::Chart(old))
            || known::reads(path, request.to.minor(), empty, known::Chart(new))
    };
    draft.paths().into_iter().filter(|path| !read(path)).collect()
}

fn report_unknown(draft: &mut Draft, unknown: &[Path], minor: Minor) {
    for path in unknown {
        if draft.get(path).is_none() {
            continue;
        }
        let why = match known::resembling(path, minor) {
            Some(known) => format!("the chart ignores it, now as before; {known} has a similar name"),
            None if known::is_of_cilium(path) => {
                "the chart of this minor ignores it, and another minor reads it".to_owned()
            }
            None => "the chart ignores it, now as before".to_owned(),
        };
        draft.report(path, Note::new(Class::Unknown, why));
    }
}

/// Reports images that stay those of the old version.
fn report_images(draft: &mut Draft, request: &Request<'_>) {
    for name in facts::all().images.iter().flat_map(|images| &images.paths) {
        let path = parse(name);
        let Some(value) = draft.word(&path).filter(|word| !matches!(word.as_str(), "" | "null")) else {
            continue;
        };
        let to = request.to.to_string();
        // A tag of the target version is what the chart takes.
        if value.trim_start_matches('v') == to || (request.from == request.to) {
            continue;
        }
        let why = format!(
            "the file keeps this image, {value}, although the chart of {to} needs its own: remove it, or name the image of {to}"
        );
        draft.report(&path, Note::new(Class::Conflict, why));
    }
}

fn report_dangers(draft: &mut Draft) {
    for danger in &facts::all().danger {
        let path = parse(&danger.path);
        if draft.word(&path).as_ref() == Some(&danger.word) {
            draft.report(&path, Note::new(Class::Conflict, danger.why.clone()).from(&danger.source));
        }
    }
}
