//! The kernel version to assume: this machine's, unless `standin-kernel` in the ConfigMap names another one.

use crate::agent::config::{ConfigError, Settings};

/// Major and minor version of the kernel that `settings` name, or else of the one that runs.
pub(crate) fn played(settings: &Settings, running: &str) -> Result<(u16, u16), ConfigError> {
    let kernel = settings.get("standin-kernel").filter(|it| !it.is_empty()).unwrap_or(running);
    numbers(kernel).ok_or_else(|| ConfigError::Value {
        key: "standin-kernel",
        value: kernel.to_owned(),
        expected: "a kernel's version such as 4.9",
    })
}

fn numbers(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::running(&[], Some((6, 18)))]
    #[case::empty(&[("standin-kernel", "")], Some((6, 18)))]
    #[case::named(&[("standin-kernel", "4.9.17")], Some((4, 9)))]
    #[case::no_version(&[("standin-kernel", "new")], None)]
    fn a_kernel_that_is_named_is_played(
        #[case] settings: &[(&str, &str)],
        #[case] expected: Option<(u16, u16)>,
    ) {
        let settings = settings.iter().copied().collect();
        assert_eq!(played(&settings, "6.18.44-generic").ok(), expected);
    }
}
