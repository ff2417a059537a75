//! Tests that the crate's source avoids certain calls.

use std::path::{Path, PathBuf};

/// Every source file with its text, without white space, so that no line break hides a call.
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

fn callers(call: &str) -> Vec<String> {
    let files = sources();
    let callers = files.iter().filter(|(_, text)| text.contains(call));
    callers.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn source_contains_no_scan() {
    assert!(callers(".query()").len() >= 3, "the search finds calls");
    for call in [".scan(", "execute_statement", "ExecuteStatement", "ScanInput"] {
        assert_eq!(callers(call), [""; 0], "{call}");
    }
}

#[test]
fn only_reads_of_an_index_may_be_stale() {
    for (path, text) in sources() {
        for call in [".query()", ".get_item()", "KeysAndAttributes::builder()"] {
            for read in text.split(call).skip(1) {
                let request = read.split(';').next().unwrap_or_default();
                let is_consistent = request.contains(".consistent_read(true)") || request.contains(".index_name(");
                assert!(is_consistent, "{}: {call}", path.display());
            }
        }
    }
}

/// Conditions, marks and retries belong to that module only.
#[test]
fn every_write_uses_the_transaction_module() {
    for call in [".put_item()", ".update_item()", ".transact_write_items()"] {
        assert_eq!(callers(call), ["transaction.rs"], "{call}");
    }
    for call in [".delete_item()", ".batch_write_item()", "batch_execute_statement", "execute_transaction"] {
        assert_eq!(callers(call), [""; 0], "{call}");
    }
}

#[test]
fn client_stays_private_to_the_crate() {
    assert_eq!(callers("pubclient"), [""; 0]);
    assert_eq!(callers("client:Client,"), ["lib.rs"]);
}
