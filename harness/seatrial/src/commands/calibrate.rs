//! `seatrial calibrate`: how exactly this machine measures outages.

use std::io::Write;
use std::sync::Arc;

use cluster::Components;
use cluster::sandbox::SandboxProvider;
use engine::exit::{self, Usage};
use engine::procedure::{CalibrationRequest, calibrate};
use engine::{errors, paths};
use subject::standin::Standin;

use crate::options::ComponentArgs;

/// Arguments of `seatrial calibrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of outages to inject: half of them lose packets, half of them reset connections.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    count: u32,
    /// Probes a second on each flow.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000))]
    rate: u32,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    components: ComponentArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs the command and returns the exit code.
pub(crate) async fn run(args: Args, out: &mut dyn Write) -> anyhow::Result<u8> {
    let provider = SandboxProvider { api_port: args.components.api_port, dual_stack: false };
    errors::machine_is_ready(&provider)?;
    let request = CalibrationRequest {
        id: engine::id::new_id(),
        subject: Arc::new(Standin::find().map_err(Usage::from)?),
        version: guide::resolve(&"1.6".parse()?).map_err(|e| Usage(e.to_string()))?,
        provider: Arc::new(provider),
        components: Components::new(args.components.components, paths::cache()),
        count: args.count,
        rate: args.rate,
    };
    let Some(calibrated) = calibrate(request, None).await? else { return Ok(exit::INTERRUPTED) };
    let calibration = calibrated.calibration;
    calibration.keep()?;
    match args.output {
        Output::Text => write!(out, "{}", calibration.text())?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&calibration)?)?,
    }
    Ok(exit::PASSED)
}
