//! The command line that was given, from what clap matched.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use engine::command_line::{CommandLine, GivenOption};

/// Options that count when they come from the environment, with the option that they belong to.
const FROM_ENVIRONMENT: [(&str, &str, &str); 2] =
    [("kind-image", "provider", "kind"), ("kubeconfig", "provider", "existing")];

/// Renders the command line of the innermost subcommand.
pub(crate) fn command_line(command: &Command, matches: &ArgMatches) -> CommandLine {
    let mut words = vec![command.get_name().to_owned()];
    let (mut command, mut matches) = (command, matches);
    while let Some((name, inner)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        words.push(name.to_owned());
        (command, matches) = (found, inner);
    }
    let mut line = CommandLine { command: words, ..CommandLine::default() };
    for arg in command.get_arguments().filter(|arg| is_given(arg, command, matches)) {
        let occurrences = occurrences(arg, matches);
        match arg.get_long() {
            None if arg.is_positional() => line.positionals.extend(occurrences.into_iter().flatten()),
            None => {}
            Some(name) => {
                let words = occurrences.into_iter().flat_map(|values| option(name, values)).collect();
                line.options.push(GivenOption { name: name.to_owned(), words });
            }
        }
    }
    line
}

fn is_given(arg: &Arg, command: &Command, matches: &ArgMatches) -> bool {
    match matches.value_source(arg.get_id().as_str()) {
        Some(ValueSource::CommandLine) => true,
        Some(ValueSource::EnvVariable) => counts(arg, command, matches),
        _ => false,
    }
}

/// Whether a value from the environment makes a difference to this command.
fn counts(arg: &Arg, command: &Command, matches: &ArgMatches) -> bool {
    FROM_ENVIRONMENT.iter().filter(|(name, ..)| arg.get_long() == Some(name)).any(|(_, other, value)| {
        let other = command.get_arguments().find(|arg| arg.get_long() == Some(other));
        // Without the other option, the command has no other purpose.
        other.is_none_or(|other| raw(other.get_id().as_str(), matches).concat().iter().any(|it| it == value))
    })
}

/// The values of each time that an argument was given.
fn occurrences(arg: &Arg, matches: &ArgMatches) -> Vec<Vec<String>> {
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => vec![Vec::new()],
        ArgAction::Count => vec![Vec::new(); matches.get_count(arg.get_id().as_str()).into()],
        _ => raw(arg.get_id().as_str(), matches),
    }
}

fn raw(id: &str, matches: &ArgMatches) -> Vec<Vec<String>> {
    let Ok(Some(occurrences)) = matches.try_get_raw_occurrences(id) else { return Vec::new() };
    occurrences.map(|values| values.map(|value| value.to_string_lossy().into_owned()).collect()).collect()
}

/// The words of an option; a value that looks like an option itself is joined to it.
fn option(name: &str, values: Vec<String>) -> Vec<String> {
    match &values[..] {
        [value] if value.is_empty() || value.starts_with('-') => vec![format!("--{name}={value}")],
        _ => [format!("--{name}")].into_iter().chain(values).collect(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};
    use rstest::rstest;

    use super::*;
    use crate::cli::Cli;

    /// Words that options may need beside them; the first that fit are taken.
    const CONTEXTS: [&[&str]; 5] = [
        &[],
        &["noop"],
        &["--charts", "/charts of mine"],
        &["--subject-file", "subject.yaml"],
        &["noop", "--charts", "/charts of mine"],
    ];

    fn parsed(words: &[String]) -> Result<(String, CommandLine), clap::Error> {
        let command = Cli::command();
        let matches = command.clone().try_get_matches_from(words)?;
        let line = command_line(&command, &matches);
        Ok((format!("{:?}", Cli::from_arg_matches(&matches)?), line))
    }

    /// An option with a value that a shell could take apart, where it takes any.
    fn example(arg: &Arg) -> Vec<String> {
        let name = arg.get_long().unwrap_or_default();
        if !arg.get_action().takes_values() {
            return vec![format!("--{name}")];
        }
        let possible = arg.get_possible_values();
        let value = match (name, possible.last()) {
            (_, Some(value)) => value.get_name(),
            ("nodes", _) => "3",
            ("for" | "api-port", _) => "4711",
            ("registry-mirror", _) => "docker.io=http://mirror:5000",
            ("dns", _) => "dns/my-dns",
            ("set", _) => "a=it's; $b",
            ("config" | "out", _) => "-a folder/file",
            _ => "it's; $b",
        };
        vec![format!("--{name}={value}")]
    }

    #[rstest]
    #[case::run(&["seatrial", "run", "1.5", "1.6"])]
    #[case::watch(&["seatrial", "watch"])]
    #[case::scenario(&["seatrial", "scenario", "run"])]
    #[case::cluster(&["seatrial", "cluster", "up"])]
    fn every_option_is_rendered_and_means_the_same(#[case] words: &[&str]) {
        let cli = Cli::command();
        let command =
            words[1..].iter().fold(&cli, |command, word| command.find_subcommand(word).unwrap_or(command));
        let options = command.get_arguments().filter(|arg| arg.get_long().is_some());
        let mut tried = 0;
        for arg in options.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())) {
            let with = |context: &&[&str]| -> Vec<String> {
                let given = words.iter().chain(*context).map(|&word| word.to_owned());
                given.chain(example(arg)).collect()
            };
            let errors: Vec<_> = CONTEXTS.iter().filter_map(|context| parsed(&with(context)).err()).collect();
            let found = CONTEXTS.iter().find_map(|context| parsed(&with(context)).ok());
            let (values, line) = found.unwrap_or_else(|| panic!("{}: {errors:?}", arg.get_id()));
            let shown = shlex::split(&engine::command_line::quoted(&line.words())).unwrap();
            let (again, rendered) = parsed(&shown).unwrap();
            assert_eq!((values, &line), (again, &rendered), "{shown:?}");
            let name = format!("--{}", arg.get_long().unwrap_or_default());
            assert!(shown.iter().any(|word| word.split('=').next() == Some(&name)), "{name}: {shown:?}");
            tried += 1;
        }
        assert!(tried > 3, "{tried} options");
    }
}
