//! The command line of a run: the options that were given, as words.

use std::fmt;

use crate::redact::redact;

/// An option that was given, with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenOption {
    /// Its long name, without dashes.
    pub name: String,
    /// The words that give it, as `--nodes 3`.
    pub words: Vec<String>,
}

/// A command, its positional arguments, and the options that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its subcommands.
    pub command: Vec<String>,
    /// The positional arguments.
    pub positionals: Vec<String>,
    /// The options, in the order of the help.
    pub options: Vec<GivenOption>,
}

impl CommandLine {
    /// A command without arguments.
    #[must_use]
    pub fn new(command: &[&str]) -> Self {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        Self { command, ..Self::default() }
    }

    /// The same options with another command.
    #[must_use]
    pub fn with_command(self, command: &[&str]) -> Self {
        Self { command: Self::new(command).command, ..self }
    }

    /// The same options with other positional arguments.
    #[must_use]
    pub fn with_positionals(self, positionals: impl IntoIterator<Item = String>) -> Self {
        Self { positionals: positionals.into_iter().collect(), ..self }
    }

    /// The same with an option that has this value.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: String) -> Self {
        self.options.retain(|option| option.name != name);
        self.options.push(GivenOption { name: name.to_owned(), words: vec![format!("--{name}"), value] });
        self
    }

    /// The same without these options.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.options.retain(|option| !names.contains(&option.name.as_str()));
        self
    }

    /// The same with no options but these.
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        self.options.retain(|option| names.contains(&option.name.as_str()));
        self
    }

    /// The same with those options of another command line, as far as they were given there.
    #[must_use]
    pub fn with_options_of(mut self, other: &Self, names: &[&str]) -> Self {
        self.options.extend(other.clone().only(names).options);
        self
    }

    /// The words of the options.
    #[must_use]
    pub fn option_words(&self) -> Vec<String> {
        self.options.iter().flat_map(|option| option.words.clone()).collect()
    }

    /// All words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.command.iter().chain(&self.positionals).cloned().chain(self.option_words()).collect()
    }
}

/// As a shell reads it, with secrets redacted.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.words()))
    }
}

/// Words as a shell reads them, with secrets redacted.
#[must_use]
pub fn quoted<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<_> = words.iter().map(|word| quote(&redact(word.as_ref()))).collect();
    words.join(" ")
}

/// One word as a shell reads it.
#[must_use]
pub fn quote(word: &str) -> String {
    match shlex::try_quote(word) {
        Ok(quoted) => quoted.into_owned(),
        // Only a NUL byte cannot be quoted, and no program can receive one.
        Err(_) => word.replace('\0', ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_secrets_are_redacted() {
        let line = CommandLine::new(&["seatrial", "run"])
            .with_positionals(["1.5".to_owned(), "1.6".to_owned()])
            .with_option("set", "a=it's; $b".to_owned())
            .with_option("config", "/tmp/a b.yaml".to_owned());
        let shown = line.to_string();
        assert_eq!(shlex::split(&shown), Some(line.words()), "{shown}");
        let secret = line.with_option("set", "etcd.password=hunter2".to_owned()).to_string();
        assert!(!secret.contains("hunter2") && secret.contains("etcd.password="), "{secret}");
    }

    #[test]
    fn options_are_selected_by_name() {
        let line =
            CommandLine::default().with_option("nodes", "3".to_owned()).with_option("out", "runs".to_owned());
        assert_eq!(line.clone().without(&["out"]).option_words(), ["--nodes", "3"]);
        assert_eq!(line.only(&["out"]).option_words(), ["--out", "runs"]);
    }
}
