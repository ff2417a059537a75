//! Copies a session's files without their secrets.
//! Lines of JSON are redacted value by value, so that they stay valid. Values that a model's provider signed or
//! encrypted cannot change, because the provider would refuse the session.

use super::archive::{self, MAX_UNPACKED_BYTES};
use crate::secrets::redact::Redactor;
use nix::fcntl::OFlag;
use serde_json::Value;
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const SIGNED_NAMES: &[&str] = &["thinking"];
/// Names of encrypted values, whose random letters may look like a token.
const ENCRYPTED_NAMES: &[&str] = &["signature", "encrypted_content"];

/// Copies a file that an agent wrote. Returns its size; `None` if a signed or encrypted text contains a secret.
/// Units: bytes.
pub(super) fn redact_copy(from: &Path, to: &Path, redactor: &Redactor) -> io::Result<Option<u64>> {
    // A link or a pipe in its place must neither lead elsewhere nor block.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(from)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if metadata.len() > MAX_UNPACKED_BYTES {
        return Err(archive::too_large());
    }
    let file = file.take(MAX_UNPACKED_BYTES);
    let to = BufWriter::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?);
    let is_copied = if from.extension().is_some_and(|ending| ending == "jsonl") {
        copy_json_lines(file, to, redactor)?
    } else {
        copy_text(file, to, redactor)?;
        true
    };
    Ok(is_copied.then_some(metadata.len()))
}

fn copy_text(mut from: io::Take<File>, mut to: impl Write, redactor: &Redactor) -> io::Result<()> {
    let mut text = Vec::new();
    from.read_to_end(&mut text)?;
    to.write_all(redactor.redact_text(&String::from_utf8_lossy(&text)).as_bytes())?;
    to.flush()
}

/// Returns `false` at the first line that cannot be redacted.
fn copy_json_lines(from: io::Take<File>, mut to: impl Write, redactor: &Redactor) -> io::Result<bool> {
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while from.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let redacted = redactor.redact_text(&text);
        match serde_json::from_slice::<Value>(&line) {
            Ok(value) => {
                let Some(clean) = redact_value(&value, redactor) else { return Ok(false) };
                // A secret may be in a value that a later value of the same name hides. The parsed line lacks it.
                if clean != value || matches!(redacted, Cow::Owned(_)) {
                    writeln!(to, "{clean}")?;
                } else {
                    to.write_all(&line)?;
                }
            }
            // The last line may be incomplete.
            Err(_) => to.write_all(redacted.as_bytes())?,
        }
        line.clear();
    }
    to.flush()?;
    Ok(true)
}

/// `None` if a signed or encrypted text contains a secret.
fn redact_value(value: &Value, redactor: &Redactor) -> Option<Value> {
    let mut clean = value.clone();
    redactor.redact_value_except(&mut clean, ENCRYPTED_NAMES);
    let is_broken = collect_texts(&clean, SIGNED_NAMES) != collect_texts(value, SIGNED_NAMES)
        || collect_texts(value, ENCRYPTED_NAMES).iter().any(|text| redactor.contains_secret(text.as_bytes()));
    (!is_broken).then_some(clean)
}

