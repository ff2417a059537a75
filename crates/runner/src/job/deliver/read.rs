//! Runs the agent of a job that publishes nothing, and returns what it reports.

use crate::checkpoint::restore::RestoredWork;
use crate::inputs::conversation::Conversation;
use crate::job::attempt::Attempt;
use crate::job::prepare::Preparation;
use crate::job::work::WorkContext;
use crate::output::{self, WrittenOutput};
use crate::process::sandbox::JobSandbox;
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use pullyard_domain::failure::Failure;
use pullyard_domain::output::{Answer, JobOutput, MAX_ANSWER_CHARS, OutputFault};
use pullyard_domain::prompt::untrusted;
use pullyard_domain::text::truncate;

/// How often a wrong output goes back to the agent.
const MAX_REPAIRS: u32 = 2;

/// Neither commits nor pushes: of everything that the agent leaves, only its output file is read.
pub(in crate::job) async fn read(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &Preparation<'_>,
) -> Result<JobOutput, Stop> {
    let Preparation { access, mirror, target, workspace, .. } = preparation;
    let sandbox = JobSandbox::create(options, isolation, attempt, (workspace, mirror.dir())).await?;
    // Before the phase `executing`, because an attempt without its session starts no agent.
    let restored_work: RestoredWork =
        attempt.unless_ordered(preparation.checkpoint.restore(attempt, &access.git, workspace)).await?;
    attempt.unless_ordered(attempt.report_executing(Some(preparation.agent.describe(isolation)))).await?;
    let mut conversation = Conversation::new(attempt.assignment, &restored_work, String::new());
    attempt.checkpoint_state.begin(target, restored_work.session.clone());
    preparation.model_keys.write_auth_file()?;
    output::create_folder(workspace)?;
    let sandbox = sandbox.as_ref();
    let restored_work = &restored_work;
    let context =
        WorkContext { attempt, options, isolation, sandbox, preparation, command_runner: None, restored_work };
    let mut repair = None;
    for tries_left in (0..=MAX_REPAIRS).rev() {
        context.run_agent(&mut conversation, repair.as_deref()).await?;
        attempt.events.end_record();
        match load_output(attempt, preparation).await {
            Ok(output) => return Ok(output),
            Err(OutputFault { pointer, fault }) if tries_left == 0 => {
                return Err(Failure::OutputInvalid { pointer, fault }.into());
            }
            Err(fault) => {
                attempt.events.resume_recording();
                attempt.events.log(format!("The output is wrong at `{}`: {}.", fault.pointer, fault.fault));
                repair = Some(output::repair_prompt(&fault));
            }
        }
    }
    unreachable!("the last try returns")
}

/// The output without secrets and invisible characters. Without a file, the agent's last message is the answer.
async fn load_output(attempt: &Attempt<'_>, preparation: &Preparation<'_>) -> Result<JobOutput, OutputFault> {
    let clean = |text: &str| attempt.redactor.redact_text(&untrusted::remove_hidden(text)).into_owned();
    let output = match output::load(&preparation.access.git, preparation.workspace).await? {
        WrittenOutput::File(answer) => JobOutput::Read(answer),
        WrittenOutput::Missing => {
            let text = attempt.artifacts.last_message().await.unwrap_or_default();
            JobOutput::Read(Answer { text: truncate(&text, MAX_ANSWER_CHARS - 1) })
        }
    };
    let output = output.map_texts(clean);
    output.check()?;
    Ok(output)
}
