//! Procedures: what runs do on their places.

mod calibration;
mod cluster_up;
mod follow;
mod install;
mod obstructions;
mod outages;
mod upgrade;
mod watch;

pub use calibration::{Calibrated, CalibrationRequest, Companion, Ends, calibrate};
pub use cluster_up::{ClusterUp, Up, cluster_up};
pub(crate) use install::ROLLOUT;
pub use upgrade::run as upgrade;
pub use watch::{WatchRequest, watch};

use crate::judge::Measured;
use crate::session::Session;

/// What a run does on its place.
pub(crate) trait Procedure {
    /// Takes all steps, from the boot of the place to the last one. An interrupt drops the future.
    async fn follow(&mut self, session: &mut Session<'_>) -> anyhow::Result<()>;

    /// Goes on after [`follow`](Self::follow), until `stop` ends, which is no interrupt then.
    async fn until_stopped(
        &mut self,
        _session: &mut Session<'_>,
        _stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        Ok(())
    }

    /// Uses the measurements while the place is still up. Called however the steps ended.
    async fn measured(&mut self, _session: &mut Session<'_>, _measured: &Measured) -> anyhow::Result<()> {
        Ok(())
    }
}
