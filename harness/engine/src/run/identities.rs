//! What a migration of identities did, as observations of the run.

use std::collections::BTreeMap;

use report::event::Observation;
use subject::{Fate, Migrated};

use super::recorder::Recorder;

/// Records one observation an identity, and says how many there were of each kind.
pub(super) fn record(migrated: &[Migrated], recorder: &Recorder) -> String {
    let at_ns = probe::clock::now_ns();
    for identity in migrated {
        recorder.observe(at_ns, observation(identity));
    }
    summary(migrated)
}

fn observation(migrated: &Migrated) -> Observation {
    let detail = match migrated.fate {
        Fate::Renumbered(new) => Some(format!("now {new}")),
        Fate::Migrated | Fate::AlreadyMigrated => None,
    };
    Observation {
        node: None,
        role: "identity".to_owned(),
        object: format!("identity {}", migrated.identity),
        change: change(migrated.fate).to_owned(),
        detail,
    }
}

fn change(fate: Fate) -> &'static str {
    match fate {
        Fate::Migrated => "migrated",
        Fate::AlreadyMigrated => "already-migrated",
        Fate::Renumbered(_) => "renumbered",
    }
}

fn summary(migrated: &[Migrated]) -> String {
    let mut counts = BTreeMap::new();
    for identity in migrated {
        *counts.entry(change(identity.fate)).or_insert(0_usize) += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(change, count)| format!("{count} {change}")).collect();
    if counts.is_empty() { "no identities".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_has_its_word_and_is_counted() {
        let migrated = |identity, fate| Migrated { identity, fate };
        let all = [
            migrated(300, Fate::Migrated),
            migrated(301, Fate::Migrated),
            migrated(302, Fate::AlreadyMigrated),
            migrated(303, Fate::Renumbered(900)),
        ];
        assert_eq!(summary(&all), "1 already-migrated, 2 migrated, 1 renumbered");
        assert_eq!(summary(&[]), "no identities");
        let seen = observation(&all[3]);
        assert_eq!((seen.change.as_str(), seen.detail.as_deref()), ("renumbered", Some("now 900")));
    }
}
