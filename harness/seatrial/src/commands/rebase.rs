//! `seatrial rebase`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cluster::{Component, Components};
use guide::rebase::{Class, Rebased, Request, Template, rebase, render};
use model::VersionSpec;

use engine::exit::{self, Usage};
use engine::{paths, spawn};

use super::values;

/// Arguments of `seatrial rebase`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Version that the file was written for.
    #[arg(long, value_name = "VERSION")]
    from: VersionSpec,
    /// Version to rebase it onto.
    #[arg(long, value_name = "VERSION")]
    to: VersionSpec,
    /// Manifest or export with the ConfigMap cilium-config; - reads standard input.
    #[arg(required_unless_present = "values", conflicts_with = "values")]
    file: Option<PathBuf>,
    /// Rebase a values file of the Helm chart instead of a ConfigMap; - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["template", "adopt", "comments"])]
    values: Option<PathBuf>,
    /// With --values: also compare what the charts of both versions render; the address of a chart repository, or a folder
    /// of charts.
    #[arg(long, value_name = "PLACE", requires = "values")]
    pub(super) charts: Option<String>,
    /// ConfigMap of the target version, or a chart (folder or .tgz, rendered with helm). Default: the built-in template.
    #[arg(long, value_name = "PATH")]
    template: Option<PathBuf>,
    /// Adopt the target's default for this key although that changes the behaviour of the cluster.
    #[arg(long, value_name = "KEY")]
    adopt: Vec<String>,
    /// Add the template's comments above keys that have none.
    #[arg(long)]
    comments: bool,
    /// Output format.
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    /// Change nothing; print the diff and exit with 1 if there is one.
    #[arg(long, conflicts_with = "in_place")]
    pub(super) check: bool,
    /// Replace the file atomically, and keep the old one as FILE.bak.
    #[arg(long)]
    pub(super) in_place: bool,
    /// Print the reason for each key to standard error.
    #[arg(long)]
    pub(super) explain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Yaml,
    Diff,
    Json,
}

impl Args {
    /// The file to rebase.
    pub(super) fn file(&self) -> &Path {
        self.values.as_deref().or(self.file.as_deref()).unwrap_or(Path::new("-"))
    }

    /// The output format.
    pub(super) fn output(&self) -> Output {
        self.output.unwrap_or(if self.check { Output::Diff } else { Output::Yaml })
    }
}

/// Rebases a ConfigMap or a values file.
pub(crate) fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let resolve = |spec| guide::resolve(spec).map_err(|e| Usage(e.to_string()));
    let (from, to) = (resolve(&args.from)?, resolve(&args.to)?);
    if args.values.is_some() {
        return values::run(args, (&from, &to), out, err);
    }
    let name = args.file().display().to_string();
    let text = read(args.file())?;
    let template = args.template.as_deref().map(read_template).transpose()?;
    let request = Request {
        from: &from,
        to: &to,
        template: template.as_ref(),
        adopt: args.adopt.iter().cloned().collect::<BTreeSet<_>>(),
        comments: args.comments,
    };
    let rebased = rebase(&text, &request).map_err(|e| Usage(format!("{name}:{e}")))?;
    if args.explain {
        write!(err, "{}", render::explain(&rebased))?;
    }
    match args.output() {
        Output::Yaml if args.in_place => {}
        Output::Yaml => out.write_all(rebased.text.as_bytes())?,
        Output::Diff => write_diff(out, &render::diff(&name, &text, &rebased.text))?,
        Output::Json => {
            writeln!(out, "{}", serde_json::to_string_pretty(&render::Report::new(&from, &to, &rebased))?)?;
        }
    }
    if args.in_place && rebased.text != text {
        replace(args.file(), &text, &rebased.text)?;
    }
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

pub(super) fn read(path: &Path) -> Result<String, Usage> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| text),
        _ => fs::read_to_string(path),
    };
    read.map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))
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

pub(super) fn write_diff(out: &mut dyn Write, diff: &str) -> anyhow::Result<()> {
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

/// Replaces a file atomically and keeps the old text as FILE.bak.
pub(super) fn replace(path: &Path, old: &str, new: &str) -> anyhow::Result<()> {
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
