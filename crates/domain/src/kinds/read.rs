//! Answers a question about the repository, and changes nothing.

use super::plan::{JobPlan, new_job};
use crate::agent::files::OUTPUT_FILE;
use crate::job::{Job, JobKind};
use crate::kinds::prompt::Context;
use crate::review::output::MAX_ANSWER_CHARS;
use crate::run::StepContext;

pub(super) fn introduction(context: &Context) -> String {
    let (repository, base) = (&context.repository.name, &context.base);
    let spawn = context.step.as_ref().map(StepContext::spawn_prompt).unwrap_or_default();
    let outcomes = context.step.as_ref().map(|step| step.outcomes.as_slice()).unwrap_or_default();
    if let [first, ..] = outcomes {
        let all = outcomes.iter().map(|outcome| format!("`{outcome}`")).collect::<Vec<_>>().join(", ");
        return format!(
            "You read a checkout of {repository}, whose base is the branch `{base}`, and do what is asked below. Change no file: only the folder `.pullyard` is writable, and no change is kept.\nEnd with one of these outcomes: {all}. Write it with your answer, in Markdown, to `{OUTPUT_FILE}`: one JSON object such as {{\"v\":1,\"outcome\":\"{first}\",\"text\":\"`retry()` is called in `src/client.rs:41`.\"}}, with at most {MAX_ANSWER_CHARS} characters of text. If users send messages, write it again, to the same place.\n{spawn}",
        );
    }
    format!(
        "You read a checkout of {repository}, branch `{base}`, and answer what is asked below. Change no file: only the folder `.pullyard` is writable, and no change is kept.\nWrite your answer, in Markdown, to `{OUTPUT_FILE}`: one JSON object such as {{\"v\":1,\"text\":\"`retry()` is called in `src/client.rs:41`.\"}}, with at most {MAX_ANSWER_CHARS} characters of text. Without that file, your last message is the answer. If users send messages, write the whole answer again, to the same place.\n{spawn}",
    )
}

/// Plans a job that reads the branch `base`.
pub fn plan_reading(plan: &JobPlan<'_>, base: &str) -> Job {
    let mut job = new_job(plan, JobKind::Read, base.to_owned());
    job.policy.signs = false;
    job
}
