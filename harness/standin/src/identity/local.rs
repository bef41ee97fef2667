//! Identities that no other node knows.

use std::sync::Mutex;

use tokio::sync::watch;

use super::labels::Labels;
use super::{FIRST, View};

/// Numbers of this node only, forgotten when the agent stops.
pub(crate) struct Local {
    view: watch::Sender<View>,
    next: Mutex<u32>,
}

impl Local {
    /// Starts with no number given.
    pub(crate) fn new() -> Self {
        Self { view: watch::Sender::default(), next: Mutex::new(FIRST) }
    }

    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    pub(super) fn identity(&self, labels: &Labels) -> u32 {
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = self.view.borrow().identities.iter().find(|(_, it)| *it == labels).map(|(id, _)| *id);
        known.unwrap_or_else(|| {
            let id = *next;
            *next += 1;
            self.view.send_modify(|view| {
                view.identities.insert(id, labels.clone());
            });
            id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_labels_share_a_number() {
        let store = Local::new();
        let [web, db] = ["k8s:app=web;", "k8s:app=db;"].map(Labels::parse);
        assert_eq!([&web, &db, &web].map(|labels| store.identity(labels)), [256, 257, 256]);
        assert_eq!(store.view().borrow().identities[&257], db);
    }
}
