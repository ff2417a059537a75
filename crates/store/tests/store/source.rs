//! What the crate's source must never say.

use std::path::{Path, PathBuf};

/// Every source file and its text without white space, so that no line break hides a call.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
                files.push((path, text));
            }
        }
    }
    files
}

/// The files that make a call.
fn callers(call: &str) -> Vec<String> {
    let files = sources();
    let callers = files.iter().filter(|(_, text)| text.contains(call));
    callers.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn there_is_no_scan() {
    assert!(callers(".query()").len() >= 3, "the search finds calls");
    for call in [".scan(", "execute_statement", "ExecuteStatement", "ScanInput"] {
        assert_eq!(callers(call), [""; 0], "{call}");
    }
}

/// Only there are conditions, marks and repeats dealt with.
#[test]
fn every_write_passes_through_a_transaction() {
    for call in [".put_item()", ".update_item()", ".transact_write_items()"] {
        assert_eq!(callers(call), ["transaction.rs"], "{call}");
    }
    for call in [".delete_item()", ".batch_write_item()", "batch_execute_statement", "execute_transaction"] {
        assert_eq!(callers(call), [""; 0], "{call}");
    }
}

/// The client itself is nobody's but this crate's.
#[test]
fn the_client_does_not_leave_the_crate() {
    assert_eq!(callers("pubclient"), [""; 0]);
    assert_eq!(callers("client:Client,"), ["lib.rs"]);
}
