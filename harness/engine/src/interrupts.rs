//! Interrupts of a run: Ctrl-C and SIGTERM, counted.

#[cfg(test)]
use tokio::sync::watch::Sender;
use tokio::sync::watch::{self, Receiver};
use tokio::task::JoinHandle;

/// The interrupts since a run started.
#[derive(Debug)]
pub(crate) struct Interrupts {
    count: Receiver<usize>,
    listener: Option<JoinHandle<()>>,
}

impl Interrupts {
    /// Counts the SIGINT and SIGTERM that this process receives from now on.
    pub(crate) fn of_process() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let (sender, count) = watch::channel(0);
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return Self { count, listener: None };
        };
        let listener = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Self { count, listener: Some(listener) }
    }

    /// Interrupts that the holder of the sender counts.
    #[cfg(test)]
    pub(crate) fn counted_by(sender: &Sender<usize>) -> Self {
        Self { count: sender.subscribe(), listener: None }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Returns when there were so many.
    pub(crate) async fn reached(&self, number: usize) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= number).await.is_err() {
            // No one counts any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}
