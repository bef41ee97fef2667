//! Measures what an upgrade of a network component does to the traffic of a Kubernetes cluster.
//!
//! A complete upgrade test, which `cargo test` can run as root:
//!
//! ```no_run
//! use engine::{Sandbox, Upgrade, Verdict};
//! use subject::standin::Standin;
//!
//! # async fn upgrade_keeps_its_budgets() -> anyhow::Result<()> {
//! let run = Upgrade::new("1.5", "1.6")
//!     .subject(Standin::find()?)
//!     .on(Sandbox::nodes(2))
//!     .rollback(true)
//!     .out("target/upgrades")
//!     .run()
//!     .await?;
//! for flow in &run.flows {
//!     for outage in &flow.outages {
//!         println!("{}: at least {} ms, {}", flow.id, outage.min_ms, outage.cause());
//!     }
//! }
//! assert_eq!(run.verdict, Verdict::Passed, "{}", run.reason);
//! # Ok(())
//! # }
//! ```
//!
//! Images, and the processes of a sandbox, consist of the program `seatrial` under other names, which has to be built as well;
//! [`program`] says where it is searched.
//!
//! Every run has the same life cycle (`lifecycle`): a [procedure] on a [place], with a session of traffic, watchers and
//! snapshots, whose measurements the judge turns into a verdict. The commands of `seatrial` are such runs too: a [`Request`] is
//! what `seatrial run` makes of its options.

pub mod bundle;
pub mod calibration;
pub mod command_line;
mod deadline;
pub mod errors;
pub mod exit;
pub mod id;
mod interrupts;
mod judge;
mod lifecycle;
pub mod logs;
mod observe;
pub mod paths;
pub mod place;
pub mod procedure;
pub mod program;
pub mod provider;
mod record;
pub mod redact;
pub mod roles;
pub mod run;
pub mod scenario;
#[cfg(test)]
mod schema;
pub mod scratch;
mod session;
pub mod spawn;
pub mod steps;
pub mod subjects;
mod upgrade;

pub use report::run::{Run, Verdict};
pub use run::request::Request;
pub use upgrade::{NewCluster, Sandbox, Upgrade};
