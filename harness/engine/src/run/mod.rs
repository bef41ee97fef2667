//! The command `seatrial run`: its request, its procedure and its recipe.

pub mod procedure;
pub mod recipe;
pub mod request;

use std::io::Write as _;

use cluster::Component;
use subject::Environment;

pub use request::Args;

use crate::command_line::CommandLine;
use crate::procedure::upgrade;
use crate::scratch::Scratch;
use crate::{exit, subjects};
use request::{Planned, Request};

/// Runs the command to its report and returns the exit code.
///
/// # Errors
/// When the arguments are wrong, or the run folder cannot be written.
pub async fn run(args: Args, line: CommandLine) -> anyhow::Result<u8> {
    if args.print_images {
        return print_images(&args).await;
    }
    Ok(upgrade(&Request::from_args(args, line).await?).await?.exit_code)
}

/// Prints the images of every version, one a line, for a registry or an archive.
async fn print_images(args: &Args) -> anyhow::Result<u8> {
    let components = args.provider.components();
    let Planned { subject, procedure, .. } = args.plan(&components, None).await?;
    let versions = procedure.versions();
    let helm = components.resolve(Component::Helm, &|_| ()).await?;
    let scratch = Scratch::new("images-")?;
    let environment = Environment { components: &components, helm: &helm, scratch: scratch.path() };
    for image in subject.images(&versions, &environment).await.map_err(subjects::failed)? {
        writeln!(std::io::stdout(), "{image}")?;
    }
    Ok(exit::PASSED)
}
