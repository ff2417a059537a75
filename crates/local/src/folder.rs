//! The data folder: who uses it, and where it was served last.
//!
//! One process at a time: the lock is the operating system's, so it ends with the process that held it.
//! The addresses are kept because what ran or was told meanwhile (tasks, pull requests, contexts) knows them.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a system serves, or served last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The API's, as `address:port`.
    pub api: String,
    /// The forge's, as `address:port`.
    pub forge: String,
}

impl Addresses {
    /// What a data folder was served at last; none if it never was.
    pub fn last(data: &Path) -> Result<Option<Self>, Error> {
        let path = data.join(ADDRESSES);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| broken(&path)(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(broken(&path)(error)),
        }
    }

    pub(crate) fn keep(&self, data: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| broken(&data.join(ADDRESSES))(error.into()))?;
        replace(data, ADDRESSES, &json)
    }
}

const ADDRESSES: &str = "addresses.json";
const LOCK: &str = "lock";

/// The right to use a data folder, until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file is what gives the folder back")] File);

impl Lock {
    /// Takes the folder, and writes into the lock's file who has it.
    pub(crate) fn take(data: &Path) -> Result<Self, Error> {
        let path = data.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(broken(&path))?;
        match locked_soon(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the sentence: whoever holds it may be writing it right now.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::InUse { data: data.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(broken(&path)(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id())).map_err(broken(&path))?;
        Ok(Self(file))
    }
}

/// Whether this was a data folder, and nobody uses it now.
pub fn is_abandoned(data: &Path) -> bool {
    let path = data.join(LOCK);
    // Who gets the lock writes so into it: before, somebody is about to take it. And nobody would ever open the other
    // end of a pipe that an agent put in its place.
    let was_taken = fs::symlink_metadata(&path).is_ok_and(|about| about.is_file() && about.len() > 0);
    was_taken && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
}

/// Locks a file, and waits a second at most: a child that was just born holds what its parent held until
/// its own program begins.
fn locked_soon(file: &File) -> Result<(), TryLockError> {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
    file.try_lock()
}

/// Replaces a file of the folder whole; only its owner reads it. A crash leaves the old or the new one.
pub(crate) fn replace(data: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = data.join(name);
    let half = data.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&half).map_err(broken(&half))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(broken(&half))?;
    fs::rename(&half, &path).map_err(broken(&path))
}

pub(crate) fn broken(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path: PathBuf = path.to_owned();
    move |source| Error::Data { path, source }
}
