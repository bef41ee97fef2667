//! What is upgraded.
