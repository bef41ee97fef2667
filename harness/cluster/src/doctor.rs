//! Checks of this machine: what is there, what is missing, and how to install it.

use crate::components::{Component, Components};
use crate::images::host_program;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// The result.
    pub state: State,
    /// What was found, or what to do.
    pub detail: String,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is present.
    Fine,
    /// It is missing; something is slower or left out.
    Note,
    /// It is missing, and the provider does not work without it.
    Missing,
}

/// A check with its result.
pub(crate) fn check(what: &str, state: State, detail: impl Into<String>) -> Check {
    Check { what: what.to_owned(), state, detail: detail.into() }
}

/// Checks that a program is installed; `package` is its Debian package.
pub(crate) fn program(name: &str, package: &str) -> Check {
    match host_program(name, package) {
        Ok(path) => check(name, State::Fine, path.display().to_string()),
        Err(_) => check(name, State::Missing, format!("apt-get install {package}")),
    }
}

/// Checks that a component can be found or built.
pub(crate) async fn component(components: &Components, component: Component) -> Check {
    let name = component.name();
    match components.find(component).await {
        Some(path) => check(name, State::Fine, path.display().to_string()),
        None if which::which("go").is_ok() => {
            check(name, State::Note, "is built with Go on first use (once, takes minutes)")
        }
        None => check(
            name,
            State::Missing,
            "install Go 1.24 or newer to build it, or name a folder that contains it with --components",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_reported_with_the_command_that_installs_it() {
        let found = program("no-such-program", "some-package");
        assert_eq!((found.state, found.detail.as_str()), (State::Missing, "apt-get install some-package"));
    }

    #[tokio::test]
    async fn missing_component_in_a_named_folder_is_not_fine() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::new(Some(folder.path().to_owned()), folder.path().to_owned());
        assert_ne!(component(&components, Component::Etcd).await.state, State::Fine);
    }
}
