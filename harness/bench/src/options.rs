//! The lists of options of a release compared with the option facts.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use engine::exit;
use guide::option_list::{Difference, OptionList, known};
use model::Minor;

/// Differences that are explained: `FIRST LAST DIFFERENCE OPTION WHY`, one a line.
const EXPLAINED: &str = include_str!("option-differences.txt");

/// Runs the command; exit code 1 when a difference is not explained.
pub(crate) fn run(minor: Minor, files: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut list = OptionList::default();
    for file in files {
        read(&mut list, file)?;
    }
    ensure!(
        !list.is_empty(),
        "no option in the given files: give the cmdref of the programs, or the chart's template"
    );
    let mut open = 0;
    let differences = list.compare(minor);
    for difference in &differences {
        match explanation(EXPLAINED, minor, difference) {
            Some(why) => writeln!(out, "{difference} ({why})")?,
            None => {
                open += 1;
                writeln!(out, "{difference} [not explained]")?;
            }
        }
    }
    let (listed, facts, all) = (list.len(), known(minor), differences.len());
    writeln!(
        out,
        "{minor}: {listed} options in the lists, {facts} in the data, {all} differences, {open} not explained"
    )?;
    Ok(if open == 0 { exit::PASSED } else { exit::FINDINGS })
}

fn read(list: &mut OptionList, file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if file.extension().is_some_and(|extension| extension == "md") {
        list.read_reference(&text);
    } else {
        list.read_template(&text);
    }
    Ok(())
}

/// Returns why a difference is known.
fn explanation<'a>(explained: &'a str, minor: Minor, difference: &Difference) -> Option<&'a str> {
    let mut lines = explained.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.find_map(|line| {
        let mut words = line.splitn(5, ' ');
        let (first, last) = (words.next()?.parse::<Minor>().ok()?, words.next()?.parse::<Minor>().ok()?);
        let (what, name) = (words.next()?, words.next()?);
        let same = what == difference.what.name() && name == difference.name;
        (same && first <= minor && minor <= last).then(|| words.next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use guide::option_list::What;

    #[test]
    fn explains_a_difference_in_its_minors_only() {
        let difference = Difference { name: "mtu".to_owned(), what: What::Missing };
        let explained = "# comment\n1.10 1.12 missing mtu hidden there\n";
        let why = |minor: &str| explanation(explained, minor.parse().unwrap(), &difference);
        assert_eq!(why("1.12"), Some("hidden there"));
        assert_eq!(why("1.13"), None);
    }

    #[test]
    fn every_explanation_can_be_read() {
        for line in EXPLAINED.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<_> = line.splitn(5, ' ').collect();
            assert_eq!(words.len(), 5, "{line}");
            assert!(words[0].parse::<Minor>().is_ok() && words[1].parse::<Minor>().is_ok(), "{line}");
            assert!(["missing", "unlisted", "kind", "default"].contains(&words[2]), "{line}");
        }
    }
}
