//! Stores objects in memory or in files; a file has a JSON line of metadata before the bytes.
//! Files are written under a temporary name, synced and renamed: an object is complete or absent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Error, timestamp};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectMetadata {
    pub(super) content_type: String,
    pub(super) disposition: Option<String>,
    pub(super) sha256: String,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) metadata: ObjectMetadata,
    pub(super) bytes: Vec<u8>,
}

type MemoryObjects = BTreeMap<(String, String), (Object, SystemTime)>;

pub(super) enum ObjectStore {
    Folder(PathBuf),
    Memory(Mutex<MemoryObjects>),
}

impl ObjectStore {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        folder.map_or_else(|| Self::Memory(Mutex::default()), Self::Folder)
    }

    pub(super) fn create_bucket(&self, bucket: &str) -> Result<(), Error> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let path = folder.join(bucket);
        fs::create_dir_all(&path).map_err(|source| Error::Folder { path, source })
    }

    pub(super) fn put(&self, bucket: &str, key: &str, about: &ObjectMetadata, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(objects) => {
                let object = Object { metadata: about.clone(), bytes: bytes.to_vec() };
                lock(objects).insert((bucket.to_owned(), key.to_owned()), (object, SystemTime::now()));
                Ok(())
            }
            Self::Folder(folder) => {
                let folder = folder.join(bucket);
                let half = folder.join(format!("{}.half", timestamp::random_uuid()));
                let write = || {
                    let mut file = File::create(&half)?;
                    let mut head = serde_json::to_vec(&FileHeader { key: key.to_owned(), about: about.clone() })?;
                    head.push(b'\n');
                    file.write_all(&head)?;
                    file.write_all(bytes)?;
                    file.sync_all()?;
                    fs::rename(&half, folder.join(file_name(key)))
                };
                write().inspect_err(|_| drop(fs::remove_file(&half)))
            }
        }
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> io::Result<Option<Object>> {
        match self {
            Self::Memory(objects) => {
                Ok(lock(objects).get(&(bucket.to_owned(), key.to_owned())).map(|(object, _)| object.clone()))
            }
            Self::Folder(folder) => {
                let Some((about, mut file)) = open_object(&folder.join(bucket).join(file_name(key)))? else {
                    return Ok(None);
                };
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Ok(Some(Object { metadata: about, bytes }))
            }
        }
    }

    pub(super) fn head(&self, bucket: &str, key: &str) -> io::Result<Option<(ObjectMetadata, u64)>> {
        match self {
            Self::Memory(_) => {
                Ok(self.get(bucket, key)?.map(|Object { metadata: about, bytes }| (about, bytes.len() as u64)))
            }
            Self::Folder(folder) => {
                let Some((about, mut file)) = open_object(&folder.join(bucket).join(file_name(key)))? else {
                    return Ok(None);
                };
                let head = file.stream_position()?;
                let size = file.get_ref().metadata()?.len();
                Ok(Some((about, size.saturating_sub(head))))
            }
        }
    }

    pub(super) fn delete_older_than(&self, bucket: &str, retention: Duration) -> io::Result<usize> {
        let is_old = |at: SystemTime| at.elapsed().is_ok_and(|age| age > retention);
        match self {
            Self::Memory(objects) => {
                let mut objects = lock(objects);
                let before = objects.len();
                objects.retain(|(of, _), (_, at)| of != bucket || !is_old(*at));
                Ok(before - objects.len())
            }
            Self::Folder(folder) => {
                let mut count = 0;
                for entry in fs::read_dir(folder.join(bucket))? {
                    let entry = entry?;
                    if is_old(entry.metadata()?.modified()?) {
                        fs::remove_file(entry.path())?;
                        count += 1;
                    }
                }
                Ok(count)
            }
        }
    }
}

/// The first line of an object's file; `key` is only for a person who inspects the folder.
#[derive(Serialize, Deserialize)]
struct FileHeader {
    key: String,
    #[serde(flatten)]
    about: ObjectMetadata,
}

fn open_object(path: &Path) -> io::Result<Option<(ObjectMetadata, BufReader<File>)>> {
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut line = Vec::new();
    file.read_until(b'\n', &mut line)?;
    let head: FileHeader = serde_json::from_slice(&line)?;
    Ok(Some((head.about, file)))
}

/// Hashes a key to a file name, which cannot leave the folder and has a fixed length.
fn file_name(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock(objects: &Mutex<MemoryObjects>) -> MutexGuard<'_, MemoryObjects> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}
