//! `seatrial rebase`.

mod args;
mod config_map;
mod file;
mod values;

use std::io::Write;

use engine::exit::Usage;

pub(crate) use args::Args;

/// Rebases a ConfigMap or a values file.
pub(crate) fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<u8> {
    let resolve = |spec| guide::resolve(spec).map_err(|e| Usage(e.to_string()));
    let (from, to) = (resolve(&args.from)?, resolve(&args.to)?);
    match args.values {
        Some(_) => values::run(args, (&from, &to), out, err),
        None => config_map::run(args, (&from, &to), out, err),
    }
}
