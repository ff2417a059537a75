//! Creates ids that are unique across restarts: blocks are reserved on disk, and a crash skips the rest of a block.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::Error;

/// Not representable as a double: a client that parses ids as floating point fails here, before it uses GitHub.
pub(crate) const FIRST_ID: u64 = 9_007_199_254_740_993;
const BLOCK: u64 = 2_000;

#[derive(Debug)]
pub struct IdGenerator {
    path: PathBuf,
    state: Mutex<(u64, u64)>,
}

impl IdGenerator {
    pub fn load(dir: &Path) -> Result<Self, Error> {
        // No repository owner has a dot in its name, so the name is free.
        let path = dir.join("ids.next");
        let reserved = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or(FIRST_ID),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => FIRST_ID,
            Err(error) => return Err(Error::storage(&path)(error)),
        };
        Ok(Self { path, state: Mutex::new((reserved, reserved)) })
    }

    /// Returns an odd id above 2^53, which clients cannot store as a double.
    pub fn next(&self) -> Result<u64, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 >= state.1 {
            let reserved = state.1 + BLOCK;
            let draft = self.path.with_extension("new");
            std::fs::write(&draft, reserved.to_string()).map_err(Error::storage(&draft))?;
            std::fs::rename(&draft, &self.path).map_err(Error::storage(&self.path))?;
            state.1 = reserved;
        }
        let id = state.0;
        state.0 += 2;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_exceed_double_precision() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let ids = IdGenerator::load(dir.path()).unwrap();
            for _ in 0..BLOCK {
                let id = ids.next().unwrap();
                assert!(seen.insert(id), "{id}");
                assert_ne!(id as f64 as u64, id);
            }
        }
    }
}
