//! Tests the first run: its forms, its steps and who may use them.

use super::Browser;
use crate::prelude::*;
use crate::up::Machine;
use pullyard_domain::agent::checks::CommandOverrides;
use pullyard_domain::agent::join_programs;
use pullyard_protocol::integration::CreateIntegration;
use pullyard_protocol::project::AddRepository;

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
    create_repository(story.folder().join("own"))
}

fn create_repository(folder: PathBuf) -> String {
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

async fn connect_local_forge(story: &Story) {
    let local = CreateIntegration {
        id: IntegrationId::new("local").unwrap(),
        kind: ForgeKind::GitHub,
        api_url: story.local.forge().api_url(),
        token_secret: story.local.forge_secret().into(),
    };
    story.api.create_integration(&local).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn first_run_leads_to_a_pull_request_by_forms_alone() {
    let story = Story::begin_story().await;
    connect_local_forge(&story).await;
    let browser = Browser::admin(&story).await;
    assert!(browser.get("/setup/start?new=project").await.contains(r#"value="AI Processing""#));
    create_shop(&browser).await;
    browser.get(SHOP).await.assert_contains(&["Shop (shop). A ticket that enters Go starts a job."]);
    let columns = story.api.project(&shop()).await.unwrap().settings.statuses.columns;
    assert_eq!(columns, ["Todo", "Go", "Review", "Done", "Closed"]);

    let folder = create_folder(&story);
    let form = [("project", "shop"), ("by", "folder"), ("folder", folder.as_str())];
    for folder in ["own", "~bob/own"] {
        let relative = browser.post("/setup/start/repository", &[form[0], form[1], ("folder", folder)]).await;
        assert!(relative.status == 422 && relative.contains("enter the full path"), "{}", relative.body);
    }
    let absent = [form[0], form[1], ("folder", "/no<b>/such")];
    let absent = browser.post("/setup/start/repository", &absent).await;
    assert!(!absent.contains("local/such"), "the name of the wrong folder would name the right one: {}", absent.body);
    assert!(absent.status == 422 && absent.contains("Pullyard can’t"), "{}", absent.body);
    assert!(!absent.contains("no<b>") && absent.contains("no&#60;b&#62;"), "{}", absent.body);
    let page = browser.get(&format!("{SHOP}&by=folder")).await;
    assert!(page.contains("Folder of this machine") && page.contains("data-refresh"), "{}", page.body);
    assert_eq!(browser.post("/setup/start/repository", &form).await.redirect(), (303, SHOP));
    let again = browser.post("/setup/start/repository", &form).await;
    assert!(again.status == 409 && again.contains("local/own is already connected to shop"), "{}", again.body);
    let tested = browser.get(&format!("{SHOP}&test=1")).await;
    assert!(tested.contains("Permissions") && !tested.contains("Unknown"), "{}", tested.body);
    assert!(!tested.contains("data-refresh"), "the page would repeat the test");

    let page = browser.get(SHOP).await;
    assert!(page.contains("local/own, connected by local, branch main."), "{}", page.body);
    let agents = join_programs(|agent| agent.name, " nor ");
    assert!(page.contains(&format!("Neither {agents} is installed on this machine")), "{}", page.body);
    let absent = [("project", "shop"), ("agent", "command"), ("command", "./absent.sh")];
    assert_eq!(browser.post("/setup/start/agent", &absent).await.redirect(), (303, SHOP));
    let page = browser.get(SHOP).await;
    assert!(page.contains("local/own has no file ./absent.sh in the last commit of main."), "{}", page.body);
    assert!(page.contains("chmod +x absent.sh &#38;&#38; git add absent.sh"), "{}", page.body);
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
async fn first_run_offers_local_folders_and_replaces_a_repository() {
    let machine = Machine::new();
    let other = create_repository(machine.path("other"));
    // Neither name can be the name of a repository.
    create_repository(machine.path("<b>"));
    create_repository(machine.path("my shop"));
    std::fs::create_dir(machine.path("bin")).unwrap();
    pullyard_test_script::write_script(machine.path("bin/codex"), "echo codex-cli 9.0.0");
    let up = machine.up_from("shop").await;
    let mut browser = Browser::at(up.url());
    browser.sign_in_with_token(&machine.token()).await;
    create_shop(&browser).await;
    let (shop, offer) =
        (machine.path("shop").display().to_string(), |path: &str| format!(r#"name="folder" value="{path}""#));
    // The search runs in the background.
    let page = wait_until("the page offers the folders", async || {
        let page = browser.get(SHOP).await;
        if page.contains(&offer(&shop)) { Ok(page) } else { Err(page.body) }
    })
    .await;
    page.assert_contains(&[&offer(&other), "near the folder where pullyard up"]);
    assert_eq!(page.body.matches(r#"name="folder" value="/"#).count(), 2, "{}", page.body);
    let form = [("project", "shop"), ("by", "folder"), ("folder", shop.as_str()), ("replace", "")];
    assert_eq!(browser.post("/setup/start/repository", &form).await.redirect(), (303, SHOP));
    browser.get(SHOP).await.assert_contains(&["local/shop, connected by local", "Needs an OpenAI API key"]);
    let agent = [("project", "shop"), ("agent", "command"), ("command", "./agent.sh")];
    assert_eq!(browser.post("/setup/start/agent", &agent).await.redirect(), (303, SHOP));

    let change = browser.get(&format!("{SHOP}&step=2")).await;
    change.assert_contains(&["replaces local/shop", &format!(r#"value="{shop}" required"#), r#"value="local/shop">"#]);
    change.assert_contains(&[&offer(&other)]);
    assert!(!change.contains(&format!("<button class=\"choice plain\" {}", offer(&shop))), "{}", change.body);
    // A path from the home of any user.
    let from_home = format!("~{}{other}", "/..".repeat(16));
    let form = [("project", "shop"), ("by", "folder"), ("folder", from_home.as_str()), ("replace", "local/shop")];
    for _ in 0..2 {
        assert_eq!(browser.post("/setup/start/repository", &form).await.redirect(), (303, SHOP));
    }
    let repositories = up.api.repositories(&self::shop()).await.unwrap().repositories;
    let found: Vec<_> = repositories.iter().map(|one| (one.name.as_str(), one.agent.command.as_slice())).collect();
    assert_eq!(found, [("local/other", &["./agent.sh".to_owned()][..])]);
    let settings = up.api.project(&self::shop()).await.unwrap().settings;
    assert_eq!(settings.default_repository.unwrap().as_str(), "local/other");
    let again = browser.post("/setup/start/repository", &[form[0], form[1], form[2], ("replace", "local/other")]).await;
    again.assert_contains(&["local/other is already connected", "a name that is free in “Name here”"]);
    assert_eq!(again.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_run_on_aws_offers_no_folder() {
    let (story, mut browser) = Story::with_browser().await;
    connect_local_forge(&story).await;
    browser.get("/setup/start?project=acme&by=folder").await.assert_contains(&["Folder of this machine"]);
    let ctx = story.function_context("dispatch", "effects.fifo").await;
    browser.url = crate::story::serve(pullyard_function_pages::setup_router(ctx, None, "")).await;
    let page = browser.get("/setup/start?project=acme&by=folder").await;
    page.assert_contains(&["Connected forge", "Source of the repository"]);
    assert!(!page.contains("Folder of this machine") && !page.contains("near the folder"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn replacement_gives_no_workflows_and_is_finished_by_a_repeat() {
    let (story, browser) = Story::with_browser().await;
    let forge = story.local.forge();
    forge.create_repository("acme/second", "main", &[("README.md", "# Second\n", false)]).await.unwrap();
    let project = ProjectId::new("acme").unwrap();
    let list = async || story.api.repositories(&project).await.unwrap().repositories;
    let before = list().await.remove(0);
    let connect = async |name: &str, workflows: bool| {
        let integration = before.integration.clone();
        let repository = AddRepository {
            workflows,
            commands: CommandOverrides { setup: Some(vec!["npm ci".into()]), ..CommandOverrides::default() },
            running_jobs: None,
            ..AddRepository::new(integration, RepositoryName::new(name).unwrap(), before.agent.clone())
        };
        story.api.add_repository(&project, &repository).await.unwrap();
    };
    let post = async |name: &str, replace: &str| {
        let form = [("project", "acme"), ("by", "connection"), ("connection", "gh1"), ("name", name)];
        let form: Vec<_> = form.into_iter().chain([("replace", replace)]).collect();
        browser.post("/setup/start/repository", &form).await
    };
    let names = async || list().await.iter().map(|one| (one.name.to_string(), one.workflows)).collect::<Vec<_>>();
    connect("acme/app", true).await;

    // The same repository has another name at the forge. Its settings stay, also without a second write.
    for (from, to, replace) in [("acme/app", "acme/first", ""), ("acme/first", "acme/renamed", "acme/first")] {
        forge.rename_repository(from, to, "pullyard-bot").await.unwrap();
        assert_eq!(post(to, replace).await.status, 303);
        assert_eq!(names().await, [(to.to_owned(), true)]);
        assert!(list().await.remove(0).commands.setup.is_some());
    }

    for name in ["acme/renamed", "acme/app"] {
        let connected = post(name, "acme/renamed").await;
        assert_eq!(connected.status, 409, "{name}");
        connected.assert_contains(&["is already connected", "on the page Repositories"]);
    }

    // As after a crash between the two writes.
    connect("acme/second", false).await;
    assert_eq!(post("acme/second", "acme/renamed").await.status, 303);
    assert_eq!(names().await, [("acme/second".to_owned(), false)]);
    let settings = story.api.project(&project).await.unwrap().settings;
    assert_eq!(settings.default_repository.unwrap().as_str(), "acme/second");

    connect("acme/second", true).await;
    forge.create_repository("acme/third", "main", &[("README.md", "# Third\n", false)]).await.unwrap();
    assert_eq!(post("acme/third", "acme/second").await.status, 303);
    let third = list().await.remove(0);
    assert_eq!((third.name.as_str(), third.workflows, third.commands.setup), ("acme/third", false, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_with_an_active_job_is_not_replaced() {
    let (story, _) = Story::with_job().await;
    let browser = Browser::admin(&story).await;
    story.local.forge().create_repository("acme/second", "main", &[("README.md", "# Second\n", false)]).await.unwrap();
    let form = |replace| {
        let second = [("project", "acme"), ("by", "connection"), ("connection", "gh1"), ("name", "acme/second")];
        second.into_iter().chain([("replace", replace)]).collect::<Vec<_>>()
    };
    assert_eq!(browser.post("/setup/start/repository", &form("acme/none")).await.status, 404);
    let refused = browser.post("/setup/start/repository", &form("acme/app")).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    refused.assert_contains(&["acme/second is connected too.", "has not ended"]);
    let project = story.api.project(&ProjectId::new("acme").unwrap()).await.unwrap();
    assert_eq!(project.settings.default_repository.unwrap().as_str(), REPOSITORY);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_step_changes_its_project() {
    let (story, browser) = Story::with_browser().await;
    create_shop(&browser).await;
    browser.get(SHOP).await.assert_contains(&["/setup/start?project=shop&amp;step=1"]);
    browser.get(&format!("{SHOP}&step=1")).await.assert_contains(&[r#"value="Shop""#, r#"value="Go""#, "Save project"]);
    let opened = "Todo\r\nGo\r\nReview\r\non\r\n\r\nShop";
    let form = |trigger| {
        let columns = [("trigger", trigger), ("completion", "Review"), ("todo", "Todo"), ("shown", opened)];
        [("project", "shop"), ("name", "Web shop")].into_iter().chain(columns).collect::<Vec<_>>()
    };
    let equal = browser.post("/setup/start/project", &form("Todo")).await;
    assert!(equal.status == 422 && equal.contains(r#"value="Web shop""#), "{}", equal.body);
    equal.assert_contains(&["must differ from the trigger status", "Save project"]);
    let columns = async || story.api.project(&shop()).await.unwrap().settings.statuses.columns;
    let before = columns().await;
    let ticket = json!({ "project": "shop", "key": "SHOP-1", "title": "Say hi", "status": "Review" });
    story.api.create_ticket(&serde_json::from_value(ticket).unwrap(), None).await.unwrap();
    let mut renamed = form("Now");
    renamed[3].1 = "QA";
    assert_eq!(browser.post("/setup/start/project", &renamed).await.redirect(), (303, SHOP));
    let new_name = |name: String| match name.as_str() {
        "Go" => "Now".into(),
        "Review" => "QA".into(),
        _ => name,
    };
    assert_eq!(columns().await, before.into_iter().map(new_name).collect::<Vec<_>>(), "a column lost its place");
    assert_eq!(story.api.ticket(&shop(), &TicketKey::new("SHOP-1").unwrap()).await.unwrap().status, "QA");
    let project = story.api.project(&shop()).await.unwrap();
    assert_eq!((project.name.as_str(), project.settings.statuses.trigger.as_str()), ("Web shop", "Now"));
    assert!(!project.settings.auto_create && !project.settings.revise_on_review);
    // The form was opened before the columns were renamed, and does not rename them back.
    assert_eq!(browser.post("/setup/start/project", &form("Go")).await.redirect(), (303, SHOP));
    assert_eq!(story.api.project(&shop()).await.unwrap(), project);
    let mut late = form("Start");
    let refused = browser.post("/setup/start/project", &late).await;
    refused.assert_contains(&["After this form was opened, Go became Now.", "Save project"]);
    refused.assert_contains(&[r#"value="Start""#, r#"value="QA""#]);
    assert_eq!((refused.status, story.api.project(&shop()).await.unwrap()), (409, project));
    let shown = refused.body.split_once("name=\"shown\" value=\"").unwrap().1.split('"').next().unwrap();
    (late[3].1, late[5].1) = ("QA", shown);
    assert_eq!(browser.post("/setup/start/project", &late).await.redirect(), (303, SHOP));
    let statuses = story.api.project(&shop()).await.unwrap().settings.statuses;
    assert_eq!((statuses.trigger.as_str(), statuses.completion.as_str()), ("Start", "QA"));
    let mut other = form("Now");
    other[0].1 = "none";
    assert_eq!(browser.post("/setup/start/project", &other).await.status, 404);
    other[0].1 = "acme";
    let own = Browser::with(&story, &[Scope::Admin], Some(&["shop"])).await;
    assert_eq!(own.post("/setup/start/project", &other).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_rename_of_columns_is_finished_by_a_repeat() {
    let (story, browser) = Story::with_browser().await;
    create_shop(&browser).await;
    for (key, status) in [("SHOP-1", "Review"), ("SHOP-2", "Todo")] {
        let ticket = json!({ "project": "shop", "key": key, "title": "Say hi", "status": status });
        story.api.create_ticket(&serde_json::from_value(ticket).unwrap(), None).await.unwrap();
    }
    let page = browser.get(&format!("{SHOP}&step=1")).await;
    let shown = page.body.split_once("name=\"shown\" value=\"").unwrap().1.split('"').next().unwrap();
    assert_eq!(shown, "Todo\nGo\nReview\non\n\nShop");
    // As after a crash between the first write of the first rename and its tickets.
    let ctx = story.function_context("dispatch", "effects.fifo").await;
    let store = &ctx.store;
    let mut project = store.load_project(&shop()).await.unwrap().unwrap();
    project.settings.statuses = project.settings.statuses.rename_column("Todo", "Next").unwrap();
    assert_eq!(store.put_project(&project).await.unwrap(), pullyard_store::Write::Applied);

    let columns = [("trigger", "Go"), ("completion", "QA"), ("todo", "Next"), ("shown", shown)];
    let form: Vec<_> = [("project", "shop"), ("name", "Shop")].into_iter().chain(columns).collect();
    for _ in 0..2 {
        assert_eq!(browser.post("/setup/start/project", &form).await.redirect(), (303, SHOP));
    }
    for (key, status) in [("SHOP-1", "QA"), ("SHOP-2", "Next")] {
        assert_eq!(story.api.ticket(&shop(), &TicketKey::new(key).unwrap()).await.unwrap().status, status, "{key}");
    }
    let columns = story.api.project(&shop()).await.unwrap().settings.statuses.columns;
    assert!(!columns.iter().any(|column| ["Todo", "Review"].contains(&column.as_str())), "{columns:?}");
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
    for (by, texts) in [
        (
            "github",
            ["acme/shop", "GitHub Enterprise Server: https://HOST/api/v3", "Of a separate account, not a person’s."],
        ),
        ("bitbucket", ["workspace/shop", "https://api.bitbucket.org/2.0", "or E-MAIL:API-TOKEN. Scopes: repository"]),
    ] {
        browser.get(&format!("{SHOP}&by={by}")).await.assert_contains(&texts);
    }
    let form = [("project", "shop"), ("by", "gitlab"), ("id", "gl1"), ("token", "t"), ("name", "acme/app")];
    let unknown = browser.post("/setup/start/repository", &form).await;
    assert!(unknown.status == 422 && unknown.contains("does not know this forge"), "{}", unknown.body);
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
    page.assert_contains(&["Empty: the present key stays."]);

    // Another project may use the same key. Its value stays hidden.
    assert_eq!(browser.post("/setup/start/project", &project_form("Web", "")).await.status, 303);
    let page = browser.get("/setup/start?project=web&agent=claude_code").await;
    assert!(page.contains(r#"<option value="pullyard/job/shop-claude-token" selected>"#), "{}", page.body);
    assert!(!page.contains(key), "{}", page.body);
    let stored = |secret| [("project", "web"), ("agent", "claude_code"), ("stored", secret)];
    let foreign = browser.post("/setup/start/agent", &stored("pullyard/job/other")).await;
    assert!(foreign.status == 422 && foreign.contains("choose one of the list"), "{}", foreign.body);
    assert!(!foreign.contains(r#"claude-token" selected>"#), "the refused form lost its choice: {}", foreign.body);
    let model = [&stored("pullyard/job/shop-claude-token")[..], &[("model", "--help")]].concat();
    let refused = browser.post("/setup/start/agent", &model).await;
    assert!(refused.status == 422 && refused.contains(r#"claude-token" selected>"#), "{}", refused.body);
    refused.assert_contains(&["Empty: jobs use the chosen key."]);
    // A third project uses the secret as a key of another kind, and a fourth cannot be read.
    for (id, name) in [("zed", "Zed"), ("old", "Old")] {
        assert_eq!(browser.post("/setup/start/project", &project_form(name, id)).await.status, 303);
    }
    let zed = ProjectId::new("zed").unwrap();
    let project = story.api.project(&zed).await.unwrap();
    let mut settings = project.settings;
    settings.model_secrets.openai_api_key = Some("pullyard/job/shop-claude-token".into());
    story.api.set_settings(&zed, &settings, project.revision).await.unwrap();
    story.break_item("PROJECT#old", "PROJECT", "settings").await;
    let page = browser.get("/setup/start?project=web&agent=claude_code").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let used = browser.post("/setup/start/agent", &stored("pullyard/job/shop-claude-token")).await;
    assert_eq!(used.redirect(), (303, "/setup/start?project=web"));
    let settings = story.api.project(&ProjectId::new("web").unwrap()).await.unwrap().settings;
    assert_eq!(settings.model_secrets.claude_token.as_deref(), Some("pullyard/job/shop-claude-token"));
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
    let project = reader.get("/setup/start?step=1").await;
    assert!(project.contains("changes the project.") && !project.contains("There is no project"), "{}", project.body);
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
