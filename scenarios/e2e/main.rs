//! End-to-end tests: the real binary on real clusters. They need root and fail, with the remedy, where something is
//! missing.
//!
//! Each arm of each scenario is a test of its own, such as `kvstore-keys/skipped`. Arms, and other tests that do no more
//! than a run does, are under way two at a time and take turns to measure; every other test has the machine for itself.
//! How long each took is printed at the end; of two that are under way at a time, each waits for the other.
//! `ci/flannel` makes the images of the trials of flannel first.
//! `SEATRIAL_CHARTS` may name a folder with Cilium's charts, which are then upgraded one after the other; without it, the
//! trial `charts/of-cilium` is reported as ignored, and `plan/commands` follows a plan for the charts of other trials.
//! `SEATRIAL_E2E_DOCKER` may name the file with the process id of a Docker daemon that a trial may kill.
//! `SEATRIAL_E2E_KILLS` is how many moments the kill tests try, 3 by default.

mod account;
mod bad_input;
#[cfg(feature = "e2e-kind")]
mod beside_kind;
mod census;
mod charts;
mod cluster;
mod command;
mod existing;
mod file_server;
mod isolation;
mod kills;
#[cfg(feature = "e2e-kind")]
mod kind;
mod neighbours;
#[cfg(feature = "e2e-kind")]
mod plan;
mod repro;
mod scenario;
mod subject_file;
mod times;
mod upgrade;
mod values;

#[cfg(feature = "e2e-kind")]
use std::path::Path;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(cores.min(2));
    if !arguments.list {
        command::build_standin().unwrap_or_else(|e| panic!("the stand-in cannot be built: {e:?}"));
    }
    let mut trials = vec![
        alone("cluster-up-and-down", cluster::up_and_down),
        alone("upgrade-1.5-1.6", upgrade::there_and_back),
        alone("injected-outage-is-seen", upgrade::injected_outage_is_seen),
        alone("missing-component", bad_input::missing_component),
        alone("no-go", bad_input::no_go),
        alone("port-taken", bad_input::port_taken),
        alone("disk-full", bad_input::disk_full),
        alone("not-root", bad_input::not_root),
        alone("two-runs-side-by-side", isolation::two_runs_and_gc),
        alone("killed", kills::killed),
        alone("interrupted", kills::interrupted),
        alone("existing", existing::upgraded_and_watched),
        alone("charts/repository", charts::repository),
        alone("charts/values", values::rebased),
        beside("micro-upgrade", upgrade::micro),
        beside("repro", repro::same_outcome),
        beside("charts/immutable-selector", charts::an_immutable_selector_is_found),
        beside("charts/stage-by-stage", charts::stage_by_stage),
        beside("charts/manifests", charts::manifests),
        beside("flannel/upgrade", subject_file::upgrade),
        beside("flannel/chart", subject_file::upgrade_of_a_chart),
        beside("flannel/wrong-interface", subject_file::wrong_interface),
        beside("flannel/closed-to-ipv6", subject_file::closed_to_ipv6),
    ];
    // Without charts it is listed as ignored, and fails when it is asked for.
    let charts = std::env::var_os("SEATRIAL_CHARTS").is_some();
    trials.push(alone("charts/of-cilium", charts::of_cilium).with_ignored_flag(!charts));
    for (name, arm) in scenario::arms() {
        let test = format!("{name}/{arm}");
        trials.push(beside(&test, move || scenario::as_expected(&name, &arm)));
    }
    #[cfg(feature = "e2e-kind")]
    trials.extend([
        alone("plan/commands", plan::commands),
        alone("kind/cluster-up-and-down", kind::up_and_down),
        alone("kind/upgrade-1.5-1.6", kind::same_as_in_a_sandbox),
        alone("kind/killed", kind::killed),
        alone("kind/interrupted", kind::interrupted),
        alone("kind/refused", kind::refused),
        alone("kind/etcd-and-registry", beside_kind::pulled_and_kept_in_an_etcd),
    ]);
    #[cfg(feature = "e2e-kind")]
    if let Some(pidfile) = std::env::var_os("SEATRIAL_E2E_DOCKER") {
        trials.push(alone("kind/docker-dies", move || kind::docker_dies(Path::new(&pidfile))));
    }
    let ended = libtest_mimic::run(&arguments, trials);
    times::print();
    ended.exit();
}

/// A trial that has the machine for itself.
fn alone(name: &str, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    let of = name.to_owned();
    Trial::test(name, move || neighbours::alone(|| times::took(&of, test)))
}

/// A trial that takes turns with its like.
fn beside(name: &str, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    let of = name.to_owned();
    Trial::test(name, move || neighbours::beside(|| times::took(&of, test)))
}
