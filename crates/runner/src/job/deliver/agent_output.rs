//! Runs the agent of a job that reports, and repairs its output.

use super::check_grant;
use crate::agent;
use crate::attempt::Attempt;
use crate::checkpoint::restore::RestoredWork;
use crate::inputs::conversation::Conversation;
use crate::inputs::orders::Order;
use crate::job::preparation::Preparation;
use crate::job::work::WorkContext;
use crate::output::{self, InputFile};
use crate::process::sandbox::JobSandbox;
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use pullyard_domain::review::output::OutputFault;

/// A correct output of the agent.
pub(super) enum Loaded<T> {
    Complete(T),
    /// The agent starts again, in a new session, with these input files.
    Next(Vec<InputFile>),
}

/// Returns the output, and the attempt in the phase `syncing`. `load` reads, cleans and checks the output.
/// Errors: `OutputInvalid`, and everything else that ends the attempt.
pub(super) async fn produce_output<T>(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &Preparation<'_>,
    mut load: impl AsyncFnMut() -> Result<Loaded<T>, OutputFault>,
) -> Result<T, Stop> {
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
    let mut next_prompt = None;
    loop {
        let output = match context.run_until_valid(&mut conversation, next_prompt, &mut load).await? {
            Loaded::Complete(output) => output,
            Loaded::Next(files) => {
                attempt.events.resume_recording();
                output::replace_inputs(workspace, &files)?;
                output::create_folder(workspace)?;
                next_prompt = None;
                continue;
            }
        };
        let input_count = preparation.agent.has_sessions().then(|| conversation.read_inputs());
        // The request is repeated until the attempt's time limit; later posts renew their own push window.
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
}
