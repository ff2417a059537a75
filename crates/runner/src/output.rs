//! Reads the output file of an agent. The file is hostile.

use crate::agent_files;
use crate::git::Git;
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::run_blocking;
use pullyard_domain::output::{Answer, MAX_OUTPUT_BYTES, OUTPUT_FILE, OutputFault, PULLYARD_FOLDER};
use pullyard_protocol::json;
use serde::Deserialize;
use std::fs;
use std::io;

const VERSION: u8 = 1;

pub(crate) enum WrittenOutput {
    File(Answer),
    Missing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFile {
    v: u8,
    text: String,
}

/// Creates the folder of the file, the only one that the agent may write in its worktree. A repository that has another
/// entry of that name keeps it, and its agent writes no file.
pub(crate) fn create_folder(workspace: &Workspace) -> io::Result<()> {
    match fs::create_dir(workspace.tree().join(PULLYARD_FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A file that the repository tracks counts as missing.
pub(crate) async fn load(git: &Git, workspace: &Workspace) -> Result<WrittenOutput, OutputFault> {
    if !agent_files::is_untracked(git, workspace, OUTPUT_FILE).await {
        return Ok(WrittenOutput::Missing);
    }
    let tree = workspace.tree();
    match run_blocking(move || agent_files::read(&tree, OUTPUT_FILE, MAX_OUTPUT_BYTES)).await {
        Ok(text) => parse(&text).map(WrittenOutput::File),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(WrittenOutput::Missing),
        Err(error) => Err(OutputFault { pointer: String::new(), fault: error.to_string() }),
    }
}

fn parse(text: &str) -> Result<Answer, OutputFault> {
    let AnswerFile { v, text } = json::parse(text.as_bytes())
        .map_err(|json::FieldError { pointer, message: fault }| OutputFault { pointer, fault })?;
    match v {
        VERSION => Ok(Answer { text }),
        v => Err(OutputFault { pointer: "/v".into(), fault: format!("the version is {VERSION}, not {v}") }),
    }
}

pub(crate) fn repair_prompt(OutputFault { pointer, fault }: &OutputFault) -> String {
    format!(
        "The file `{OUTPUT_FILE}` is wrong at `{pointer}`: {fault}.\nWrite the whole file again, in the form that was described at the beginning."
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
