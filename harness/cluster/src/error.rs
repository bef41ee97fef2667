//! The error of every provider.

use std::error::Error;

/// A provider failed; the message and its causes are those of the provider's own error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ProviderError(Box<dyn Error + Send + Sync>);

impl ProviderError {
    /// Wraps the error of a provider.
    #[must_use]
    pub fn new(source: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(source))
    }

    /// The provider's own error, where it has this type.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

/// Something was asked of a provider that it does not support.
#[derive(Debug, thiserror::Error)]
#[error("provider {provider} cannot {action}")]
pub struct Unsupported {
    /// The provider.
    pub provider: &'static str,
    /// What it cannot do.
    pub action: &'static str,
}

impl From<Unsupported> for ProviderError {
    fn from(error: Unsupported) -> Self {
        Self::new(error)
    }
}
