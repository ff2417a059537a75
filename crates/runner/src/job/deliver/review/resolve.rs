//! Reviews a pull request before an agent fixes it, and reports the result of each finding.
//! Each attempt starts with a new review, because a checkpoint has no findings.

use super::threads::{self, OpenThread};
use super::{Report, find_posted, load_output, post_report, write_input};
use crate::api::forge_wait::ForgeWait;
use crate::attempt::Attempt;
use crate::checkpoint::restore::RestoredWork;
use crate::git::commit;
use crate::inputs::conversation::Conversation;
use crate::inputs::orders::Order;
use crate::job::deliver::check_grant;
use crate::job::preparation::Preparation;
use crate::job::work::WorkContext;
use crate::job::work_result::WorkResult;
use crate::output;
use crate::publish::push::{PublishResult, PushedBy};
use crate::stop::Stop;
use pullyard_domain::job::JobKind;
use pullyard_domain::kinds::review_prompt;
use pullyard_domain::review::output::{OUTPUT_FILE, PostedReview};
use pullyard_domain::review::report::fix_output::{FINDINGS_FILE, FixOutput, MIN_FIXED_SEVERITY};
use pullyard_domain::review::report::review_output::{Severity, ThreadState};
use pullyard_domain::text::untrusted::remove_hidden;
use pullyard_protocol::attempt::{Assignment, Phase};
use serde_json::{Value, json};

impl Report {
    /// `None` for a job that does not review.
    pub(in crate::job::deliver) async fn begin(
        attempt: &Attempt<'_>,
        preparation: &Preparation<'_>,
    ) -> Result<Option<Self>, Stop> {
        let Assignment { kind, revises, .. } = attempt.assignment;
        let Some(revises) = revises.as_ref().filter(|_| kind.reviews()) else { return Ok(None) };
        let head = revises.head.clone();
        if preparation.target.adopted_commit.is_some() {
            return Ok(Some(Self::adopted(head)));
        }
        let input = attempt.unless_ordered(write_input(attempt, preparation)).await?;
        Ok(Some(Self { input, head, ..Self::default() }))
    }

    fn adopted(head: String) -> Self {
        let mut report = Self { head, adopted: true, ..Self::default() };
        report.output.summary = "An earlier attempt pushed these commits and ended before its report. Its findings are lost: run `pullyard review PR`.".into();
        report
    }

    /// Reviews the change, and prepares the worktree for the agent that fixes it. Returns whether a fix is necessary.
    pub(in crate::job::deliver) async fn review(&mut self, context: &WorkContext<'_>) -> Result<bool, Stop> {
        let WorkContext { attempt, preparation, .. } = *context;
        let Preparation { access, target, workspace, .. } = preparation;
        let assignment = attempt.assignment;
        let number = assignment.revises.as_ref().map(|revises| revises.number);
        let prompt = review_prompt(&assignment.repository.name, &target.base_branch, number);
        let reviewing = Assignment { kind: JobKind::Review, prompt, ..assignment.clone() };
        let mut reviewing = Conversation::new(&reviewing, &RestoredWork::default(), String::new());
        output::create_folder(workspace)?;
        let mut load = async || load_output(attempt, preparation).await;
        self.output = context.run_until_valid(&mut reviewing, None, &mut load).await?;
        self.head.clone_from(&target.start_commit);
        self.earlier = threads::judge(&self.input.threads, &self.output);
        let findings = self.list_findings(assignment.repository.account.is_some());
        // The fixing agent gets no text of strangers and no file of the reviewing agent.
        let json = serde_json::to_vec(&findings).map_err(std::io::Error::from)?;
        output::reset_agent_folders(workspace, FINDINGS_FILE, &json)?;
        attempt.unless_ordered(commit::restore_tree(&access.git, workspace, &target.start_commit)).await?;
        output::create_folder(workspace)?;
        attempt.events.log(format!("The review is done. Findings to fix: {}.", findings.len()));
        let has_work = !findings.is_empty() || assignment.has_instructions || reviewing.read_inputs() > 0;
        if has_work {
            attempt.events.resume_recording();
        }
        Ok(has_work)
    }

    /// Posts the report. `change`: the pushed commit and the result of its work, if a fix was necessary.
    pub(in crate::job::deliver) async fn post(
        mut self,
        attempt: &Attempt<'_>,
        preparation: &mut Preparation<'_>,
        change: Option<&(WorkResult, PublishResult)>,
    ) -> Result<PostedReview, Stop> {
        match change {
            None => drop(check_grant(&attempt.unless(Order::Cancel, attempt.request_push(None)).await?)?),
            Some((work, published)) => match published.pushed_by {
                PushedBy::ThisAttempt => {
                    self.pushed = Some(published.commit.clone());
                    // After a rebase, the pushed commit contains commits of others, which no agent has reviewed.
                    if published.commit == work.commit {
                        self.head.clone_from(&published.commit);
                    }
                }
                PushedBy::EarlierAttempt => {
                    self = Self { pushed: Some(published.commit.clone()), ..Self::adopted(self.head) };
                    let mut forge_wait = ForgeWait::new(attempt, Phase::Syncing, attempt.forge_away);
                    if let Some(posted) = find_posted(attempt, preparation, &mut forge_wait).await? {
                        return Ok(posted);
                    }
                }
                // The fixes are not in this commit.
                PushedBy::OtherUser => return post_report(attempt, preparation, self).await,
            },
        }
        let own = (&preparation.access.git, preparation.workspace);
        let mut fixes: FixOutput = output::load_own(attempt, own, OUTPUT_FILE).await;
        for fix in &mut fixes.findings {
            fix.text = attempt.redactor.redact_text(&remove_hidden(&fix.text)).into_owned();
        }
        if !self.adopted {
            let found = self.output.findings.len();
            self.fixed = fixes.apply(self.pushed.as_deref(), &mut self.output, &mut self.earlier);
            self.fixed_new = found - self.output.findings.len();
        }
        post_report(attempt, preparation, self).await
    }

    /// Lists the findings to fix: new ones, then earlier ones. Without a known account, earlier findings are left out,
    /// because a stranger may have written them.
    fn list_findings(&self, knows_account: bool) -> Vec<Value> {
        let new = self.output.findings.iter().map(|finding| (finding.severity, json!(finding)));
        let earlier = self.input.threads.iter().zip(&self.earlier).map(|(thread, judged)| {
            // Without the replies of strangers.
            let OpenThread { path, line, text, .. } = thread;
            let is_ours = knows_account && judged.verdict == ThreadState::Open;
            let severity = if is_ours { judged.severity } else { Severity::Nit };
            (severity, json!({ "path": path, "line": line, "severity": severity, "body": text }))
        });
        let all = new.chain(earlier).enumerate().filter(|(_, (severity, _))| *severity >= MIN_FIXED_SEVERITY);
        all.map(|(index, (_, finding))| json!({ "index": index, "finding": finding })).collect()
    }
}
