//! `seatrial lint`.

use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use guide::lint::{Change, RuleId, Source, lint, render};
use guide::{Kernel, catalogue};
use model::VersionSpec;

use engine::exit::{self, Usage};
use engine::spawn;

/// Kinds that `--cluster` reads.
const KINDS: [&str; 3] = ["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies", "networkpolicies"];

/// Arguments of `seatrial lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Version that runs now. Default: the latest patch of the minor before --to.
    #[arg(long, value_name = "VERSION")]
    from: Option<VersionSpec>,
    /// Version to upgrade to.
    #[arg(long, value_name = "VERSION", required_unless_present = "explain")]
    to: Option<VersionSpec>,
    /// Oldest kernel of the nodes, as `uname -r` prints it.
    #[arg(long, value_name = "VERSION")]
    kernel: Option<Kernel>,
    /// Policies, Prometheus rules and Grafana dashboards: files, folders, or - for standard input.
    paths: Vec<PathBuf>,
    /// Read the policies of the current context of kubectl; nothing is changed.
    #[arg(long)]
    cluster: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Explain a rule and exit.
    #[arg(long, value_name = "RULE")]
    explain: Option<RuleId>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    Text,
    Json,
    Github,
    Sarif,
}

/// Checks policies and dashboards against a change of version.
pub(crate) fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    if let Some(rule) = args.explain {
        write!(out, "{}", rule.page())?;
        return Ok(exit::PASSED);
    }
    let change = change(args)?;
    let (mut files, unreadable) = read_each(&args.paths)?;
    if args.cluster {
        files.extend(read_cluster()?);
    } else if args.paths.is_empty() {
        return Err(Usage("nothing to lint: give files or folders, or use --cluster".to_owned()).into());
    }
    let sources: Vec<_> = files.iter().map(|(file, text)| Source { file, text }).collect();
    let mut report = lint(&sources, &change);
    for (file, error) in &unreadable {
        report.add_unreadable(file, error);
    }
    match args.output {
        Output::Text => write!(out, "{}", render::text(&report))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
        Output::Github => write!(out, "{}", render::github(&report))?,
        Output::Sarif => {
            let log = render::sarif(&report, env!("CARGO_PKG_VERSION"));
            writeln!(out, "{}", serde_json::to_string_pretty(&log)?)?;
        }
    }
    if report.policies + report.expressions == 0 && report.is_clean() {
        writeln!(err, "found no policy, rule or dashboard")?;
        return Ok(exit::SKIPPED);
    }
    Ok(if report.is_clean() { exit::PASSED } else { exit::FINDINGS })
}

fn change(args: &Args) -> Result<Change, Usage> {
    let resolve = |spec| guide::resolve(spec).map_err(|e| Usage(e.to_string()));
    let to = args.to.as_ref().map(resolve).transpose()?;
    let to = to.ok_or_else(|| Usage("--to is missing: give the target version".to_owned()))?;
    let from = match &args.from {
        Some(spec) => resolve(spec)?,
        None => catalogue::predecessor(&to).unwrap_or(&to).clone(),
    };
    Ok(Change { from, to, kernel: args.kernel })
}

/// Files by name: their texts, and the errors of those that cannot be read.
type Files = (Vec<(String, String)>, Vec<(String, String)>);

/// Reads files, the YAML and JSON files in folders, and standard input for `-`.
pub(crate) fn read_paths(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Usage> {
    let (files, unreadable) = read_each(paths)?;
    match unreadable.first() {
        Some((file, error)) => Err(Usage(format!("cannot read {file}: {error}"))),
        None => Ok(files),
    }
}

/// Reads the files of some paths; one that cannot be read does not keep the others from being read.
fn read_each(paths: &[PathBuf]) -> Result<Files, Usage> {
    let (mut files, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|e| Usage(format!("standard input: {e}")))?;
            files.push(("-".to_owned(), text));
            continue;
        }
        let found = list(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
        for file in found {
            let name = file.display().to_string();
            match fs::read_to_string(&file) {
                Ok(text) => files.push((name, text)),
                Err(error) => unreadable.push((name, error.to_string())),
            }
        }
    }
    Ok((files, unreadable))
}

/// Lists the YAML and JSON files below a path, in order, without hidden ones; for a file, the file itself.
fn list(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_unstable();
    let mut files = Vec::new();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let wanted = entry.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if !hidden && (wanted || entry.is_dir()) {
            files.extend(list(&entry)?);
        }
    }
    Ok(files)
}

/// Runs kubectl, so that contexts, proxies and logins work as configured by the user.
fn read_cluster() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for kind in KINDS {
        let output = spawn::output("kubectl", ["get", kind, "--all-namespaces", "--output", "yaml"])
            .context("cannot run kubectl: install it, or lint files")?;
        let message = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            files.push((format!("cluster:{kind}"), String::from_utf8(output.stdout)?));
        } else if !message.contains("doesn't have a resource type") {
            // The last line of kubectl has the cause.
            let cause = message.trim().lines().last().unwrap_or_default();
            anyhow::bail!(
                "kubectl cannot list {kind}: {cause}; check that KUBECONFIG names the right cluster"
            );
        }
    }
    Ok(files)
}
