//! Tests the pull request commands and the list of deliveries in the CLI.

use crate::prelude::*;
use crate::pulls::{link_new_ticket, review_delivery, with_pull_request};

#[tokio::test(flavor = "multi_thread")]
async fn cli_links_revises_explains_and_unlinks_a_pull_request() {
    let (story, number) = with_pull_request().await;
    let user = User::of(&story);
    let label = format!("{REPOSITORY}#{number}");
    let hash = format!("#{number}");
    story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let unlinked = format!("{label} is not linked to an active ticket");
    assert_eq!(user.ok(&["why", &label]).await.trim_end(), format!("{unlinked}."));
    let refused = user.run(&["revise", &label]).await.assert_exit(3, &format!("{unlinked} (no_linked_ticket)"));
    assert!(refused.out.is_empty() && refused.err.contains("pullyard link"), "{refused:?}");

    let ran = user.run(&["link", &hash, "APP-1"]).await;
    assert!(ran.err.contains(&format!("Linked {label} to APP-1.")), "{ran:?}");
    assert!(ran.assert_success().starts_with("No reviews are waiting"));
    user.run(&["link", &label, "NO-1"]).await.assert_exit(5, "there is no ticket NO-1");
    story.send_ticket_event("e2", "APP-2", TODO, 1).await;
    user.run(&["link", &label, "APP-2"]).await.assert_exit(3, "(linked_elsewhere)");
    let url = user.json(&["pulls"]).await["pulls"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(user.json(&["pulls", "list"]).await, body(&story, "/v1/pulls?project=acme").await);
    let listed = user.ok(&["prs"]).await;
    assert!(listed.starts_with(&format!("{url}\tAPP-1\t")), "{listed}");

    // A page below the pull request's URL works; the same path on another forge does not.
    let ran = user.run_with(&["revise", &format!("{url}/files"), "--message-file", "-"], "Say it in French.\n").await;
    assert!(ran.err.contains("Created job "), "{ran:?}");
    let job: JobId = ran.assert_success().trim_end().parse().unwrap();
    let elsewhere = format!("https://forge.example/{REPOSITORY}/pull/{number}");
    user.run(&["revise", &elsewhere]).await.assert_exit(5, "on forge.example is not connected to project acme");
    let jobs = user.ok(&["jobs", "show", job.as_str()]).await;
    assert!(jobs.contains(&format!("revises\t{url}\n")), "{jobs}");
    for name in [url.as_str(), &label, &hash] {
        let output = user.ok(&["why", name]).await;
        assert!(output.starts_with(&format!("Job {} works on {label}: ", short(&job))), "{name}: {output}");
    }
    // The next request waits without a job of its own.
    let held = user.run(&["revise", &label, "-m", "And in German."]).await;
    assert!(held.err.contains(&format!("Job {} is running", short(&job))), "{held:?}");
    assert_eq!(held.assert_success(), "");
    let held = user.json(&["revise", &label]).await;
    assert_eq!((&held["verdict"], &held["code"]), (&json!("held"), &json!("held_for_job")));

    assert!(user.run(&["unlink", &label]).await.err.contains(" from APP-1."));
    assert!(user.run(&["unlink", &label]).await.err.contains("was not linked to a ticket."));
}

#[tokio::test(flavor = "multi_thread")]
async fn revise_refuses_invalid_names_and_empty_messages() {
    let (story, number) = with_pull_request().await;
    link_new_ticket(&story, number, "APP-1").await;
    let user = User::of(&story);
    let label = format!("{REPOSITORY}#{number}");
    for name in ["acme/app", "https://github.com/acme/app/issues/7", "acme#7", "x"] {
        user.run(&["revise", name]).await.assert_exit(2, "is not a pull request");
    }
    user.run(&["revise", &label, "-m", ""]).await.assert_exit(2, "message: use");
    user.run_with(&["revise", &label, "--message-file", "-"], " \n").await.assert_exit(2, "- is empty");
    user.run_with(&["revise", &label, "--message-file", "-"], &"x".repeat(4_001))
        .await
        .assert_exit(2, "4000 characters");
    user.run(&["revise", &label, "--message-file", "/nope"]).await.assert_exit(1, "can't read /nope");
    user.run(&["revise", &label, "-m", "x", "--message-file", "-"]).await.assert_exit(2, "cannot be used with");
    user.run(&["revise", &format!("{REPOSITORY}#99")]).await.assert_exit(5, "there is no pull request");
    let read = User::with(&story, &story.create_token(&[Scope::Read], None).await);
    read.run(&["revise", &label]).await.assert_exit(4, "may not");
    assert!(story.jobs().await.is_empty());
    story.update_settings(|settings| settings.default_repository = None).await;
    user.run(&["revise", "#1"]).await.assert_exit(2, "has no default repository");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_filtered_and_paged() {
    let (story, user) = Story::with_user().await;
    assert!(user.run(&["deliveries"]).await.err.contains("No delivery yet."));
    let store = story.store().await;
    let hour = Duration::from_secs(3_600);
    let deliveries = [
        ("r1", 1, Reason::HeldWithOthers { pr: format!("{REPOSITORY}#7") }),
        ("r2", 50, Reason::NoLinkedTicket { pr: format!("{REPOSITORY}#7") }),
    ];
    for (review, hours, reason) in deliveries {
        let entry = review_delivery(&story, review, story.clock.now().minus(hour * hours), reason, "bo");
        assert_eq!(store.record_delivery(&entry).await.unwrap(), Write::Applied);
    }
    let quiet = story.send_ticket_event("e1", "APP-1", TODO, 1).await;
    let listed = user.ok(&["deliveries", "--pull-request", "acme/app#7"]).await;
    let lines = listed.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect::<Vec<_>>();
    assert_eq!(lines.len(), 2, "{listed}");
    assert_eq!((lines[0][0], lines[0][2], lines[0][3]), ("held", "webhook", "acme/app#7"));
    let held = "Earlier reviews of acme/app#7 wait; this one will be part of the same revision.";
    assert_eq!(lines[0][6], held);
    for (arguments, count) in [
        (&["--verdict", "held,ignored"][..], 2),
        (&["--code", "no-linked-ticket"], 1),
        (&["--ticket", "APP-1"], 1),
        (&["--since", "2d"], 2),
        (&["--until", "2d"], 1),
        (&["--limit", "1"], 1),
    ] {
        let out = user.ok(&[&["deliveries", "list"], arguments].concat()).await;
        assert_eq!(out.lines().count(), count, "{arguments:?}: {out}");
    }
    // Paging crosses a day without entries.
    let page = user.json(&["deliveries", "--limit", "2"]).await;
    let next = page["next"].as_str().unwrap().to_owned();
    let rest = user.json(&["deliveries", "--limit", "2", "--after", &next]).await;
    assert_eq!((&rest["deliveries"][0]["code"], &rest["next"]), (&json!("no_linked_ticket"), &json!(null)));
    user.run(&["deliveries", "--code", "no_such"]).await.assert_exit(2, "use codes of deliveries");
    user.run(&["deliveries", "--verdict", "good"]).await.assert_exit(2, "possible values: accepted");
    user.run(&["deliveries", "--pull-request", "x"]).await.assert_exit(2, "OWNER/NAME#7");
    user.run(&["deliveries", "--ticket", "A-1", "show", quiet.delivery.as_str()])
        .await
        .assert_exit(2, "precedes another command");
    let output = user.ok(&["deliveries", "show", quiet.delivery.as_str()]).await;
    assert!(output.contains(&quiet.sentence), "{output}");
}
