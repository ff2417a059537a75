//! Why `up` did not start, as a sentence and what to do.

use crate::client::{Exit, Fault};
use crate::disk::free_bytes;
use pullyard_domain::text::causes;
use pullyard_local::Error;
use std::io;
use std::path::Path;

/// Too little to start with. Units: bytes.
const FULL: u64 = 4 << 20;

/// The sentence for a start that failed.
pub(super) fn of_start(error: Error, data: &Path) -> Fault {
    let failed = |words: String| Fault::new(Exit::Failed, words);
    let full = |source: &io::Error| source.kind() == io::ErrorKind::StorageFull;
    match &error {
        Error::InUse { data, holder } => {
            failed(format!("another `pullyard up` already uses {} ({holder})", data.display()))
                .help("use that one, or name another folder with --data")
        }
        Error::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
            failed(format!("{address} is taken by another program"))
                .help("stop that program, or name another address with --listen 127.0.0.1:PORT")
        }
        Error::Data { source, .. } if full(source) => disk_full(data),
        _ if free_bytes(data).is_some_and(|free| free < FULL) => disk_full(data),
        _ => failed(format!("failed to {}", causes(&error))),
    }
}

fn disk_full(data: &Path) -> Fault {
    Fault::new(Exit::Failed, format!("the disk of {} is full", data.display()))
        .help("free some space, then start again; nothing is lost")
}
