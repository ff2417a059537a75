//! Explains why `up` did not start.

use crate::client::CliError;
use crate::disk::free_bytes;
use pullyard_domain::text::format_error_chain;
use pullyard_local::{Addresses, Error};
use std::io::ErrorKind;
use std::path::Path;

const FORGE_TAKEN: &str = "stop the program on that port: existing clones and pull requests use this address. \
    To run a second `pullyard up`, start it with --data NEW_FOLDER and --forge-listen 127.0.0.1:PORT";
const MIN_FREE_BYTES: u64 = 4 << 20;

pub(super) fn start_fault(error: Error, data: &Path) -> CliError {
    match &error {
        Error::InUse { data, holder } => {
            CliError::failed(format!("another `pullyard up` already uses {} ({holder})", data.display()))
                .with_help("use that one, or choose another folder with --data")
        }
        Error::Listen { address, source } if source.kind() == ErrorKind::AddrInUse => {
            let help = match is_forge(address, data) {
                true => FORGE_TAKEN,
                false => "stop that program, or choose another address with --listen or --forge-listen",
            };
            CliError::failed(format!("{address} is taken by another program")).with_help(help)
        }
        Error::Data { source, .. } if source.kind() == ErrorKind::StorageFull => disk_full_fault(data),
        _ if free_bytes(data).is_some_and(|free| free < MIN_FREE_BYTES) => disk_full_fault(data),
        _ => CliError::failed(format!("failed to {}", format_error_chain(&error))),
    }
}

/// The forge's address cannot change, because clones and pull requests contain it.
fn is_forge(address: &str, data: &Path) -> bool {
    matches!(Addresses::load(data), Ok(Some(last)) if last.forge == address)
}

pub(super) fn disk_full_fault(data: &Path) -> CliError {
    CliError::failed(format!("the disk of {} is full", data.display()))
        .with_help("free some space, then start again; nothing is lost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::PathBuf;

    fn error_text(error: Error) -> String {
        start_fault(error, Path::new("/")).message()
    }

    #[test]
    fn each_start_error_has_its_message() {
        let path = PathBuf::from("/data/keys.json");
        let full = io::Error::from(ErrorKind::StorageFull);
        assert_eq!(error_text(Error::Data { path: path.clone(), source: full }), "the disk of / is full");
        let address_in_use = io::Error::from(ErrorKind::AddrInUse);
        let listen = Error::Listen { address: "127.0.0.1:7878".into(), source: address_in_use };
        assert_eq!(error_text(listen), "127.0.0.1:7878 is taken by another program");
        let used = Error::InUse { data: "/data".into(), holder: "process 7".into() };
        assert_eq!(error_text(used), "another `pullyard up` already uses /data (process 7)");
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        let other = error_text(Error::Data { path, source: denied });
        assert!(other.starts_with("failed to use the data folder /data/keys.json: "), "{other}");
    }
}
