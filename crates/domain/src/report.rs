//! What a job reports without changing a file, and what of it is posted at the forge.

pub mod diff;
