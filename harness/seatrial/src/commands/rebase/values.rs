//! `seatrial rebase --values`.

use std::io::Write;

use cluster::Components;
use engine::exit::{self, Usage};
use engine::{paths, subjects};
use guide::rebase::Class;
use guide::rendered::{self, Comparison};
use guide::values::{Rebased, Request, rebase, render};
use model::Version;
use serde_json::Value;
use subject::cilium::ChartSource;

use super::args::Args;
use super::file::{read, write_result};

/// Rebases a values file, and compares what the charts render if they are given.
pub(super) fn run(
    args: &Args,
    (from, to): (&Version, &Version),
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<u8> {
    let name = args.file().display().to_string();
    let text = read(args.file())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let charts = match &args.charts {
        Some(place) => Some(runtime.block_on(Charts::open(place, from, to))?),
        None => None,
    };
    let defaults = charts.as_ref().map(|charts| (&charts.old_defaults, &charts.new_defaults));
    let rebased =
        rebase(&text, &Request { from, to, charts: defaults }).map_err(|e| Usage(format!("{name}:{e}")))?;
    let compared = match &charts {
        Some(charts) => Some(runtime.block_on(charts.compare(&name, &rebased, from, to))?),
        None => None,
    };
    if args.explain {
        write!(err, "{}", render::explain(&rebased))?;
    }
    let comparison = compared.as_ref().and_then(|compared| compared.as_ref().ok());
    let json = render::Report::new(from, to, &rebased, comparison.cloned());
    write_result(args, (&text, &rebased.text), &json, out)?;
    writeln!(err, "{name}, {from} to {to}: {}", render::summary(&rebased))?;
    report(&rebased, err)?;
    let open = match &compared {
        Some(Ok(comparison)) => {
            write!(err, "{}", rendered::render::lines(comparison, args.explain))?;
            comparison.needs_attention()
        }
        Some(Err(refusal)) => {
            writeln!(err, "conflict: the chart of {to} refuses the values: {refusal}")?;
            true
        }
        None => {
            let remedy = "name the charts with --charts (the address of a repository, or a folder)";
            writeln!(err, "not compared: what the charts render, such as DaemonSets and RBAC; {remedy}")?;
            false
        }
    };
    let failed = open || rebased.needs_attention() || (args.check && rebased.is_pending());
    Ok(if failed { exit::FINDINGS } else { exit::PASSED })
}

/// The charts of both versions, with their own values.
struct Charts {
    source: ChartSource,
    old_defaults: Value,
    new_defaults: Value,
}

impl Charts {
    async fn open(place: &str, from: &Version, to: &Version) -> anyhow::Result<Self> {
        let cache = paths::cache();
        let components = Components::new(None, cache.clone());
        let source = ChartSource::open(place, &cache, &components).await.map_err(subjects::failed)?;
        let defaults = tokio::try_join!(source.defaults(from), source.defaults(to));
        let (old_defaults, new_defaults) = defaults.map_err(subjects::failed)?;
        Ok(Self { source, old_defaults, new_defaults })
    }

    /// Compares the objects of both versions; `Err` inside where the new chart refuses the new values.
    async fn compare(
        &self,
        name: &str,
        rebased: &Rebased,
        from: &Version,
        to: &Version,
    ) -> anyhow::Result<Result<Comparison, String>> {
        let rendered = tokio::try_join!(
            self.source.render(from, &rebased.before),
            self.source.render(to, &rebased.after)
        );
        let (old, new) = rendered.map_err(subjects::failed)?;
        let old = old.map_err(|refusal| {
            let doubt = format!("is the file really for {from}?");
            Usage(format!("{name}: the chart of {from} refuses these values; {doubt} {refusal}"))
        })?;
        Ok(match new {
            Ok(new) => Ok(rendered::compare(&old, &new, from, to)?),
            Err(refusal) => Err(refusal),
        })
    }
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
    Ok(())
}
