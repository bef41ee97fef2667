//! A bare cluster by hand.

use libtest_mimic::Failed;

use crate::command::{run, seatrial};

/// It comes up with both nodes Ready, answers DNS, is listed, and goes away.
pub(crate) fn up_and_down() -> Result<(), Failed> {
    let up = run(&mut seatrial(&["cluster", "up", "--nodes", "2"]))?
        .expect_code(0)?
        .expect_words(&["2 nodes Ready", "export KUBECONFIG="])?;
    let id = up.out.lines().next().unwrap_or_default().to_owned();
    let ended = checks(&id);
    run(&mut seatrial(&["cluster", "down", &id]))?.expect_code(0)?;
    ended
}

fn checks(id: &str) -> Result<(), Failed> {
    is_kept(id)?;
    let host = run(&mut seatrial(&["cluster", "exec", id, "node2", "--", "hostname"]))?.expect_code(0)?;
    if host.out.trim() != "node2" {
        return Err(format!("the host name of node2 is {}", host.out).into());
    }
    run(&mut seatrial(&["cluster", "exec", id, "node2", "--", "false"]))?
        .expect_code(3)?
        .expect_words(&["`false` could not be run on node2"])?;
    Ok(())
}

/// The cluster is listed, and is no garbage. The machine may have others of both kinds: earlier runs that were killed
/// leave garbage, and somebody may work beside this.
pub(crate) fn is_kept(id: &str) -> Result<(), Failed> {
    let listed =
        || run(&mut seatrial(&["cluster", "list"]))?.expect_code(0)?.expect_words(&[id, "2 nodes", "kept"]);
    listed()?;
    run(&mut seatrial(&["gc"]))?.expect_code(0)?.expect_words(&["alive and left alone"])?;
    listed().map(drop)
}
