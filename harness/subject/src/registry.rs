//! All subjects that have a name on the command line: one line each.

use std::path::Path;

use crate::input::InputError;
use crate::options::SubjectOptions;
use crate::registration::Registration;
use crate::subject::Subject;
use crate::{cilium, file, standin};

/// The subjects.
pub const SUBJECTS: &[Registration] = &[standin::REGISTRATION, cilium::REGISTRATION];

/// The names of all subjects.
#[must_use]
pub fn names() -> Vec<&'static str> {
    SUBJECTS.iter().map(|subject| subject.name).collect()
}

/// The subject with a name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Registration, InputError> {
    let found = SUBJECTS.iter().find(|subject| subject.name == name);
    found.ok_or_else(|| {
        InputError(format!("there is no subject {name}; choose one of {}", names().join(", ")))
    })
}

/// Constructs the subject that the options choose. Without a name, charts are Cilium's; no subject is the default.
///
/// # Errors
/// When the options choose none, or cannot be used.
pub fn choose(options: &SubjectOptions) -> Result<Box<dyn Subject>, InputError> {
    match (&options.subject, &options.file) {
        (Some(name), _) => (find(name)?.open)(options),
        (None, Some(file)) => open_file(file, options),
        (None, None) if options.charts.is_some() => (cilium::REGISTRATION.open)(options),
        (None, None) => Err(InputError(undecided())),
    }
}

fn open_file(file: &Path, options: &SubjectOptions) -> Result<Box<dyn Subject>, InputError> {
    Ok(Box::new(file::FileSubject::open(file, options.archives()?, &names())?))
}

fn undecided() -> String {
    let choices = SUBJECTS.iter().map(|subject| format!("--subject {} ({})", subject.name, subject.summary));
    format!("choose what is upgraded: {}, or --subject-file FILE", choices.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_subject_is_the_default() {
        let error = choose(&SubjectOptions::default()).unwrap_err().to_string();
        assert!(error.contains("--subject standin") && error.contains("--subject cilium"), "{error}");
    }

    #[test]
    fn charts_are_of_cilium() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("1.5.13.yaml"), "").unwrap();
        let charts = Some(folder.path().display().to_string());
        let subject = choose(&SubjectOptions { charts, ..SubjectOptions::default() }).unwrap();
        assert_eq!(subject.option(), "cilium");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find("bird").unwrap_err().to_string();
        assert_eq!(error, "there is no subject bird; choose one of standin, cilium");
    }
}
