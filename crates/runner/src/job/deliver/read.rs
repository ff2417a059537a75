//! Delivers an answer: runs the agent of a job that publishes nothing.

use super::agent_output::{Loaded, produce_output};
use super::answer::{check_answer, clean};
use crate::attempt::Attempt;
use crate::job::preparation::Preparation;
use crate::output;
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use pullyard_domain::review::output::{Answer, JobOutput, MAX_ANSWER_CHARS, OUTPUT_FILE, OutputFault};
use pullyard_domain::text::truncate_lines;

/// Neither commits nor pushes. The output is the agent's output file, or else its last message.
pub(in crate::job) async fn read(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &Preparation<'_>,
) -> Result<JobOutput, Stop> {
    let load = async || load_output(attempt, preparation).await.map(Loaded::Complete);
    produce_output(attempt, options, isolation, preparation, load).await
}

/// Loads the output, without secrets and invisible characters. If the file is missing, the last message of an agent
/// with sessions is the answer, unless it has to choose an outcome. A command's last line is never an answer.
async fn load_output(attempt: &Attempt<'_>, preparation: &Preparation<'_>) -> Result<JobOutput, OutputFault> {
    let answer = match output::load::<Answer>(preparation.workspace, OUTPUT_FILE).await? {
        Some(answer) => answer,
        None if preparation.agent.has_sessions() && attempt.assignment.outcomes.is_empty() => {
            let message = clean(attempt, &attempt.artifacts.last_message().await.unwrap_or_default());
            let text = truncate_lines(&message, MAX_ANSWER_CHARS);
            if text.is_empty() {
                return Err(OutputFault::missing());
            }
            Answer { text, ..Answer::default() }
        }
        None => return Err(OutputFault::missing()),
    };
    check_answer(attempt, answer)
}
