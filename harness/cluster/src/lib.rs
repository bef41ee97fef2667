//! Ephemeral clusters.
