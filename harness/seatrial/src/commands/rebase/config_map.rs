//! `seatrial rebase` of a ConfigMap.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use cluster::{Component, Components};
use guide::rebase::{Class, Rebased, Request, Template, rebase, render};
use model::Version;

use engine::exit::{self, Usage};
use engine::{paths, spawn};

use super::args::Args;
use super::file::{read, write_result};

/// Rebases a ConfigMap.
pub(super) fn run(
    args: &Args,
    (from, to): (&Version, &Version),
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<u8> {
    let name = args.file().display().to_string();
    let text = read(args.file())?;
    let template = args.template.as_deref().map(read_template).transpose()?;
    let request = Request {
        from,
        to,
        template: template.as_ref(),
        adopt: args.adopt.iter().cloned().collect::<BTreeSet<_>>(),
        comments: args.comments,
    };
    let rebased = rebase(&text, &request).map_err(|e| Usage(format!("{name}:{e}")))?;
    if args.explain {
        write!(err, "{}", render::explain(&rebased))?;
    }
    write_result(args, (&text, &rebased.text), &render::Report::new(from, to, &rebased), out)?;
    writeln!(err, "{name}, {from} to {to}: {}", render::summary(&rebased))?;
    report(&rebased, err)?;
    Ok(if rebased.needs_attention() || (args.check && rebased.is_pending()) {
        exit::FINDINGS
    } else {
        exit::PASSED
    })
}

/// Names what a person must decide or know, whatever the output format.
fn report(rebased: &Rebased, err: &mut dyn Write) -> anyhow::Result<()> {
    if let Some(doubt) = &rebased.doubt {
        writeln!(err, "doubt: {doubt}")?;
    }
    for manager in &rebased.managers {
        writeln!(err, "warning: {manager}")?;
    }
    for decision in &rebased.decisions {
        let kind = match decision.class {
            Class::Conflict => "conflict",
            Class::Lost => "lost",
            Class::Unknown => "unknown",
            _ => continue,
        };
        writeln!(err, "{kind}: {}: {}", decision.key, decision.why)?;
    }
    Ok(())
}

fn read_template(path: &Path) -> anyhow::Result<Template> {
    let chart = path.is_dir() || path.extension().is_some_and(|extension| extension == "tgz");
    let text = if chart { render_chart(path)? } else { read(path)? };
    Ok(Template::read(&text).map_err(|e| Usage(format!("{}:{e}", path.display())))?)
}

/// Renders only the ConfigMap of a chart.
fn render_chart(chart: &Path) -> anyhow::Result<String> {
    let folder = chart.display().to_string();
    let only = ["--set", "agent.enabled=false", "--set", "operator.enabled=false"];
    let kubernetes = ["--kube-version", cluster::components::KUBERNETES];
    let args = ["template", "cilium", &folder, "--namespace", "kube-system"]
        .into_iter()
        .chain(kubernetes)
        .chain(only);
    let components = Components::new(None, paths::cache());
    let helm = tokio::runtime::Runtime::new()?.block_on(components.find(Component::Helm));
    let helm = helm.map_or_else(|| "helm".to_owned(), |helm| helm.display().to_string());
    let output = spawn::output(&helm, args)
        .context("cannot run helm: build it with `seatrial doctor --build`, or give a rendered ConfigMap")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(Usage(format!("helm cannot render {}: {}", chart.display(), message.trim())).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
