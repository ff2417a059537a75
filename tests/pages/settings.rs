//! Tests the setup pages of settings and secrets.

use super::{Answer, Browser};
use crate::prelude::*;
use pullyard_domain::review::removal::MIN_SECRET_AGE;
use pullyard_protocol::setting::SETTINGS;

const PAGE: &str = "/setup/settings?project=acme";

fn revision(page: &Answer) -> String {
    let (_, rest) = page.body.split_once(r#"name="revision" value=""#).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// The part of the page from a setting's label to the next setting.
fn part<'a>(page: &'a Answer, name: &str) -> &'a str {
    let (_, rest) = page.body.split_once(&format!(r#"<label for="{name}">"#)).unwrap_or_else(|| panic!("{name}"));
    rest.split(r#"class="what""#).next().unwrap()
}

async fn save(browser: &Browser, revision: &str, section: &str, values: &[(&str, &str)]) -> Answer {
    let form = [("project", "acme"), ("section", section), ("revision", revision)];
    browser.post("/setup/settings", &[&form[..], values].concat()).await
}

async fn settings(story: &Story) -> Settings {
    story.api.project(&story.project).await.unwrap().settings
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_page_shows_and_changes_each_setting() {
    let (story, browser) = Story::with_browser().await;
    let page = browser.get(PAGE).await;
    // The columns have forms of their own, and one machine has no Fargate tasks.
    let has_row = |path| !["statuses.columns", "statuses.closed", "task_size", "task_capacity"].contains(&path);
    for setting in SETTINGS.iter().filter(|setting| has_row(setting.path)) {
        assert!(part(&page, &setting.name()).contains(r#"class="origin""#), "{}", setting.path);
    }
    assert!(part(&page, "limits.wall_secs").contains(r#"value="1 h""#), "{}", page.body);
    assert!(part(&page, "limits.wall_secs").contains(">Default<"), "{}", page.body);

    let values = [("limits.wall_secs", "45 min"), ("limits.cost_usd", "2.50"), ("limits.turns", "")];
    let saved = save(&browser, &revision(&page), "limits", &values).await;
    assert_eq!(saved.redirect(), (303, "/setup/settings?project=acme&saved=limits#limits"));
    let limits = settings(&story).await.limits;
    assert_eq!((limits.wall_secs, limits.cost_usd_micros, limits.stall_secs), (2_700, Some(2_500_000), 900));
    let page = browser.get("/setup/settings?project=acme&saved=limits").await;
    assert!(page.contains("Pullyard saved this section."), "{}", page.body);
    let time = part(&page, "limits.wall_secs");
    assert!(time.contains(r#"value="45 min""#) && time.contains("Set for this project"), "{time}");
    assert!(time.contains(">Reset to 1 h</button>"), "{time}");

    let switches =
        [("auto_create", "false"), ("checks.commands", "npm ci\r\nnpm test"), ("statuses.todo", "In Review")];
    for (section, values) in [("flow", &[switches[0], switches[2]][..]), ("checks", &[switches[1]])] {
        let page = browser.get(PAGE).await;
        assert_eq!(save(&browser, &revision(&page), section, values).await.status, 303);
    }
    let page = browser.get(PAGE).await;
    assert!(part(&page, "checks.commands").contains("\nnpm ci\nnpm test</textarea>"), "{}", page.body);
    let now = settings(&story).await;
    assert!(!now.auto_create && now.statuses.todo == "In Review", "{now:?}");

    // A reset saves the section, so that no typed value is lost.
    let reset = [("reset", "limits.wall_secs"), ("limits.wall_secs", "45 min"), ("limits.turns", "7")];
    assert_eq!(save(&browser, &revision(&page), "limits", &reset).await.status, 303);
    let limits = settings(&story).await.limits;
    assert_eq!((limits.wall_secs, limits.turns, limits.cost_usd_micros), (3_600, Some(7), Some(2_500_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_limit_of_a_ticket_is_no_limit() {
    let (story, browser) = Story::with_browser().await;
    let page = browser.get(PAGE).await;
    let values = [("limits.ticket_usd", ""), ("limits.ticket_jobs", "null")];
    assert_eq!(save(&browser, &revision(&page), "limits", &values).await.status, 303);
    let limits = settings(&story).await.limits;
    assert_eq!((limits.ticket_usd_micros, limits.ticket_jobs), (None, None));
    let page = browser.get(PAGE).await;
    for (name, reset) in [("limits.ticket_usd", "Reset to 50.00"), ("limits.ticket_jobs", "Reset to 20")] {
        let row = part(&page, name);
        assert!(row.contains("Set for this project: no limit") && row.contains(reset), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_setting_is_explained_at_its_field() {
    let (story, browser) = Story::with_browser().await;
    let first = revision(&browser.get(PAGE).await);
    let before = settings(&story).await;
    for (section, name, value, expected) in [
        ("limits", "limits.wall_secs", "<soon", "Use a time, such as 90s, 45min, 1h or 7d."),
        ("limits", "limits.wall_secs", "10 s", "Use 60 to 86400 seconds (24 hours)."),
        ("limits", "limits.cost_usd", "2000", "Use $0.01 to $1,000"),
        ("flow", "statuses.todo", "AI Processing", "It must differ from the trigger status"),
        ("secrets", "model_secrets.anthropic_api_key", "pullyard/other", "Use a secret that was set through Pullyard"),
        ("checks", "checks.commands", "rm -r x", "rm is not on the list of allowed programs"),
    ] {
        let page = save(&browser, &first, section, &[(name, value)]).await;
        let field = part(&page, name);
        assert!(page.status == 422 && field.contains(r#"aria-invalid="true""#), "{name}: {field}");
        assert!(field.contains(expected) && field.contains(&value.replace('<', "&#60;")), "{name}: {field}");
    }
    assert_eq!(settings(&story).await, before);

    // Another change came first.
    assert_eq!(save(&browser, &first, "limits", &[("limits.turns", "9")]).await.status, 303);
    let late = save(&browser, &first, "limits", &[("limits.turns", "5"), ("limits.wall_secs", "1 h")]).await;
    let (turns, time) = (part(&late, "limits.turns"), part(&late, "limits.wall_secs"));
    assert!(late.status == 409 && late.contains("Another change came first"), "{}", late.body);
    assert!(turns.contains(r#"value="5""#) && turns.contains("Stored now: 9"), "{turns}");
    assert!(!time.contains("Stored now"), "{time}");
    assert_eq!(save(&browser, &revision(&late), "limits", &[("limits.turns", "5")]).await.status, 303);
    assert_eq!(settings(&story).await.limits.turns, Some(5));
    for (section, name) in [("nothing", "limits.turns"), ("limits", "auto_create")] {
        assert_eq!(save(&browser, &revision(&late), section, &[(name, "true")]).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_changed_by_forms_and_refused_at_their_field() {
    let (story, browser) = Story::with_browser().await;
    story.send_ticket_event("e1", "APP-1", "Todo", 1).await;
    let change = async |change: &str, name: &str, to: &str| {
        let revision = revision(&browser.get(PAGE).await);
        let form = [("project", "acme"), ("revision", &revision), ("change", change), ("name", name), ("to", to)];
        browser.post("/setup/settings/columns", &form).await
    };
    for (word, name, to) in [
        ("add", " Won’t do <b> ", ""),
        ("close", "Won’t do <b>", ""),
        ("up", "Won’t do <b>", "typed but not sent by this button"),
        ("remove", "Closed", ""),
        ("rename", "Todo", "Backlog"),
    ] {
        let saved = change(word, name, to).await;
        assert_eq!(saved.redirect(), (303, "/setup/settings?project=acme&saved=columns#columns"), "{word}");
    }
    let statuses = settings(&story).await.statuses;
    assert_eq!(statuses.columns.join(", "), "Backlog, AI Processing, In Review, Done, Won’t do <b>");
    assert!(statuses.is_closed("Won’t do <b>") && statuses.todo == "Backlog", "{statuses:?}");
    assert_eq!(story.ticket("APP-1").await.status, "Backlog");
    browser.get("/board?project=acme").await.assert_contains(&[r#"data-status="Won’t do &#60;b&#62;""#]);
    for (word, name, to, id, fault) in [
        ("add", "done", "", "new-column", "Done is already a column"),
        ("rename", "Backlog", "Done", "column-1", "Done is already a column; choose another name."),
        ("remove", "Backlog", "", "column-1", "Tickets go to Backlog after a failed job; choose another column"),
    ] {
        let page = change(word, name, to).await;
        let field = page.body.split(&format!(r#"<label for="{id}">"#)).nth(1).unwrap().split("</form>").next().unwrap();
        assert!(page.status == 422 && field.contains(fault) && field.contains(r#"aria-invalid="true""#), "{field}");
    }
    let stale = [("project", "acme"), ("revision", "1"), ("change", "up"), ("name", "Done")];
    assert_eq!(browser.post("/setup/settings/columns", &stale).await.status, 409);
    let reader = Browser::with(&story, &[Scope::Read, Scope::Jobs], None).await;
    assert_eq!(reader.post("/setup/settings/columns", &stale).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_read_only_without_the_admin_scope() {
    let story = Story::start_with_waiting_tasks().await;
    let reader = Browser::with(&story, &[Scope::Read, Scope::Jobs], None).await;
    let page = reader.get(PAGE).await;
    assert!(page.status == 200 && !page.contains("<button class=\"primary\""), "{}", page.body);
    assert!(part(&page, "limits.wall_secs").contains(" disabled"), "{}", page.body);
    assert_eq!(save(&reader, &revision(&page), "limits", &[("limits.turns", "9")]).await.status, 403);
    let foreign = Browser::with(&story, &[Scope::Admin], Some(&["other"])).await;
    assert_eq!(foreign.get(PAGE).await.status, 403);
    assert_eq!(save(&foreign, "1", "limits", &[("limits.turns", "9")]).await.status, 403);
    assert_eq!(settings(&story).await.limits.turns, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_section_shows_the_spending_of_today() {
    let (story, browser) = Story::with_browser().await;
    let page = browser.get(PAGE).await;
    assert!(page.contains("counts today’s spending once"), "{}", page.body);
    let values = [("budget.usd_per_day", "50"), ("budget.jobs_per_day", "20"), ("budget.usd_per_job", "5")];
    assert_eq!(save(&browser, &revision(&page), "budgets", &values).await.status, 303);
    story.create_job("e1", "APP-1", 1).await;
    let page = browser.get(PAGE).await;
    assert!(page.contains("$0.00 spent, $5.00 reserved, 1 job."), "{}", page.body);
    assert!(page.contains(r#"aria-label="10% of the daily budget"#), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_page_limits_a_secret_to_projects() {
    let (_story, browser) = Story::with_browser().await;
    let set = [("project", "acme"), ("name", "anthropic"), ("kind", "job"), ("value", "sk-planted")];
    assert_eq!(browser.post("/setup/secrets", &set).await.status, 303);
    let list = |projects| [("project", "acme"), ("name", "anthropic"), ("kind", "job"), ("projects", projects)];
    let answer = browser.post("/setup/secrets/projects", &list("acme")).await;
    assert_eq!(answer.redirect(), (303, "/setup/secrets?listed=anthropic&project=acme"));
    let page = browser.get(answer.redirect().1).await;
    assert!(page.contains("Pullyard stored the projects of anthropic."), "{}", page.body);
    assert!(page.contains("Only for acme"), "{}", page.body);
    for (wrong, fault) in [("acme, none", "there is no project none"), ("<b>", "lower-case letters")] {
        let refused = browser.post("/setup/secrets/projects", &list(wrong)).await;
        assert!(refused.status == 422 && refused.contains(fault), "{}", refused.body);
    }
    assert_eq!(browser.post("/setup/secrets/projects", &list(" ")).await.status, 303);
    assert!(!browser.get("/setup/secrets?project=acme").await.contains("Only for"));

    let address = "/setup/repositories/connections/gh1?project=acme";
    let save = "/setup/repositories/connections/gh1/projects?project=acme";
    assert_eq!(browser.post(save, &[("projects", "acme")]).await.redirect(), (303, address));
    assert!(browser.get(address).await.contains("value=\"acme\""));
    let refused = browser.post(save, &[("projects", "none")]).await;
    assert!(refused.status == 422 && refused.contains("There is no project none."), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_page_sets_and_rotates_without_values() {
    let (story, browser) = Story::with_browser().await;
    let set = |name, kind, value| [("project", "acme"), ("name", name), ("kind", kind), ("value", value)];
    let answer = browser.post("/setup/secrets", &set("anthropic", "job", "sk-planted\r\n")).await;
    assert_eq!(answer.redirect(), (303, "/setup/secrets?saved=anthropic&project=acme"));
    assert_eq!(browser.post("/setup/secrets", &set("hook-x", "forge", "planted-one")).await.status, 303);
    let page = browser.get("/setup/secrets?saved=anthropic&project=acme").await;
    assert!(page.contains("Pullyard stored the value of anthropic."), "{}", page.body);
    assert!(page.contains("job/anthropic</code>") && page.contains("user/hook-x</code>"), "{}", page.body);
    assert!(page.contains("rotate=hook-x") && !page.contains("valid until"), "{}", page.body);

    let rotate = |name, value| [("name", name), ("value", value), ("overlap_secs", "3600")];
    let answer = browser.post("/setup/secrets/rotate", &rotate("hook-x", "")).await;
    assert_eq!(answer.redirect(), (303, "/setup/secrets?saved=hook-x"));
    let page = browser.get("/setup/secrets?saved=hook-x&project=acme").await;
    assert!(page.contains("valid until") && page.contains("repair the webhook"), "{}", page.body);
    assert!(!page.contains("planted"), "{}", page.body);

    for refused in [
        browser.post("/setup/secrets", &set("no <b>name", "job", "sk-planted")).await,
        browser.post("/setup/secrets", &set("empty", "job", "")).await,
        browser.post("/setup/secrets/rotate", &rotate("no <b>name", "sk-planted")).await,
        browser.post("/setup/secrets/rotate", &rotate("github", "")).await,
    ] {
        assert!(refused.status == 422 && refused.contains("Enter the value again."), "{}", refused.body);
        assert!(!refused.contains("planted") && !refused.contains("no <b>"), "{}", refused.body);
    }
    let question = "/setup/secrets/delete?name=hook-x&kind=forge&project=acme";
    assert!(page.contains("Not used") && page.contains(&question.replace('&', "&#38;")), "{}", page.body);
    assert!(browser.get(question).await.contains("Delete the secret hook-x?"));
    let delete = |name| [("project", "acme"), ("name", name), ("kind", "forge")];
    let refused = browser.post("/setup/secrets/delete", &delete("hook-x")).await;
    assert!(refused.status == 409 && refused.contains("hook-x was set less than five minutes ago"), "{}", refused.body);
    story.clock.advance(MIN_SECRET_AGE);
    let answer = browser.post("/setup/secrets/delete", &delete("hook-x")).await;
    assert_eq!(answer.redirect(), (303, "/setup/secrets?deleted=hook-x&project=acme"));
    let page = browser.get("/setup/secrets?deleted=hook-x&project=acme").await;
    assert!(page.contains("Pullyard deleted hook-x.") && !page.contains("user/hook-x"), "{}", page.body);
    assert_eq!(browser.post("/setup/secrets/delete", &delete("hook-x")).await.status, 404);
    assert!(page.contains("Made by Pullyard") && !page.contains("delete?name=demo-forge-token"), "{}", page.body);
    let refused = browser.post("/setup/secrets/delete", &delete("demo-forge-token")).await;
    assert!(refused.status == 409 && refused.contains("demo-forge-token is made by Pullyard."), "{}", refused.body);

    // Secrets belong to all projects.
    for (scopes, projects) in [(&[Scope::Read, Scope::Jobs][..], None), (&[Scope::Admin], Some(&["acme"][..]))] {
        let other = Browser::with(&story, scopes, projects).await;
        assert_eq!(other.get("/setup/secrets").await.status, 403);
        assert_eq!(other.post("/setup/secrets", &set("x", "job", "y")).await.status, 403);
        assert_eq!(other.post("/setup/secrets/rotate", &rotate("hook-x", "y")).await.status, 403);
        assert_eq!(other.get(question).await.status, 403);
        assert_eq!(other.post("/setup/secrets/delete", &delete("anthropic")).await.status, 403);
        assert!(!other.get(PAGE).await.contains("job/anthropic"));
    }
    assert!(browser.get(PAGE).await.contains("job/anthropic\">"));
}

#[tokio::test]
async fn settings_describe_needs_no_server() {
    let mut user = User::new();
    user.set_env("PULLYARD_URL", "http://127.0.0.1:1");
    let all = user.ok(&["settings", "describe"]).await;
    assert_eq!(all.lines().count(), SETTINGS.len());
    let one = user.ok(&["settings", "describe", "limits.cost_usd"]).await;
    assert!(one.contains("meaning\tCost of one attempt") && one.contains("unit\tUSD\n"), "{one}");
    let wrong = user.run(&["settings", "describe", "limits.wal_secs"]).await;
    wrong.assert_exit(2, "did you mean limits.wall_secs?");
    assert_eq!(user.json(&["settings", "describe", "budget"]).await.as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn project_is_deleted_after_a_question_unless_it_is_used() {
    let (story, browser) = Story::with_browser().await;
    assert!(browser.get(PAGE).await.contains("/setup/settings/delete?project=acme"));
    browser.get("/setup/settings/delete?project=acme").await.assert_contains(&["all its tickets are deleted"]);
    let used = browser.post("/setup/settings/delete", &[("project", "acme")]).await;
    assert!(used.status == 409 && used.contains("Connected to acme: acme/app."), "{}", used.body);
    User::of(&story).ok(&["repos", "delete", "acme/app", "--yes"]).await;
    assert_eq!(browser.post("/setup/settings/delete", &[("project", "acme")]).await.redirect(), (303, "/"));
    assert_eq!(browser.get("/setup/settings/delete?project=acme").await.status, 404);
    let reader = Browser::with(&story, &[Scope::Read, Scope::Jobs], None).await;
    assert_eq!(reader.post("/setup/settings/delete", &[("project", "acme")]).await.status, 403);
}
