//! Stores each object in a file of its bucket's folder, under a hash of the key.
//! A file is written under a temporary name and renamed: an object is complete or absent.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::{Error, timestamp};

pub(super) struct ObjectStore {
    folder: PathBuf,
    is_synced: bool,
}

impl ObjectStore {
    pub(super) fn new(folder: PathBuf, is_synced: bool) -> Self {
        Self { folder, is_synced }
    }

    pub(super) fn create_bucket(&self, bucket: &str) -> Result<(), Error> {
        let path = self.folder.join(bucket);
        fs::create_dir_all(&path).map_err(|source| Error::Folder { path, source })
    }

    pub(super) fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(bucket).join(format!("{}.half", timestamp::random_uuid()));
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            if self.is_synced {
                file.sync_all()?;
            }
            fs::rename(&temporary, self.path(bucket, key))
        };
        write().inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> io::Result<Option<Vec<u8>>> {
        none_if_missing(fs::read(self.path(bucket, key)))
    }

    pub(super) fn size(&self, bucket: &str, key: &str) -> io::Result<Option<u64>> {
        none_if_missing(fs::metadata(self.path(bucket, key)).map(|file| file.len()))
    }

    pub(super) fn delete_older_than(&self, bucket: &str, retention: Duration) -> io::Result<usize> {
        let is_old = |at: SystemTime| at.elapsed().is_ok_and(|age| age > retention);
        let mut count = 0;
        for entry in fs::read_dir(self.folder.join(bucket))? {
            let entry = entry?;
            if is_old(entry.metadata()?.modified()?) {
                fs::remove_file(entry.path())?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// The hash of the key cannot leave the folder and has a fixed length.
    fn path(&self, bucket: &str, key: &str) -> PathBuf {
        let name: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(bucket).join(name)
    }
}

fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