fn collect_texts<'v>(value: &'v Value, names: &[&str]) -> Vec<&'v str> {
    match value {
        Value::Array(values) => values.iter().flat_map(|value| collect_texts(value, names)).collect(),
        Value::Object(object) => {
            let texts = object.iter().flat_map(|(name, value)| match value.as_str() {
                Some(text) if names.contains(&name.as_str()) => vec![text],
                _ => collect_texts(value, names),
            });
            texts.collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SECRET: &str = "planted-secret-4711";

    fn copy_text(name: &str, content: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|folder| dir.path().join(folder).join(name));
        for path in [&from, &to] {
            fs::create_dir(path.parent().unwrap()).unwrap();
        }
        fs::write(&from, content).unwrap();
        redact_copy(&from, &to, &Redactor::new([SECRET.to_owned(), "two\nlines of it".to_owned()])).unwrap()?;
        Some(fs::read_to_string(to).unwrap())
    }

    #[test]
    fn line_without_a_secret_is_copied_byte_for_byte() {
        let line = "{\"b\": 1.50, \"a\": \"x\\u0041\"}\n";
        assert_eq!(copy_text("a.jsonl", line).unwrap(), line);
        assert_eq!(copy_text("a.jsonl", "{\"a\":").unwrap(), "{\"a\":");
    }

    #[test]
    fn secret_is_redacted_within_one_line() {
        let text =
            format!("{{\"out\":\"KEY={SECRET}\\n\",\"n\":[{{\"{SECRET}\":\"two\\nlines of it\"}}]}}\n{{\"n\":2}}\n");
        let clean = copy_text("a.jsonl", &text).unwrap();
        assert!(!clean.contains(SECRET) && !clean.contains("lines of it"), "{clean}");
        let lines: Vec<Value> = clean.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[1]["n"]), (2, &Value::from(2)));
        assert!(
            !copy_text("a.jsonl", &format!("{{\"out\":\"{SECRET}")).unwrap().contains(SECRET),
            "also in an incomplete line"
        );
        assert!(!copy_text("result.txt", &format!("{SECRET}\n")).unwrap().contains(SECRET));
    }

    #[test]
    fn duplicate_json_keys_keep_the_last_value_only() {
        let text = format!("{{\"a\":\"{SECRET}\",\"b\":[{{\"c\":\"{SECRET}\",\"c\":1}}],\"a\":\"x\"}}\n");
        assert_eq!(copy_text("a.jsonl", &text).unwrap(), "{\"a\":\"x\",\"b\":[{\"c\":1}]}\n");
    }

    #[test]
    fn signed_or_encrypted_text_with_a_secret_is_refused() {
        for name in SIGNED_NAMES.iter().chain(ENCRYPTED_NAMES) {
            let text = format!("{{\"content\":[{{\"{name}\":\"it is {SECRET}\"}}]}}\n");
            assert_eq!(copy_text("a.jsonl", &text), None, "{name}");
        }
        let text_beside = format!("{{\"content\":[{{\"thinking\":\"hm\"}},{{\"text\":\"{SECRET}\"}}]}}\n");
        assert!(copy_text("a.jsonl", &text_beside).unwrap().contains("hm"));
    }

    #[test]
    fn token_shape_is_allowed_in_encrypted_text_only() {
        let token_like = "gAAAAABghp_0123456789abcdefghijABCDEFGHIJ012345";
        let encrypted = format!("{{\"encrypted_content\":\"{token_like}\",\"text\":\"{SECRET}\"}}\n");
        assert_eq!(copy_text("a.jsonl", &encrypted).unwrap(), encrypted.replace(SECRET, "[redacted]"));
        let signed = format!("{{\"thinking\":\"{token_like}\"}}\n");
        assert_eq!(copy_text("a.jsonl", &signed), None);
    }

    #[test]
    fn symlink_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("link")).unwrap();
        let result = redact_copy(&dir.path().join("link"), &dir.path().join("to"), &Redactor::new([]));
        assert_eq!(result.unwrap_err().raw_os_error(), Some(nix::errno::Errno::ELOOP as i32));
    }

    #[test]
    fn pipe_and_oversized_file_are_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, large, to] = ["pipe.jsonl", "large.jsonl", "to"].map(|name| dir.path().join(name));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let result = redact_copy(&pipe, &to, &Redactor::new([]));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        File::create(&large).unwrap().set_len(MAX_UNPACKED_BYTES + 1).unwrap();
        let result = redact_copy(&large, &to, &Redactor::new([]));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(!to.exists());
    }

    #[test]
    fn copy_has_mode_0600_and_reports_its_size() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from.jsonl", "to.jsonl"].map(|name| dir.path().join(name));
        fs::write(&from, "{\"a\":1}\n").unwrap();
        assert_eq!(redact_copy(&from, &to, &Redactor::new([])).unwrap(), Some(8));
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let again = redact_copy(&from, &to, &Redactor::new([]));
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists, "file was overwritten");
    }
}
