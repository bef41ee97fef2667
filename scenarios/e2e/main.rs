//! End-to-end tests: the real binary on real clusters. They need root and fail, with the remedy, where something is
//! missing.
//!
//! Each arm of each scenario is a test of its own, such as `kvstore-keys/skipped`. Two arms are under way at a time, and
//! take turns to measure; every other test has the machine for itself.
//! `ci/flannel` makes the images of the trials of flannel first.
//! `SEATRIAL_CHARTS` may name a folder with Cilium's charts, which are upgraded one after the other then.
//! `SEATRIAL_E2E_DOCKER` may name the file with the process id of a Docker daemon that a trial may kill.
//! `SEATRIAL_E2E_KILLS` is how many moments the kill tests try, 3 by default.

mod bad_input;
mod census;
mod charts;
mod cluster;
mod command;
mod file_server;
mod isolation;
mod kills;
#[cfg(feature = "e2e-kind")]
mod kind;
mod neighbours;
mod repro;
mod scenario;
mod subject_file;
mod upgrade;
mod watch;

use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(cores.min(2));
    let mut trials = vec![
        trial("cluster-up-and-down", cluster::up_and_down),
        trial("upgrade-1.5-1.6", upgrade::there_and_back),
        trial("injected-outage-is-seen", upgrade::injected_outage_is_seen),
        trial("micro-upgrade", upgrade::micro),
        trial("missing-component", bad_input::missing_component),
        trial("no-go", bad_input::no_go),
        trial("port-taken", bad_input::port_taken),
        trial("disk-full", bad_input::disk_full),
        trial("not-root", bad_input::not_root),
        trial("two-runs-side-by-side", isolation::two_runs_and_gc),
        trial("repro", repro::same_outcome),
        trial("killed", kills::killed),
        trial("interrupted", kills::interrupted),
        trial("watch", watch::watched),
        trial("charts/immutable-selector", charts::an_immutable_selector_is_found),
        trial("charts/stage-by-stage", charts::stage_by_stage),
        trial("charts/repository", charts::repository),
        trial("flannel/upgrade", subject_file::upgrade),
        trial("flannel/wrong-interface", subject_file::wrong_interface),
    ];
    if let Some(folder) = std::env::var_os("SEATRIAL_CHARTS") {
        trials.push(trial("charts/of-cilium", move || charts::of_cilium(Path::new(&folder))));
    }
    for (name, arm) in scenario::arms() {
        let test = format!("{name}/{arm}");
        trials.push(Trial::test(test, move || neighbours::beside(|| scenario::as_expected(&name, &arm))));
    }
    #[cfg(feature = "e2e-kind")]
    trials.extend([
        trial("kind/cluster-up-and-down", kind::up_and_down),
        trial("kind/same-report-as-sandbox", kind::same_report_as_sandbox),
        trial("kind/upgrade-1.5-1.6", kind::scenario),
        trial("kind/killed", kind::killed),
        trial("kind/interrupted", kind::interrupted),
        trial("kind/refused", kind::refused),
    ]);
    #[cfg(feature = "e2e-kind")]
    if let Some(pidfile) = std::env::var_os("SEATRIAL_E2E_DOCKER") {
        trials.push(trial("kind/docker-dies", move || kind::docker_dies(Path::new(&pidfile))));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &str, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, move || neighbours::alone(test))
}
