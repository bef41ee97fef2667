//! One hop between two minors, and which keys its two versions read.

use super::template::Template;
use crate::keys;
use crate::options;
use crate::required::ConfigChange;
use model::{Minor, Version};

/// The versions of a hop, and what else it depends on.
pub(super) struct Hop<'a> {
    pub(super) from: &'a Version,
    pub(super) to: &'a Version,
    pub(super) required: &'a [ConfigChange],
    /// The version that the file had before any hop if a template decides about defaults, else that of the hop.
    pub(super) origin: &'a Version,
    /// The template of the target, on the last hop only.
    pub(super) template: Option<&'a Template>,
    /// Whether a template decides later which defaults are added.
    pub(super) skips_defaults: bool,
}

impl Hop<'_> {
    pub(super) fn source(&self) -> Minor {
        self.from.minor()
    }

    pub(super) fn target(&self) -> Minor {
        self.to.minor()
    }

    /// Tells whether the hop is an upgrade to another minor.
    pub(super) fn is_up(&self) -> bool {
        self.source() < self.target()
    }

    /// Tells whether the hop is a downgrade to another minor.
    pub(super) fn is_down(&self) -> bool {
        self.target() < self.source()
    }

    /// Tells whether an upgrade enters a minor.
    pub(super) fn enters(&self, minor: Minor) -> bool {
        self.source() < minor && minor <= self.target()
    }

    /// Tells whether a downgrade leaves a minor.
    pub(super) fn leaves(&self, minor: Minor) -> bool {
        self.target() < minor && minor <= self.source()
    }

    /// Tells whether the target reads a key; keys that no list names are read where the guide's facts say so.
    pub(super) fn target_reads(&self, name: &str) -> bool {
        options::is_read(name, self.target()).unwrap_or_else(|| {
            keys::find(name).is_none_or(|key| key.removed.is_none_or(|removed| self.target() < removed))
        })
    }

    /// Tells whether the version before reads a key.
    pub(super) fn source_reads(&self, name: &str) -> bool {
        options::is_read(name, self.source()).unwrap_or_else(|| {
            keys::find(name).is_none_or(|key| key.removed.is_none_or(|removed| self.source() < removed))
        })
    }
}
