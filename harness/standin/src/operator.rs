//! The operator: it only answers health checks, since the stand-in leaves nothing for an operator to collect.

use crate::health;

const HEALTH_PORT: u16 = 9234;

/// Runs the operator.
pub(crate) async fn run() -> std::io::Result<()> {
    tracing::info!("ready");
    health::serve(HEALTH_PORT, || true).await;
    Ok(())
}
