//! What a cluster gets of the processors beside whatever else the machine does.

use std::sync::{Arc, Mutex, PoisonError};

use super::SandboxError;
use super::cgroup;
use super::host::io;

/// How much of the processors a cluster gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Four times what a process gets: it measures, or nobody does.
    Most,
    /// What a process gets: it has measured, and is taken down while another measures.
    Process,
    /// An eighth of what a process gets, and a thirty-second of what a cluster gets that measures: it makes itself
    /// ready beside one.
    Least,
}

impl Weight {
    fn eighths(self) -> u32 {
        match self {
            Self::Most => 32,
            Self::Process => 8,
            Self::Least => 1,
        }
    }
}

/// The weight of a cluster, which can be changed from before it is made to after it has ended.
#[derive(Clone, Debug)]
pub struct Share {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    weight: Weight,
    /// None before the cluster is made, and for one that has no weight.
    cgroup: Option<String>,
}

impl Share {
    /// The weight of a cluster that is not made yet.
    #[must_use]
    pub fn new(weight: Weight) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { weight, cgroup: None })) }
    }

    /// Changes it.
    ///
    /// # Errors
    /// When the cluster's cgroup cannot be written.
    pub fn set(&self, weight: Weight) -> Result<(), SandboxError> {
        self.change(|inner| inner.weight = weight)
    }

    /// Applies it, from now on, to the cgroup of this name, which is made for that.
    pub(super) fn belongs_to(&self, cgroup: &str) -> Result<(), SandboxError> {
        self.change(|inner| inner.cgroup = Some(cgroup.to_owned()))
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) -> Result<(), SandboxError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut inner);
        let Some(name) = &inner.cgroup else { return Ok(()) };
        cgroup::weigh(name, inner.weight.eighths())
            .map_err(io(format!("the cgroup {name} could not be given its weight")))
    }
}

/// Whether clusters of this machine can be given weights.
#[must_use]
pub fn can_weigh() -> bool {
    cgroup::can_weigh()
}
