//! The folder `.pullyard` of a job that reports: its agent's input files and output file.
//! The agent may change every file there, so the output is hostile, and the input files are copies.

use crate::agent_files;
use crate::attempt::Attempt;
use crate::git::Git;
use crate::git::workspace::disk::{create_private_dirs, run_blocking};
use crate::git::workspace::{Workspace, remove_entry};
use pullyard_domain::review::output::{INPUT_FOLDER, MAX_OUTPUT_BYTES, OUTPUT_FILE, OutputFault, PULLYARD_FOLDER};
use pullyard_protocol::json;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

const VERSION: u8 = 1;

pub(crate) struct InputFile {
    pub(crate) name: String,
    pub(crate) content: String,
}

#[derive(Deserialize)]
struct Versioned {
    v: u8,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// Stores an input file outside the worktree; `create_folder` copies it.
pub(crate) fn add_input(workspace: &Workspace, name: &str, content: &[u8]) -> io::Result<()> {
    let folder = kept_inputs(workspace);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), content)
}

/// Replaces all input files.
pub(crate) fn replace_inputs(workspace: &Workspace, files: &[InputFile]) -> io::Result<()> {
    remove_entry(&kept_inputs(workspace))?;
    files.iter().try_for_each(|file| add_input(workspace, &file.name, file.content.as_bytes()))
}

/// The path of an input file in subfolders; `None` if it would leave the folder.
pub(crate) fn input_path(workspace: &Workspace, file: &str) -> Option<PathBuf> {
    let is_plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| kept_inputs(workspace).join(file))
}

fn kept_inputs(workspace: &Workspace) -> PathBuf {
    workspace.root().join("input")
}

/// Creates the folder with the input files. The agent may write only there. An existing one of the repository
/// is replaced, because this worktree is never published.
pub(crate) fn create_folder(workspace: &Workspace) -> io::Result<()> {
    let folder = workspace.tree().join(PULLYARD_FOLDER);
    remove_entry(&folder)?;
    fs::create_dir(&folder)?;
    copy_inputs(workspace)
}

/// Copies the input files into a worktree that is published. Other files of the repository in the folder remain.
/// Removes an output that the setup left.
pub(crate) fn add_inputs(workspace: &Workspace, reports: bool) -> io::Result<()> {
    if !reports && !kept_inputs(workspace).is_dir() {
        return Ok(());
    }
    let folder = workspace.tree().join(PULLYARD_FOLDER);
    match fs::symlink_metadata(&folder) {
        Ok(metadata) if metadata.is_dir() => {
            remove_entry(&workspace.tree().join(INPUT_FOLDER))?;
            if reports {
                remove_entry(&workspace.tree().join(OUTPUT_FILE))?;
            }
        }
        Ok(_) => return Err(io::Error::other(format!("`{PULLYARD_FOLDER}` of the repository is no folder"))),
        Err(_) => fs::create_dir(&folder)?,
    }
    workspace.hide_in_tree(&[INPUT_FOLDER, OUTPUT_FILE])?;
    copy_inputs(workspace)
}

