//! `seatrial man`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args as ClapArgs, Command};
use clap_mangen::Man;

use engine::exit;

/// Arguments of `man`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Folder for the pages, one for each command; is created.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the pages.
pub(crate) fn run(args: &Args, command: Command) -> anyhow::Result<u8> {
    let failed = || format!("the manual pages could not be written to {}", args.folder.display());
    std::fs::create_dir_all(&args.folder).with_context(failed)?;
    let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
    let mut command = command.disable_help_subcommand(true);
    command.build();
    write(&command, &source, &args.folder).with_context(failed)?;
    Ok(exit::PASSED)
}

/// Writes the page of a command, and those of the commands below it.
fn write(command: &Command, source: &str, folder: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write(below, source, folder)?;
    }
    // A blank date, since an empty one is left out of the title, and the source would be read as the date.
    let page = Man::new(command.clone()).date(" ").source(source).manual("User Commands");
    page.generate_to(folder).map(drop)
}
