//! How much processor time a cluster gets while other work runs on the same machine.

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The share of the processors that a cluster gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuPriority {
    /// Four times the share of a process: the cluster is measured, or it is the only one.
    High,
    /// The share of a process: the measurement has ended, and another cluster is measured.
    Normal,
    /// An eighth of the share of a process: the cluster starts while another one is measured.
    Low,
}

impl CpuPriority {
    /// The share, in eighths of that of a process.
    pub(crate) fn eighths(self) -> u32 {
        match self {
            Self::High => 32,
            Self::Normal => 8,
            Self::Low => 1,
        }
    }
}

/// The CPU weight of a cluster could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("the CPU weight of the cluster could not be set")]
pub struct CpuWeightError(#[from] io::Error);

type Apply = Box<dyn Fn(CpuPriority) -> io::Result<()> + Send>;

/// The CPU weight of a cluster. It can be changed at any time, also before the cluster exists and after it has ended.
#[derive(Clone)]
pub struct CpuWeight {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    priority: CpuPriority,
    /// `None` before the cluster exists, and for a provider without CPU weights.
    apply: Option<Apply>,
}

impl Debug for CpuWeight {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CpuWeight").field(&self.priority()).finish()
    }
}

impl CpuWeight {
    /// The weight of a cluster that does not exist yet.
    #[must_use]
    pub fn new(priority: CpuPriority) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { priority, apply: None })) }
    }

    /// The current priority.
    #[must_use]
    pub fn priority(&self) -> CpuPriority {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).priority
    }

    /// Changes the priority.
    ///
    /// # Errors
    /// When the provider cannot apply it.
    pub fn set(&self, priority: CpuPriority) -> Result<(), CpuWeightError> {
        self.change(|inner| inner.priority = priority)
    }

    /// Applies the current priority, and every later one, by calling `apply`.
    pub(crate) fn attach(
        &self,
        apply: impl Fn(CpuPriority) -> io::Result<()> + Send + 'static,
    ) -> Result<(), CpuWeightError> {
        self.change(|inner| inner.apply = Some(Box::new(apply)))
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) -> Result<(), CpuWeightError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut inner);
        match &inner.apply {
            Some(apply) => Ok(apply(inner.priority)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_set_before_the_cluster_exists_is_applied_once_it_does() {
        let weight = CpuWeight::new(CpuPriority::High);
        weight.set(CpuPriority::Low).unwrap();
        let applied = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&applied);
        weight
            .attach(move |priority| {
                log.lock().unwrap().push(priority);
                Ok(())
            })
            .unwrap();
        weight.clone().set(CpuPriority::Normal).unwrap();
        assert_eq!(*applied.lock().unwrap(), [CpuPriority::Low, CpuPriority::Normal]);
    }
}
