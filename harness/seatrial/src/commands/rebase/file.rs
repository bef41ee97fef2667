//! The file that is rebased: read, shown as a diff, and replaced.

use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use engine::exit::Usage;
use guide::rebase::render;
use serde::Serialize;

use super::args::{Args, Output};

pub(super) fn read(path: &Path) -> Result<String, Usage> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| text),
        _ => fs::read_to_string(path),
    };
    read.map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))
}

fn write_diff(out: &mut dyn Write, diff: &str) -> anyhow::Result<()> {
    for line in diff.split_inclusive('\n') {
        let styled = match line.bytes().next() {
            Some(b'+') => console::style(line).green(),
            Some(b'-') => console::style(line).red(),
            Some(b'@') => console::style(line).cyan(),
            _ => console::style(line),
        };
        write!(out, "{styled}")?;
    }
    Ok(())
}

/// Writes the result in the requested format, and replaces the file if requested.
pub(super) fn write_result(
    args: &Args,
    (before, after): (&str, &str),
    report: &impl Serialize,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match args.output() {
        Output::Yaml if args.in_place => {}
        Output::Yaml => out.write_all(after.as_bytes())?,
        Output::Diff => write_diff(out, &render::diff(&args.file().display().to_string(), before, after))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(report)?)?,
    }
    if args.in_place && after != before {
        replace(args.file(), before, after)?;
    }
    Ok(())
}

/// Replaces a file atomically and keeps the old text as FILE.bak.
fn replace(path: &Path, old: &str, new: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return Err(Usage("--in-place needs a file instead of standard input".to_owned()).into());
    }
    let mut backup = path.as_os_str().to_owned();
    backup.push(".bak");
    let backup = PathBuf::from(backup);
    if fs::read_to_string(&backup).is_ok_and(|kept| kept != old) {
        return Err(Usage(format!("{} exists with other contents: move it first", backup.display())).into());
    }
    fs::write(&backup, old).with_context(|| format!("cannot write {}", backup.display()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(new.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(())
}
