//! Tests daemons and processes of jobs that freeze and continue, as on a machine that swaps.

use crate::prelude::*;
use crate::sweeps::Blocker;
use nix::sys::signal::kill;
use pullyard_domain::project::OfflinePolicy;

/// Shorter than the gap between two heartbeats that counts as a suspended machine.
const STEP: Duration = Duration::from_secs(30);
const HINT_REPEATED_AFTER: Duration = Duration::from_secs(40);
/// A runner and an attempt are silent after 90 s.
const MIN_STEPS: usize = 3;
const MAX_STEPS: usize = 12;

/// The points where jobs are blocked. The fetch is last, because a blocked one delays later jobs.
const POINTS: [(&str, JobStatus); 3] =
    [("push", JobStatus::Syncing), ("agent", JobStatus::Executing), ("fetch", JobStatus::Preparing)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frozen {
    Daemon,
    Jobs,
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_jobs_end_with_one_commit_from_any_phase() {
    let holds = Blocker::new();
    let (story, mut machine) = Story::with_daemons().await;
    holds.set_agent(&story).await;
    story.update_settings(|settings| settings.offline = OfflinePolicy::Requeue).await;
    machine.search_path = holds.search_path();
    let daemon = machine.daemon("kite", &["--slots", "3"]);
    for (first, frozen) in [(1, Frozen::Daemon), (4, Frozen::Jobs)] {
        let (mut jobs, mut processes) = (Vec::new(), Vec::new());
        for (number, (at, status)) in (first..).zip(POINTS) {
            holds.block(at);
            let key = format!("APP-{number}");
            let job = story.create_job(&format!("e{number}"), &key, number).await;
            holds.wait_until_blocked(at).await;
            story.wait_for_job(&job, has_status(status)).await;
            let recorded = machine.job_processes().into_iter().find(|(of, _)| *of == job.as_str());
            processes.push(recorded.unwrap().1);
            jobs.push((job, key));
        }
        let send = |signal: Signal| match frozen {
            Frozen::Daemon => daemon.signal(signal),
            Frozen::Jobs => {
                for process in &processes {
                    // The daemon kills a process that was frozen for long.
                    let _ = kill(*process, signal);
                }
            }
        };
        send(Signal::SIGSTOP);
        pass_until_requeued(&story, &jobs, frozen).await;
        holds.unblock("push");
        send(Signal::SIGCONT);
        wait_until("the former attempt has pushed or lost its lease", async || {
            let has_pushed = story.commits_of(&jobs[0].0).await == 1;
            if has_pushed || kill(processes[0], None).is_err() { Ok(()) } else { Err("neither".to_owned()) }
        })
        .await;
        // A claim before the first heartbeat gets no job, and the daemon claims again after a hint.
        story.wait_for_heartbeat("kite").await;
        story.advance_and_sweep(HINT_REPEATED_AFTER).await;
        holds.unblock("agent");
        holds.unblock("fetch");
        for (job, key) in &jobs {
            story.assert_completed_in(2, job, key).await;
        }
    }
    daemon.stop().await;
}

async fn pass_until_requeued(story: &Story, jobs: &[(JobId, String)], frozen: Frozen) {
    story.local.sweep().await.unwrap();
    for step in 0..MAX_STEPS {
        let mut requeued = 0;
        for (job, _) in jobs {
            requeued += usize::from(story.load_job_item(job).await["requeues"] == 1);
        }
        assert!(requeued == 0 || step >= MIN_STEPS, "{frozen:?}: {requeued} jobs are requeued in step {step}");
        if requeued == jobs.len() {
            return;
        }
        story.clock.advance(STEP);
        if frozen == Frozen::Jobs {
            story.wait_for_heartbeat("kite").await;
        }
        story.local.sweep().await.unwrap();
    }
    panic!("{frozen:?}: not all jobs are requeued");
}
