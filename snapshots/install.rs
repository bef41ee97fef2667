//! What an installation holds besides the programs: scripts for shells and manual pages, read by those that use them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use rstest::rstest;

fn seatrial(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seatrial")).args(arguments).output().expect("an output")
}

#[rstest]
#[case::bash(
    "bash",
    r#"COMP_WORDS=(seatrial pl); COMP_CWORD=1; _seatrial seatrial pl seatrial; echo "${COMPREPLY[@]}""#
)]
#[case::fish("fish", "complete --do-complete 'seatrial pl'")]
#[case::zsh("zsh", "whence _seatrial")]
#[cfg_attr(not(feature = "e2e"), ignore = "needs fish and zsh: ci/setup tests")]
fn a_script_for_completions_is_loaded_by_its_shell(#[case] shell: &str, #[case] ask: &str) {
    let script = seatrial(&["completions", shell]);
    assert!(script.status.success(), "{script:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("script");
    std::fs::write(&path, script.stdout).expect("a file");
    // zsh has `compdef` only after `compinit`.
    let prepare = if shell == "zsh" { "autoload -U compinit && compinit -u -D; " } else { "" };
    let line = format!("{prepare}source {} && {ask}", path.display());
    let seen = Command::new(shell).args(["-c", &line]).output().expect("an output");
    let (out, err) = (String::from_utf8_lossy(&seen.stdout), String::from_utf8_lossy(&seen.stderr));
    let expected = if shell == "zsh" { "_seatrial" } else { "plan" };
    assert!(seen.status.success() && err.is_empty() && out.contains(expected), "{shell}: {out}{err}");
}

#[test]
#[cfg_attr(not(feature = "e2e"), ignore = "needs groff: ci/setup tests")]
fn every_command_has_a_manual_page_without_warnings() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man1");
    let written = seatrial(&["man", pages.to_str().expect("UTF-8")]);
    assert!(written.status.success(), "{written:?}");
    let mut expected = BTreeSet::new();
    commands(&[], &mut expected);
    assert!(expected.contains("seatrial-cluster-up.1") && expected.contains("seatrial.1"), "{expected:?}");
    assert_eq!(expected, names(&pages));
    for page in &expected {
        let text = std::fs::read_to_string(pages.join(page)).expect("a page");
        let name = page.trim_end_matches(".1");
        let title =
            format!(".TH {name} 1 \" \" \"seatrial {}\" \"User Commands\"\n", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&title), "{text}");
        let path = pages.join(page);
        let options = ["-man", "-ww", "-z", "-T", "utf8", path.to_str().expect("UTF-8")];
        let seen = Command::new("groff").args(options).output().expect("an output");
        let said = String::from_utf8_lossy(&seen.stderr);
        assert!(seen.status.success() && said.is_empty(), "{page}: {said}");
    }
}

#[test]
fn manual_pages_need_a_folder_that_can_be_made() {
    let seen = seatrial(&["man", "/dev/null/man1"]);
    let said = String::from_utf8_lossy(&seen.stderr);
    assert_eq!(seen.status.code(), Some(3), "{said}");
    assert!(said.contains("the manual pages could not be written to /dev/null/man1"), "{said}");
}

/// Pages of a command and of those below it, as the help lists them.
fn commands(words: &[&str], pages: &mut BTreeSet<String>) {
    pages.insert([&["seatrial"], words].concat().join("-") + ".1");
    let help = seatrial(&[words, &["-h"]].concat());
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return };
    let list = list.lines().take_while(|line| !line.is_empty());
    let below = list.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    for name in below.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        commands(&[words, &[name]].concat(), pages);
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect()
}
