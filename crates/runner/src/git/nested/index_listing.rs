//! Parses the output of `git ls-files --stage -z`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

pub(crate) fn parse_submodules(listed: &[u8]) -> HashSet<PathBuf> {
    listed
        .split(|byte| *byte == 0)
        .filter(|entry| entry.starts_with(b"160000 "))
        .filter_map(parse_path)
        .map(|path| PathBuf::from(OsString::from_vec(path.to_vec())))
        .collect()
}

pub(super) fn parse_path(entry: &[u8]) -> Option<&[u8]> {
    entry.splitn(2, |byte| *byte == b'\t').nth(1)
}