fn copy_inputs(workspace: &Workspace) -> io::Result<()> {
    let kept = kept_inputs(workspace);
    match kept.is_dir() {
        true => copy_folder(&kept, &workspace.tree().join(INPUT_FOLDER)),
        false => Ok(()),
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for file in fs::read_dir(from)? {
        let (file, to) = file.map(|file| (file.path(), to.join(file.file_name())))?;
        match file.is_dir() {
            true => copy_folder(&file, &to)?,
            false => drop(fs::copy(&file, &to)?),
        }
    }
    Ok(())
}

/// Replaces everything of the agent before, also in its home and temporary folder, by this input file for the next one.
pub(crate) fn reset_agent_folders(workspace: &Workspace, name: &str, content: &[u8]) -> io::Result<()> {
    for dir in [workspace.home(), workspace.temp_dir()] {
        remove_entry(&dir)?;
        create_private_dirs(&dir)?;
    }
    remove_entry(&kept_inputs(workspace))?;
    add_input(workspace, name, content)
}

/// As `load`, of a worktree that is published: a file that the repository tracks is not the agent's. Logs a fault.
pub(crate) async fn load_own<T: DeserializeOwned + Default>(
    attempt: &Attempt<'_>,
    (git, workspace): (&Git, &Workspace),
    file: &'static str,
) -> T {
    if !agent_files::is_untracked(git, workspace, file).await {
        return T::default();
    }
    let loaded = load(workspace, file).await.inspect_err(|fault| {
        attempt.events.log(format!("The agent's file `{file}` is ignored: {fault}."));
    });
    loaded.ok().flatten().unwrap_or_default()
}

/// `None` if there is no file.
pub(crate) async fn load<T: DeserializeOwned>(
    workspace: &Workspace,
    file: &'static str,
) -> Result<Option<T>, OutputFault> {
    let tree = workspace.tree();
    match run_blocking(move || agent_files::read(&tree, file, MAX_OUTPUT_BYTES)).await {
        Ok(text) => parse(&text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OutputFault { pointer: String::new(), fault: error.to_string() }),
    }
}

pub(crate) fn read_file(tree: &Path) -> io::Result<String> {
    agent_files::read(tree, OUTPUT_FILE, MAX_OUTPUT_BYTES)
}

/// Restores the file of an earlier attempt into the new folder, before an agent runs.
pub(crate) fn restore_file(tree: &Path, text: &str) -> io::Result<()> {
    File::create_new(tree.join(OUTPUT_FILE))?.write_all(text.as_bytes())
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, OutputFault> {
    let to_fault = |json::FieldError { pointer, message: fault }| OutputFault { pointer, fault };
    let Versioned { v, rest } = json::parse(text.as_bytes()).map_err(to_fault)?;
    if v != VERSION {
        return Err(OutputFault { pointer: "/v".into(), fault: format!("the version is {VERSION}, not {v}") });
    }
    let rest = serde_json::Value::Object(rest).to_string();
    json::parse(rest.as_bytes()).map_err(to_fault)
}

pub(crate) fn repair_prompt(fault: &OutputFault) -> String {
    format!(
        "The file `{OUTPUT_FILE}` is wrong: {fault}.\nWrite the whole file, in the form that was described at the beginning."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::review::output::Answer;

    #[test]
    fn faults_of_the_file_have_a_pointer() {
        let parse = |text: &str| parse::<Answer>(text).map_err(|fault| (fault.pointer, fault.fault));
        assert_eq!(parse(r#"{"v":1,"text":"Yes."}"#), Ok(Answer { text: "Yes.".into(), ..Answer::default() }));
        let fault = |text: &str| parse(text).unwrap_err();
        assert_eq!(fault(r#"{"v":2,"text":"Yes."}"#), ("/v".into(), "the version is 1, not 2".into()));
        assert_eq!(fault(r#"{"v":1}"#).0, "/text");
        assert_eq!(fault(r#"{"v":1,"text":"Yes.","more":1}"#).0, "/more");
        assert_eq!(fault("Yes.").1, "it is not a JSON object");
        let added = |key: &str| {
            let step = format!(r#"{{"name":"a","role":"implementer","prompt":"Do it.",{key}}}"#);
            parse(&format!(r#"{{"v":1,"text":"Divided.","spawn":[{step}]}}"#))
        };
        assert!(added(r#""needs":["b"],"limits":{"cost_usd":2,"wall":"30m"}"#).is_ok());
        for (key, pointer) in [
            (r#""need":["b"]"#, "need"),
            (r#""depends_on":["b"]"#, "depends_on"),
            (r#""checks":["true"]"#, "checks"),
            (r#""limits":{"cost":2}"#, "limits/cost"),
        ] {
            assert_eq!(added(key).unwrap_err().0, format!("/spawn/0/{pointer}"));
        }
    }
}
