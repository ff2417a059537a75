//! Downloads the runner's program of a release, and verifies it: an ed25519 signature covers `SHA256SUMS`, which has the
//! hash of the archive.

use super::pauses;
use crate::hash::sha256_hex;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use pullyard_domain::text::format_error_chain;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// The only file of the archive that is unpacked.
pub(crate) const PROGRAM: &str = "pullyard-runner";
const TRIES: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Of one file.
const TIMEOUT: Duration = Duration::from_secs(600);
const MAX_LIST_BYTES: usize = 64 << 10;
const SIGNATURE_BYTES: usize = 64;
const MAX_ARCHIVE_BYTES: usize = 128 << 20;
/// The DER form of an ed25519 public key, before its 32 bytes.
const KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Downloads and verifies the archive of a release.
/// Errors: a sentence for an administrator. Nothing unverified is returned.
pub(crate) async fn download(address: &str, keys: &str, version: &str) -> Result<Vec<u8>, String> {
    let keys = parse_keys(keys)?;
    if keys.is_empty() {
        return Err("This program knows no release key; its owner sets PULLYARD_RELEASE_KEYS=FILE.".into());
    }
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
    let http = builder.timeout(TIMEOUT).build().map_err(|error| format!("Cannot download: {error}."))?;
    let get = async |name: &str, limit: usize| {
        let content = get(&http, &format!("{address}/{version}/{name}"), limit).await;
        content.map_err(|reason| format!("Cannot download {name} of {version}: {reason}."))
    };
    let (list, signature) = (get("SHA256SUMS", MAX_LIST_BYTES).await?, get("SHA256SUMS.sig", SIGNATURE_BYTES).await?);
    if !is_signed(&keys, &list, &signature) {
        return Err(format!("The release {version} is not signed by a known key; the update was refused."));
    }
    let name = archive_name();
    let list = String::from_utf8_lossy(&list);
    let Some(expected) = find_hash(&list, &name) else {
        return Err(format!("The release {version} has no {name}."));
    };
    let archive = get(&name, MAX_ARCHIVE_BYTES).await?;
    let received = sha256_hex(&archive);
    if received != expected {
        return Err(format!(
            "{name} is damaged or was replaced: expected {expected}, received {received}. Nothing was installed."
        ));
    }
    Ok(archive)
}

pub(crate) fn archive_name() -> String {
    let system = if cfg!(target_os = "macos") { "apple-darwin" } else { "unknown-linux-gnu" };
    format!("{PROGRAM}-{}-{system}.tar.gz", std::env::consts::ARCH)
}

/// The ed25519 public keys of a PEM file.
fn parse_keys(pem: &str) -> Result<Vec<[u8; 32]>, String> {
    let invalid = || "The release keys are invalid; write them as `infra/release --new-key` prints them.".to_owned();
    let blocks = pem.split("-----BEGIN PUBLIC KEY-----").skip(1);
    let keys = blocks.map(|block| {
        let (text, _) = block.split_once("-----END PUBLIC KEY-----")?;
        let der = STANDARD.decode(text.split_whitespace().collect::<String>()).ok()?;
        der.strip_prefix(&KEY_PREFIX)?.try_into().ok()
    });
    keys.collect::<Option<_>>().ok_or_else(invalid)
}

fn is_signed(keys: &[[u8; 32]], message: &[u8], signature: &[u8]) -> bool {
    keys.iter().any(|key| UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok())
}

fn find_hash<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix("  ")).filter(|hash| hash.len() == 64)
}

async fn get(http: &reqwest::Client, url: &str, limit: usize) -> Result<Vec<u8>, String> {
    for failures in 1..TRIES {
        if let Ok(bytes) = try_get(http, url, limit).await {
            return Ok(bytes);
        }
        sleep(pauses::back_off(failures, rand::random())).await;
    }
    try_get(http, url, limit).await
}

async fn try_get(http: &reqwest::Client, url: &str, limit: usize) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format_error_chain(&error.without_url());
    let mut answer = http.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            return Err(format!("it is larger than {limit} bytes"));
        }
    }
    Ok(bytes)
}

/// Writes the program of a verified archive to a new file. Other entries, links and paths are ignored.
pub(crate) fn unpack(archive: &[u8], to: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != tar::EntryType::Regular || entry.path_bytes().as_ref() != PROGRAM.as_bytes() {
            continue;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(to)?;
        io::copy(&mut entry, &mut file)?;
        // Root's umask may have removed what accounts of agents need.
        file.set_permissions(Permissions::from_mode(0o755))?;
        file.sync_all()?;
        return to.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("the archive has no {PROGRAM}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn to_pem(key: &[u8]) -> String {
        let der = [&KEY_PREFIX[..], key].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    #[test]
    fn signatures_of_rfc_8032_are_verified_by_each_key() {
        // Source: RFC 8032, section 7.1, tests 2 and 3.
        let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let other = bytes("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        let message = [0x72];
        let keys = |all: &[&Vec<u8>]| parse_keys(&all.iter().map(|key| to_pem(key)).collect::<String>()).unwrap();
        assert!(is_signed(&keys(&[&key]), &message, &signature));
        assert!(is_signed(&keys(&[&other, &key]), &message, &signature), "the second key signs");
        assert!(!is_signed(&keys(&[&other]), &message, &signature));
        assert!(!is_signed(&[], &message, &signature));
        assert!(!is_signed(&keys(&[&key]), &[0x73], &signature));
        assert!(!is_signed(&keys(&[&key]), &message, &signature[1..]));
        for bit in 0..512 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_signed(&keys(&[&key]), &message, &flipped), "bit {bit}");
        }
    }

    #[test]
    fn only_ed25519_keys_are_accepted() {
        assert_eq!(parse_keys("# no key yet\n"), Ok(vec![]));
        let good = to_pem(&[7; 32]);
        assert_eq!(parse_keys(&good), Ok(vec![[7; 32]]));
        for wrong in [to_pem(&[7; 31]), to_pem(&[7; 33]), good.replace("MCow", "MCox"), good.replace("END", "STOP")] {
            assert!(parse_keys(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hash_is_found_by_the_whole_name() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let list = format!("{one}  not-a.tar.gz\n{two}  a.tar.gz\nshort  b.tar.gz\n");
        assert_eq!(find_hash(&list, "a.tar.gz"), Some(two.as_str()));
        assert_eq!((find_hash(&list, "b.tar.gz"), find_hash(&list, "c.tar.gz")), (None, None));
    }

    fn pack(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o4777);
            if *kind != tar::EntryType::Regular {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn only_the_program_is_unpacked() {
        use tar::EntryType::{Link, Regular, Symlink};
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        let good = pack(&[
            ("LICENSE", Regular, b"text"),
            ("../pullyard-runner", Regular, b"outside"),
            ("/pullyard-runner", Regular, b"root"),
            ("pullyard-runner", Symlink, b""),
            ("pullyard-runner", Link, b""),
            ("pullyard-runner", Regular, b"program"),
        ]);
        unpack(&good, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"program");
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(
            unpack(&good, &to).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists,
            "a planted link is not followed"
        );
        for (name, archive) in [
            ("none", pack(&[("LICENSE", Regular, b"text")])),
            ("links", pack(&[("pullyard-runner", Symlink, b"")])),
            ("no gzip", b"hello".to_vec()),
            ("truncated", good[..good.len() - 30].to_vec()),
        ] {
            assert!(unpack(&archive, &dir.path().join(name)).is_err(), "{name}");
        }
    }
}
