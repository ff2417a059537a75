//! Runs the agent of a job that publishes nothing, and returns its answer.

use crate::agent;
use crate::checkpoint::restore::RestoredWork;
use crate::inputs::conversation::Conversation;
use crate::inputs::orders::Order;
use crate::job::attempt::Attempt;
use crate::job::deliver::check_grant;
use crate::job::prepare::Preparation;
use crate::job::work::WorkContext;
use crate::output;
use crate::process::sandbox::JobSandbox;
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use pullyard_domain::failure::Failure;
use pullyard_domain::output::{Answer, JobOutput, MAX_ANSWER_CHARS, OutputFault};
use pullyard_domain::prompt::untrusted;
use pullyard_domain::text::truncate_lines;

/// How many times the agent is prompted to correct a wrong output.
const MAX_REPAIRS: u32 = 2;

/// Neither commits nor pushes. The output is the agent's output file, or else its last message.
pub(in crate::job) async fn read(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &Preparation<'_>,
) -> Result<JobOutput, Stop> {
    let Preparation { access, mirror, target, workspace, .. } = preparation;
    let sandbox = JobSandbox::create(options, isolation, attempt, (workspace, mirror.dir())).await?;
    output::create_folder(workspace)?;
    // Before `executing` is reported: a job whose required session is lost fails before its agent starts.
    let restored_work: RestoredWork =
        attempt.unless_ordered(preparation.checkpoint.restore(attempt, &access.git, workspace)).await?;
    attempt.unless_ordered(attempt.report_executing(Some(preparation.agent.describe(isolation)))).await?;
    let mut conversation = Conversation::new(attempt.assignment, &restored_work, String::new());
    attempt.checkpoint_state.begin(target, restored_work.session.clone());
    preparation.model_keys.write_auth_file()?;
    let sandbox = sandbox.as_ref();
    let restored_work = &restored_work;
    let context =
        WorkContext { attempt, options, isolation, sandbox, preparation, command_runner: None, restored_work };
    let (mut next_prompt, mut repairs_left) = (None, MAX_REPAIRS);
    loop {
        context.run_agent(&mut conversation, next_prompt.as_deref()).await?;
        attempt.events.end_record();
        match load_output(attempt, preparation).await {
            Ok(output) => {
                let input_count = preparation.agent.has_sessions().then(|| conversation.read_inputs());
                // Nothing is pushed, so no push window ends: the request is repeated until the attempt's time limit.
                let request = attempt.unless(Order::Cancel, attempt.request_push(input_count));
                if check_grant(&request.await?)? {
                    return Ok(output);
                }
                if !context.take_newer_inputs(&mut conversation).await? {
                    check_grant(&attempt.unless(Order::Cancel, attempt.request_push(None)).await?)?;
                    return Ok(output);
                }
                next_prompt = Some(format!("{} Then write the whole answer again.", agent::READ_INPUTS_PROMPT));
            }
            Err(fault) if repairs_left == 0 => return Err(Failure::OutputInvalid { fault: fault.to_string() }.into()),
            Err(fault) => {
                repairs_left -= 1;
                attempt.events.resume_recording();
                attempt.events.log(format!("The output is wrong: {fault}."));
                next_prompt = Some(output::repair_prompt(&fault));
            }
        }
    }
}

/// Loads the output, without secrets and invisible characters. If the file is missing, the last message of an agent
/// with sessions is the answer. A command's last line is never an answer.
async fn load_output(attempt: &Attempt<'_>, preparation: &Preparation<'_>) -> Result<JobOutput, OutputFault> {
    let clean = |text: &str| attempt.redactor.redact_text(&untrusted::remove_hidden(text)).into_owned();
    let output = match output::load(preparation.workspace).await? {
        Some(answer) => JobOutput::Read(answer).map_texts(clean),
        None if preparation.agent.has_sessions() => {
            let message = clean(&attempt.artifacts.last_message().await.unwrap_or_default());
            let text = truncate_lines(&message, MAX_ANSWER_CHARS);
            if text.is_empty() {
                return Err(OutputFault::missing());
            }
            JobOutput::Read(Answer { text })
        }
        None => return Err(OutputFault::missing()),
    };
    output.check()?;
    Ok(output)
}
