//! Tests the first run: its forms, its steps and who may use them.

use super::Browser;
use crate::prelude::*;
use pullyard_protocol::integration::CreateIntegration;

const SHOP: &str = "/setup/start?project=shop";

fn project_form<'a>(name: &'a str, id: &'a str) -> Vec<(&'static str, &'a str)> {
    let columns = [("trigger", "Go"), ("completion", "Review"), ("todo", "Todo"), ("auto_create", "on")];
    [("name", name), ("id", id)].into_iter().chain(columns).collect()
}

async fn create_shop(browser: &Browser) {
    let created = browser.post("/setup/start/project", &project_form("Shop", "")).await;
    assert_eq!(created.redirect(), (303, SHOP), "{}", created.body);
}

fn shop() -> ProjectId {
    ProjectId::new("shop").unwrap()
}

fn create_folder(story: &Story) -> String {
    let folder = story.folder().join("own");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("agent.sh"), crate::story::WORKING_AGENT).unwrap();
    for args in [
        &["init", "--quiet", "--initial-branch=main", "."][..],
        &["add", "."],
        &["update-index", "--chmod=+x", "agent.sh"],
        &["-c", "user.name=ana", "-c", "user.email=ana@example.org", "commit", "--quiet", "-m", "First"],
    ] {
        let git = std::process::Command::new("git").args(args).current_dir(&folder).status().unwrap();
        assert!(git.success(), "{args:?}");
    }
    folder.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn first_run_leads_to_a_pull_request_by_forms_alone() {
    let story = Story::begin_story().await;
    let local = CreateIntegration {
        id: IntegrationId::new("local").unwrap(),
        kind: ForgeKind::GitHub,
        api_url: story.local.forge().api_url(),
        token_secret: story.local.forge_secret().into(),
    };
    story.api.create_integration(&local).await.unwrap();
    let browser = Browser::admin(&story).await;
    assert!(browser.get("/setup/start?new=project").await.contains(r#"value="AI Processing""#));
    create_shop(&browser).await;
    browser.get(SHOP).await.assert_contains(&["Shop (shop). A ticket that enters Go starts a job."]);

    let folder = create_folder(&story);
    let form = [("project", "shop"), ("by", "folder"), ("folder", folder.as_str())];
    let relative = browser.post("/setup/start/repository", &[form[0], form[1], ("folder", "own")]).await;
    assert!(relative.status == 422 && relative.contains("enter the full path"), "{}", relative.body);
    let absent = [form[0], form[1], ("folder", "/no<b>/such")];
    let absent = browser.post("/setup/start/repository", &absent).await;
    assert!(absent.status == 422 && absent.contains("Pullyard can’t"), "{}", absent.body);
    assert!(!absent.contains("no<b>") && absent.contains("no&#60;b&#62;"), "{}", absent.body);
    let page = browser.get(&format!("{SHOP}&by=folder")).await;
    assert!(page.contains("Folder of this machine") && page.contains("data-refresh"), "{}", page.body);
    assert_eq!(browser.post("/setup/start/repository", &form).await.redirect(), (303, SHOP));
    let again = browser.post("/setup/start/repository", &form).await;
    assert!(again.status == 409 && again.contains("local/own is already connected to shop"), "{}", again.body);
    let tested = browser.get(&format!("{SHOP}&test=1")).await;
    assert!(tested.contains("fetch and push branches") && tested.contains("contents: write"), "{}", tested.body);
    assert!(!tested.contains("data-refresh"), "the page would repeat the test");

    let page = browser.get(SHOP).await;
    assert!(page.contains("local/own, connected by local, branch main."), "{}", page.body);
    assert!(page.contains("is not installed on this machine"), "{}", page.body);
    let absent = [("project", "shop"), ("agent", "command"), ("command", "./absent.sh")];
    assert_eq!(browser.post("/setup/start/agent", &absent).await.redirect(), (303, SHOP));
    let page = browser.get(SHOP).await;
    assert!(page.contains("local/own has no file ./absent.sh in the last commit of main."), "{}", page.body);
    assert!(page.contains("git add --chmod=+x absent.sh"), "{}", page.body);
    let agent = [("project", "shop"), ("agent", "command"), ("command", "./agent.sh\r\n")];
    assert_eq!(browser.post("/setup/start/agent", &agent).await.redirect(), (303, SHOP));
    browser.get(SHOP).await.assert_contains(&["The custom command: ./agent.sh.", r#"value="SHOP-1""#]);

    let ticket = [("project", "shop"), ("key", "SHOP-1"), ("title", "Say <b>hi</b>"), ("form_key", "form-1")];
    let first = browser.post("/setup/start/ticket", &ticket).await;
    let second = browser.post("/setup/start/ticket", &ticket).await;
    assert_eq!(first.redirect(), second.redirect(), "the second click is another request: {}", second.body);
    let page = browser.get(SHOP).await;
    assert!(page.contains("SHOP-1 Say &#60;b&#62;hi&#60;/b&#62;, in Todo."), "{}", page.body);
    let target = page.body.split(r#"id="first-move" method="post" action=""#).nth(1).unwrap();
    let target = target.split('"').next().unwrap().replace("&amp;", "&");
    let moved = browser.post(&target, &[("status", "Go"), ("back", SHOP)]).await;
    assert!(moved.redirect().1.starts_with(&format!("{SHOP}&decision=")), "{}", moved.redirect().1);
    let page = wait_until("the page shows the pull request", async || {
        let page = browser.get(SHOP).await;
        if page.contains("Open pull request #1") { Ok(page) } else { Err(page.body) }
    })
    .await;
    assert!(page.contains("All five steps are complete"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_without_a_project_is_sent_to_the_first_run() {
    let story = Story::start_with_waiting_tasks().await;
    let browser = Browser::with(&story, &[Scope::Admin], Some(&["shop"])).await;
    for path in ["/board", "/jobs", "/tickets/new"] {
        assert_eq!(browser.get(path).await.redirect(), (303, "/setup/start"), "{path}");
    }
    let page = browser.get("/setup/start").await;
    assert!(page.contains("Create project</button>") && !page.contains("acme"), "{}", page.body);
    // The id of another project, a name without letters, equal columns.
    assert_eq!(browser.post("/setup/start/project", &project_form("Other", "")).await.status, 403);
    let nameless = browser.post("/setup/start/project", &project_form("<b>", "<i>")).await;
    assert!(nameless.status == 422 && nameless.contains("&#60;b&#62;") && !nameless.contains("<i>"));
    let mut equal = project_form("Shop", "");
    equal[2].1 = "Todo";
    let equal = browser.post("/setup/start/project", &equal).await;
    assert!(equal.status == 422 && equal.contains("must differ from the trigger status"), "{}", equal.body);
    create_shop(&browser).await;
    create_shop(&browser).await;
    let refusal = browser.post("/setup/start/project", &project_form("Web shop", "shop")).await;
    assert!(refusal.status == 409 && refusal.contains("The project shop already exists."), "{}", refusal.body);
    assert!(refusal.contains(r#"value="Web shop""#), "the typed name is lost: {}", refusal.body);
    // Secrets belong to all projects.
    let form = [("project", "shop"), ("by", "github"), ("id", "gh2"), ("token", "t"), ("name", "acme/app")];
    assert_eq!(browser.post("/setup/start/repository", &form).await.status, 403);
    let form = [("project", "shop"), ("agent", "codex"), ("kind", "openai_api_key"), ("key", "sk-1")];
    assert_eq!(browser.post("/setup/start/agent", &form).await.status, 403);
    let page = browser.get("/board?project=shop").await;
    assert_eq!(page.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_and_key_become_secrets_that_no_page_shows() {
    let (story, browser) = Story::with_browser().await;
    create_shop(&browser).await;
    let (url, token) = (story.local.forge().api_url(), story.forge_token());
    let post = async |id: &str, token: &str, name: &str| {
        let form =
            [("project", "shop"), ("by", "github"), ("id", id), ("api_url", &url), ("token", token), ("name", name)];
        browser.post("/setup/start/repository", &form).await
    };
    for (id, token, sentence) in [
        ("gh2", "ghp_wrong", "The forge refused the request"),
        ("gh2", "ghp wrong", "the token contains a space"),
        ("gh1", "ghp_wrong", "The integration gh1 already exists."),
    ] {
        let refused = post(id, token, "acme/app").await;
        assert!(refused.contains(sentence), "{} {}", refused.status, refused.body);
        assert!(refused.contains(r#"value="acme/app""#) && !refused.contains(token), "{}", refused.body);
    }
    // The forge is connected and stays so.
    let refused = post("gh2", &token, "acme/none").await;
    assert!(refused.status == 422 && refused.contains(r#"<option value="gh2" selected>"#), "{}", refused.body);
    let form = [("project", "shop"), ("by", "connection"), ("connection", "gh2"), ("name", "acme/app")];
    assert_eq!(browser.post("/setup/start/repository", &form).await.redirect(), (303, SHOP));
    let settings = story.api.project(&shop()).await.unwrap().settings;
    assert_eq!(settings.default_repository.unwrap().as_str(), "acme/app");

    let key = "sk-ant-secret";
    let agent = |model| {
        [("project", "shop"), ("agent", "claude_code"), ("kind", "claude_token"), ("key", key), ("model", model)]
    };
    let refused = browser.post("/setup/start/agent", &agent("--help")).await;
    assert!(refused.status == 422 && refused.contains("model") && !refused.contains(key), "{}", refused.body);
    let untestable = format!("{SHOP}&key=untestable");
    assert_eq!(browser.post("/setup/start/agent", &agent("opus")).await.redirect(), (303, untestable.as_str()));
    let settings = story.api.project(&shop()).await.unwrap().settings;
    assert_eq!(settings.model_secrets.claude_token.as_deref(), Some("pullyard/job/shop-claude-token"));
    assert_eq!((settings.agent.as_deref(), settings.model.as_deref()), (Some("claude_code"), Some("opus")));
    let page = browser.get(&format!("{SHOP}&agent=claude_code")).await;
    assert!(!page.contains(key) && !page.contains(&token) && page.contains(r#"value="opus""#), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_sees_the_steps_without_forms() {
    let story = Story::start_with_waiting_tasks().await;
    let reader = Browser::with(&story, &[Scope::Read], None).await;
    for path in ["/setup/start", "/setup/start?by=github", "/setup/start?agent=codex", "/setup/start?new=project"] {
        let page = reader.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.contains(r#"action="/setup/start/"#), "{path}: {}", page.body);
    }
    assert_eq!(reader.get("/setup/start?test=1").await.status, 403);
    for form in ["project", "repository", "agent", "ticket"] {
        let fields = match form {
            "project" => project_form("Shop", ""),
            _ => vec![("project", "acme")],
        };
        let refused = reader.post(&format!("/setup/start/{form}"), &fields).await;
        assert!(refused.status == 403 && refused.contains("may not"), "{form}: {}", refused.body);
        let foreign = reader.ask(Method::POST, &format!("/setup/start/{form}"), &[], &fields).await;
        assert_eq!(foreign.status, 403, "{form}");
    }
}
