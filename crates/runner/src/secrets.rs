//! Tokens, and the removal of secrets from everything that leaves this machine.

pub(crate) mod access;
pub(crate) mod minted;
pub(crate) mod redact;
