//! Copies the logs of jobs into a folder that the operator chose, which may contain other files.
//! All files are in a subfolder of the runner. The retention deletes only files of that subfolder with names of logs.

use crate::api::event_draft::EventDraft;
use crate::durable_file;
use nix::fcntl::OFlag;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::event::EventKind;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Units: bytes.
const MAX_BYTES: usize = 10 * 1024 * 1024;

const FULL: &str = "The rest is on the job's page and in `pullyard jobs logs`.\n";

/// Creates the subfolder of a runner, which only this user can enter.
/// Errors: it cannot be created, or is a link or a folder of another user.
pub(crate) fn create_folder(log_dir: &Path, runner: &str) -> io::Result<PathBuf> {
    let folder = log_dir.join(format!("{runner}.runner"));
    // Not `log_dir`, whose disk may not be mounted yet.
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    let handle = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&folder)?;
    if handle.metadata()?.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} is no folder of this user", folder.display())));
    }
    handle.set_permissions(Permissions::from_mode(0o700))?;
    Ok(folder)
}

/// Deletes the oldest copies and returns the file for a new one.
pub(crate) fn next_file(folder: &Path, job: &JobId, attempt: u32, keep: usize) -> PathBuf {
    let file = folder.join(format!("{job}-{attempt}.log"));
    remove_old_logs(folder, keep.saturating_sub(1), |path| *path != file && is_copy(path));
    file
}

/// Deletes the oldest files of a folder which are logs.
pub(crate) fn remove_old_logs(folder: &Path, keep: usize, is_log: impl Fn(&PathBuf) -> bool) {
    let modification = |path: PathBuf| {
        let metadata = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some((metadata.modified().ok()?, path))
    };
    let logs = durable_file::list(folder, "log").into_iter().filter(is_log);
    let mut logs: Vec<_> = logs.filter_map(modification).collect();
    logs.sort();
    let surplus = logs.len().saturating_sub(keep);
    logs.iter().take(surplus).for_each(|(_, path)| durable_file::remove(path));
}

/// Whether the file is a copy of a job's log.
fn is_copy(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('-'));
    name.is_some_and(|(job, attempt)| JobId::new(job).is_ok() && attempt.parse::<u32>().is_ok())
}

/// The copy of one attempt's log.
pub(crate) struct JobLog {
    file: File,
    free_bytes: usize,
}

impl JobLog {
    /// Appends, because a repeated attempt continues its file. Never follows a link or waits for a pipe.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).custom_flags(flags.bits()).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("this is no plain file"));
        }
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        Ok(Self { file, free_bytes: MAX_BYTES.saturating_sub(size) })
    }

    /// Adds a redacted event. After an error or the limit, nothing more is added.
    pub(crate) fn add(&mut self, event: &EventDraft) {
        let text = format_event(event);
        if self.free_bytes == 0 || text.is_empty() {
            return;
        }
        let is_full = text.len() >= self.free_bytes;
        let text = if is_full { FULL } else { &text };
        self.free_bytes = if is_full { 0 } else { self.free_bytes - text.len() };
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            tracing::warn!(error = %error, "cannot write the copy of the job's log: {error}");
            self.free_bytes = 0;
        }
    }
}

/// The lines of `pullyard jobs logs`, without control characters, because users print such files on terminals.
fn format_event(event: &EventDraft) -> String {
    let name = event.name.as_deref().or(event.path.as_deref()).unwrap_or_default();
    let prefix = match event.kind {
        EventKind::Usage => return String::new(),
        EventKind::Phase => "-- ",
        EventKind::Command => "$ ",
        EventKind::ToolCall | EventKind::FileEdit => "> ",
        EventKind::Question => "? ",
        EventKind::Steer => "< ",
        _ => "",
    };
    let data = event.data.as_ref().filter(|_| event.kind == EventKind::Raw).map(ToString::to_string);
    let text =
        event.text.clone().filter(|_| event.kind != EventKind::Phase).or(data).unwrap_or_else(|| name.to_owned());
    let is_hidden = |c: char| c.is_control() && c != '\t';
    text.lines().map(|line| format!("{prefix}{}\n", line.replace(is_hidden, "\u{fffd}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    fn job(letter: &str) -> JobId {
        JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
    }

    #[test]
    fn retention_deletes_only_the_runners_own_copies() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("kite.runner")).unwrap();
        let folder = create_folder(dir.path(), "kite").unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let write = |path: PathBuf, hours: u64| {
            let file = File::create(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3_600)).unwrap();
        };
        let copies = ["a", "b", "c"].map(|letter| next_file(&folder, &job(letter), 1, 9));
        copies.iter().zip([3, 2, 1]).for_each(|(path, hours)| write(path.clone(), hours));
        let others = ["nginx.log", "job_x-1.log", "notes.txt"].map(|name| folder.join(name));
        let outside = [dir.path().join("syslog.log"), dir.path().join(copies[0].file_name().unwrap())];
        others.iter().chain(&outside).for_each(|path| write(path.clone(), 99));
        let link = folder.join(format!("{}-2.log", job("d")));
        symlink(&outside[0], &link).unwrap();
        next_file(&folder, &job("e"), 1, 2);
        next_file(&folder, &job("c"), 1, 1);
        assert_eq!(copies.iter().map(|path| path.exists()).collect::<Vec<_>>(), [false, false, true]);
        assert!(others.iter().chain(&outside).all(|path| path.exists()) && fs::symlink_metadata(&link).is_ok());
    }

    #[test]
    fn links_are_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, dir.path().join("kite.runner")).unwrap();
        assert!(create_folder(dir.path(), "kite").is_err());
        assert!(create_folder(&dir.path().join("not-mounted"), "kite").is_err());
        fs::write(elsewhere.join("theirs"), "").unwrap();
        symlink(elsewhere.join("theirs"), dir.path().join("copy.log")).unwrap();
        assert!(JobLog::open(&dir.path().join("copy.log")).is_err());
        nix::unistd::mkfifo(&dir.path().join("pipe.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(JobLog::open(&dir.path().join("pipe.log")).is_err());
    }

    #[test]
    fn copy_has_the_lines_of_the_log_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy.log");
        let mut log = JobLog::open(&path).unwrap();
        log.add(&EventDraft::phase("executing"));
        log.add(&EventDraft::text(EventKind::Command, "make\ntest"));
        log.add(&EventDraft::text(EventKind::Log, "\u{1b}[31mred\ttab"));
        log.add(&EventDraft::text(EventKind::Usage, "1 USD"));
        log.add(&EventDraft::text(EventKind::Text, "x".repeat(MAX_BYTES)));
        log.add(&EventDraft::text(EventKind::Text, "more"));
        let expected = format!("-- executing\n$ make\n$ test\n\u{fffd}[31mred\ttab\n{FULL}");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
