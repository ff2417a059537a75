//! The data folder: its lock and the addresses of the last start.
//! Addresses are stored because tasks, pull requests and contexts of an earlier start refer to them.

use crate::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    pub api: String,
    pub forge: String,
}

impl Addresses {
    pub fn load(data: &Path) -> Result<Option<Self>, Error> {
        load_json(data, ADDRESSES)
    }

    pub(crate) fn save(&self, data: &Path) -> Result<(), Error> {
        save_json(data, ADDRESSES, self)
    }
}

const ADDRESSES: &str = "addresses.json";
const LOCK: &str = "lock";

#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Lock {
    /// Takes the lock, which the operating system releases when the process ends, and stores the process id.
    pub(crate) fn acquire(data: &Path) -> Result<Self, Error> {
        let path = data.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(data_error(&path))?;
        match lock_with_retry(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Best effort, for the message only: the owner may be writing it now.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::InUse { data: data.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(data_error(&path)(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id())).map_err(data_error(&path))?;
        Ok(Self(file))
    }
}

/// Whether this was a data folder and no process uses it now.
pub fn is_abandoned(data: &Path) -> bool {
    let path = data.join(LOCK);
    // An empty file is a lock that another process is about to take. A pipe, created by an agent, would block `open`.
    let was_taken = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
    was_taken && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
}

/// Waits up to a second: a child process may inherit the lock until it executes its program.
fn lock_with_retry(file: &File) -> Result<(), TryLockError> {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
    file.try_lock()
}

/// Returns `None` if the file does not exist.
pub(crate) fn load_json<T: DeserializeOwned>(data: &Path, name: &str) -> Result<Option<T>, Error> {
    let path = data.join(name);
    match fs::read(&path).and_then(|json| Ok(serde_json::from_slice(&json)?)) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(data_error(&path)(error)),
    }
}

/// Replaces the file atomically; only the owner can read it.
pub(crate) fn save_json(data: &Path, name: &str, value: &impl Serialize) -> Result<(), Error> {
    let path = data.join(name);
    let json = serde_json::to_vec_pretty(value).map_err(|error| data_error(&path)(error.into()))?;
    let temporary = data.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(data_error(&temporary))?;
    file.write_all(&json).and_then(|()| file.sync_all()).map_err(data_error(&temporary))?;
    fs::rename(&temporary, &path).map_err(data_error(&path))
}

pub(crate) fn data_error(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path: PathBuf = path.to_owned();
    move |source| Error::Data { path, source }
}
