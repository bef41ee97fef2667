//! `seatrial run`: boot, install, measure, upgrade, roll back, judge, report, take down.

mod brief;
mod bringup;
mod execute;
pub mod existing;
mod judge;
mod logs;
mod measure;
mod observe;
mod obstruct;
mod outside;
pub mod procedure;
pub mod recipe;
mod recorder;
pub mod request;
mod snapshots;
mod traffic;
mod turn;
pub mod watch;

use std::io::Write as _;
use std::sync::Arc;

use cluster::{Component, Ledger};
use report::run::Run;
use subject::Environment;

pub use request::Args;

use crate::command_line::CommandLine;
use crate::scratch::Scratch;
use crate::{errors, exit, paths, subjects};
use bringup::State;
use recorder::Recorder;
use request::{Planned, Request};

/// Runs the command to its report and returns the exit code.
pub async fn run(args: Args, line: CommandLine) -> anyhow::Result<u8> {
    if args.print_images {
        return print_images(&args).await;
    }
    Ok(execute(&Request::from_args(args, line).await?).await?.exit_code)
}

/// Prints the images of every version on the way, one a line, for a registry or an archive of one's own.
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

/// Carries a request out, from the cluster to the report, and returns the record.
pub async fn execute(request: &Request) -> anyhow::Result<Run> {
    let brief = request.brief();
    let recorder = Arc::new(Recorder::start(&brief)?);
    let ledger = Ledger::new(&paths::state());
    let mut state = State::default();
    let ended = tokio::select! {
        ended = Box::pin(execute::drive(request, &recorder, &ledger, &mut state)) => Some(ended),
        () = interrupted() => None,
    };
    let interrupted = ended.is_none();
    if interrupted {
        recorder.interrupt();
    }
    let failure = ended.and_then(Result::err);
    let measured = judge::Measured::end(&state).await;
    if let Err(e) = std::mem::take(&mut state.standing).ended(request.keep) {
        recorder.progress("take down", format!("it is in the way of others: {}", errors::line(&e)));
    }
    let outcome = judge::outcome(&brief, &recorder, &state, measured, interrupted, failure.as_ref());
    recorder.judged(outcome);
    let down = recorder.step("take down", bringup::take_down(request, &recorder, &ledger, state)).await;
    if let Err(e) = &down {
        recorder
            .errored(&format!("the cluster could not be taken down: {}; run `seatrial gc`", errors::line(e)));
    }
    recorder.finish(&brief)
}

/// Ends at the first Ctrl-C or SIGTERM; later ones find the run taking itself down already.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
