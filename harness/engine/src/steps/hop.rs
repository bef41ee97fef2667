//! A transition between two versions.

use guide::Stage;
use model::{Direction, Impact, Version};

/// A transition, and the guide's statement about what traffic notices of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The version before.
    pub from: Version,
    /// The version after.
    pub to: Version,
    /// How the version changes.
    pub direction: Direction,
    /// What layers 3 and 4 notice.
    pub l3: Impact,
    /// What layer 7 notices.
    pub l7: Impact,
}

impl Hop {
    /// The hop of a stage.
    #[must_use]
    pub fn over(stage: &Stage) -> Self {
        let (from, to) = (stage.from.clone(), stage.to.clone());
        let direction = if to < from { Direction::Downgrade } else { Direction::Upgrade };
        Self { from, to, direction, l3: stage.l3, l7: stage.l7 }
    }

    /// The rollback after a stage.
    #[must_use]
    pub fn back_over(stage: &Stage) -> Self {
        let (from, to) = (stage.to.clone(), stage.from.clone());
        Self { from, to, direction: Direction::Rollback, ..Self::over(stage) }
    }

    /// Its name in the record and in findings.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {} -> {}", self.direction, self.from, self.to)
    }

    /// The name of the step that makes it.
    pub(super) fn step(&self) -> String {
        match self.direction {
            Direction::Rollback => format!("roll back {} -> {}", self.from, self.to),
            Direction::Restart | Direction::ReApply => format!("{} {}", self.direction, self.to),
            Direction::Upgrade | Direction::Downgrade | Direction::Watch => self.name(),
        }
    }

    /// The name of the point after it.
    pub(super) fn point(&self) -> String {
        let done = match self.direction {
            Direction::Rollback => "rolled-back",
            Direction::Downgrade => "downgraded",
            Direction::Restart => "restarted",
            Direction::ReApply => "re-applied",
            Direction::Upgrade | Direction::Watch => "upgraded",
        };
        format!("{done}-{}", self.to)
    }
}
