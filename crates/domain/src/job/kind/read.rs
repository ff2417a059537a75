//! Answers a question about the repository, and changes nothing.

use super::super::plan::new_job;
use super::{AgentWrites, JobKind, KindSpec, Publishes};
use crate::job::{Job, JobPlan};
use crate::output::{MAX_ANSWER_CHARS, OUTPUT_FILE};
use crate::prompt::step::StepContext;
use crate::prompt::{self, QUESTION_FILE};

pub(super) const SPEC: KindSpec = KindSpec {
    label: "Read",
    title_prefix: "",
    answers_reviews: false,
    moves_ticket_unstarted: true,
    side_files: &[QUESTION_FILE, OUTPUT_FILE],
    writes: AgentWrites::OutputFile,
    publishes: Publishes::Nothing,
    checkout: true,
    introduction,
};

fn introduction(context: &prompt::Context) -> String {
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
