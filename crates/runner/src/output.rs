//! Reads the output file of an agent. The file is hostile.

use crate::agent_files;
use crate::git::workspace::disk::run_blocking;
use crate::git::workspace::{Workspace, remove_entry};
use pullyard_domain::output::{Answer, MAX_OUTPUT_BYTES, OUTPUT_FILE, OutputFault, PULLYARD_FOLDER};
use pullyard_protocol::json;
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const VERSION: u8 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFile {
    v: u8,
    text: String,
}

/// Creates the folder of the file, the only one that the agent may write in its worktree. It replaces what the
/// repository has there, because nothing of this worktree is published.
pub(crate) fn create_folder(workspace: &Workspace) -> io::Result<()> {
    let folder = workspace.tree().join(PULLYARD_FOLDER);
    remove_entry(&folder)?;
    fs::create_dir(&folder)?;
    Ok(())
}

/// `None` if there is no file.
pub(crate) async fn load(workspace: &Workspace) -> Result<Option<Answer>, OutputFault> {
    let tree = workspace.tree();
    match run_blocking(move || read_file(&tree)).await {
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

fn parse(text: &str) -> Result<Answer, OutputFault> {
    let AnswerFile { v, text } = json::parse(text.as_bytes())
        .map_err(|json::FieldError { pointer, message: fault }| OutputFault { pointer, fault })?;
    match v {
        VERSION => Ok(Answer { text }),
        v => Err(OutputFault { pointer: "/v".into(), fault: format!("the version is {VERSION}, not {v}") }),
    }
}

pub(crate) fn repair_prompt(fault: &OutputFault) -> String {
    format!(
        "The file `{OUTPUT_FILE}` is wrong: {fault}.\nWrite the whole file, in the form that was described at the beginning."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_file_have_a_pointer() {
        let parse = |text: &str| parse(text).map_err(|fault| (fault.pointer, fault.fault));
        assert_eq!(parse(r#"{"v":1,"text":"Yes."}"#), Ok(Answer { text: "Yes.".into() }));
        let fault = |text: &str| parse(text).unwrap_err();
        assert_eq!(fault(r#"{"v":2,"text":"Yes."}"#), ("/v".into(), "the version is 1, not 2".into()));
        assert_eq!(fault(r#"{"v":1}"#).0, "/text");
        assert_eq!(fault(r#"{"v":1,"text":"Yes.","more":1}"#).0, "/more");
        assert_eq!(fault("Yes.").1, "it is not a JSON object");
    }
}
