//! `seatrial repro`: a small bundle that reproduces a recorded run elsewhere.

mod archive;
mod bundle;

use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use report::collection::Recorded;

use bundle::Bundle;
use engine::exit::{self, Usage};
use engine::run::recipe::Recipe;

/// Arguments of `repro`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Run folder, such as runs/20261124-101500-3f2.
    run: PathBuf,
    /// Output: an archive if it ends with .tar.gz or .tgz, otherwise a folder. Default: repro-<id>.tar.gz.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Packs the bundle, and says how to use it.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<u8> {
    let recorded = Recorded::load(&args.run).map_err(|e| Usage(engine::errors::line(&e.into())))?;
    let recipe = Recipe::load(&args.run)?;
    let bundle = Bundle::of(&recorded, &recipe)?;
    let name = format!("repro-{}", recorded.run.id);
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    let packed = path.to_str().is_some_and(|path| path.ends_with(".tar.gz") || path.ends_with(".tgz"));
    let options = bundle::options(&recipe);
    let command = if packed {
        archive::pack(&path, &name, &bundle.files)?;
        format!("tar -xzf {} && sh {name}/repro.sh{options}", path.display())
    } else {
        archive::unpacked(&path, &bundle.files)?;
        format!("sh {}/repro.sh{options}", path.display())
    };
    writeln!(out, "{}: {} files, {} secrets redacted", path.display(), bundle.files.len(), bundle.redacted)?;
    writeln!(out, "{command}")?;
    if recipe.brings_subject() {
        writeln!(out, "charts, manifests and images are not included: replace these paths with your own")?;
    }
    Ok(exit::PASSED)
}
