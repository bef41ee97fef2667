//! `seatrial repro`: what it takes to run a recorded run again elsewhere, in one small bundle.

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
    /// Folder of a run, such as runs/20261124-101500-3f2.
    run: PathBuf,
    /// Where to write it: an archive when it ends with .tar.gz or .tgz, else a folder; repro-<id>.tar.gz by default.
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
    let options = &recipe.options;
    let command = if packed {
        archive::pack(&path, &name, &bundle.files)?;
        format!("tar -xzf {} && sh {name}/repro.sh{options}", path.display())
    } else {
        archive::unpacked(&path, &bundle.files)?;
        format!("sh {}/repro.sh{options}", path.display())
    };
    writeln!(out, "{}: {} files, {} secrets taken out", path.display(), bundle.files.len(), bundle.redacted)?;
    writeln!(out, "{command}")?;
    if recipe.brings_subject() {
        writeln!(out, "charts, manifests and images are not among them: put your own in the place of these")?;
    }
    Ok(exit::PASSED)
}
