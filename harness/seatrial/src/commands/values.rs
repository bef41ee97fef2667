//! `seatrial rebase --values`.

use std::io::Write;

use engine::exit::{self, Usage};
use guide::rebase::{Class, render as form};
use guide::values::{Rebased, Request, rebase, render};
use model::Version;

use super::rebase::{Args, Output, read, replace, write_diff};

/// Rebases a values file.
pub(super) fn run(
    args: &Args,
    versions: (&Version, &Version),
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<u8> {
    let (from, to) = versions;
    let name = args.file().display().to_string();
    let text = read(args.file())?;
    let request = Request { from, to, charts: None };
    let rebased = rebase(&text, &request).map_err(|e| Usage(format!("{name}:{e}")))?;
    if args.explain {
        write!(err, "{}", render::explain(&rebased))?;
    }
    match args.output() {
        Output::Yaml if args.in_place => {}
        Output::Yaml => out.write_all(rebased.text.as_bytes())?,
        Output::Diff => write_diff(out, &form::diff(&name, &text, &rebased.text))?,
        Output::Json => {
            writeln!(out, "{}", serde_json::to_string_pretty(&render::Report::new(from, to, &rebased))?)?;
        }
    }
    if args.in_place && rebased.text != text {
        replace(args.file(), &text, &rebased.text)?;
    }
    writeln!(err, "{name}, {from} to {to}: {}", render::summary(&rebased))?;
    report(&rebased, err)?;
    let failed = rebased.needs_attention() || (args.check && rebased.is_pending());
    Ok(if failed { exit::FINDINGS } else { exit::PASSED })
}

/// Names what a person must decide or know, whatever the output format.
fn report(rebased: &Rebased, err: &mut dyn Write) -> anyhow::Result<()> {
    for decision in &rebased.decisions {
        let kind = match decision.class {
            Class::Conflict => "conflict",
            Class::Lost => "lost",
            Class::Unknown => "unknown",
            Class::DefaultFlipped => "pinned",
            Class::Adopted => "new default",
            _ => continue,
        };
        writeln!(err, "{kind}: {}: {}", decision.key, decision.why)?;
    }
    writeln!(
        err,
        "not compared: the rendered objects, such as DaemonSets, RBAC and CRDs; compare the output of helm template for both"
    )?;
    Ok(())
}
