//! `seatrial completions`.

use std::io::Write;

use clap::{Args as ClapArgs, Command};
use clap_complete::{Shell, generate};

use engine::exit;

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Shell to print the script for.
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args, mut command: Command, out: &mut dyn Write) -> anyhow::Result<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    // The generator panics where it cannot write, such as to a closed pipe.
    generate(args.shell, &mut command, name, &mut script);
    out.write_all(&script)?;
    Ok(exit::PASSED)
}
