//! Bitbucket's API over the demo forge's repositories, and its refusals.

use pullyard_demo_forge::{AccountKind, User};
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use serde_json::{Value, json};

use crate::world::{ANN, Answer, BOT, EVE, REPOSITORY, RON, World};

impl World {
    /// An address below the repository, or below the API for a path with a leading slash.
    pub(crate) fn at(&self, path: &str) -> String {
        let api = self.forge.bitbucket_api_url();
        match path.strip_prefix('/') {
            Some(path) => format!("{api}/{path}"),
            None if path.is_empty() => format!("{api}/repositories/{REPOSITORY}"),
            None => format!("{api}/repositories/{REPOSITORY}/{path}"),
        }
    }

    pub(crate) async fn read(&self, who: &str, path: &str) -> Answer {
        self.get(who, &self.at(path)).await
    }

    pub(crate) async fn send(&self, who: &str, path: &str, body: Value) -> Answer {
        self.post(who, &self.at(path), body).await
    }

    /// Creates a comment on the pull request and returns its id.
    pub(crate) async fn say(&self, who: &str, words: &str) -> u64 {
        let answer = self.send(who, "pullrequests/1/comments", note(words)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_u64().unwrap()
    }

    /// Creates a comment on line 10 through GitHub's API and returns its id.
    async fn say_on_line(&self, who: &str) -> u64 {
        let head = self.get(BOT, "pulls/1").await.body["head"]["sha"].clone();
        let new = json!({ "commit_id": head, "path": "change.txt", "line": 10, "side": "RIGHT", "body": "Why so?" });
        let answer = self.post(who, "pulls/1/comments", new).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_u64().unwrap()
    }

    /// Creates a reply through GitHub's API and returns its id.
    async fn answer(&self, who: &str, first: u64) -> u64 {
        let answer = self.post(who, &format!("pulls/1/comments/{first}/replies"), json!({ "body": "Done." })).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_u64().unwrap()
    }
}

pub(crate) fn said(answer: &Answer) -> &str {
    assert_eq!(answer.body["type"], json!("error"), "{}", answer.body);
    answer.body["error"]["message"].as_str().unwrap()
}

fn proposal(branch: &str) -> Value {
    json!({ "title": "Change it", "description": "Why.", "source": { "branch": { "name": branch } } })
}

pub(crate) fn note(words: &str) -> Value {
    json!({ "content": { "raw": words } })
}

async fn with_basic(world: &World, name: &str, password: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(world.at("/user")).basic_auth(name, Some(password)).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn token_is_accepted_as_bearer_or_basic() {
    let world = World::new().await;
    let own = world.read(ANN, "/user").await;
    assert_eq!((own.status, &own.body["nickname"], &own.body["type"]), (200, &json!(ANN), &json!("user")));
    assert_eq!(with_basic(&world, "ann@acme.example", "token-of-ann").await, 200);
    assert_eq!(with_basic(&world, "ann@acme.example", "token-of-who").await, 401);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for header in ["token token-of-ann", "Bearer token-of-who", "Bearer "] {
        let answer = client.get(world.at("")).header("authorization", header).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{header}");
    }
    let nobody = client.get(world.at("")).send().await.unwrap();
    assert_eq!(nobody.status().as_u16(), 404);
    assert_eq!(client.get(world.at("/user")).send().await.unwrap().status().as_u16(), 401);
}

#[tokio::test]
async fn access_token_cannot_read_its_account() {
    let world = World::new().await;
    let robot = User { login: "robot".to_owned(), id: 14, token: "token-of-robot".to_owned() };
    world.forge.add_user(robot, AccountKind::Bot).await.unwrap();
    let answer = world.read("robot", "/user").await;
    assert_eq!(answer.status, 403);
    assert_eq!(said(&answer), "This API is not accessible by this authentication mechanism");
}

#[tokio::test]
async fn repository_has_a_uuid_and_the_caller_in_its_clone_url() {
    let world = World::new().await;
    let told = world.read(ANN, "").await;
    assert_eq!((told.status, &told.body["full_name"]), (200, &json!(REPOSITORY)));
    assert_eq!((&told.body["mainbranch"]["name"], &told.body["is_private"]), (&json!("main"), &json!(true)));
    let host = world.forge.url().replace("http://", "");
    let clone = &told.body["links"]["clone"][0];
    assert_eq!((&clone["name"], &clone["href"]), (&json!("https"), &json!(format!("http://ann@{host}/acme/app.git"))));
    let uuid = told.body["uuid"].as_str().unwrap();
    assert!(uuid.starts_with('{') && uuid.ends_with('}') && uuid.len() == 38, "{uuid}");
    let by_uuid = format!("/repositories/%7B%7D/%7B{}%7D", uuid.trim_matches(['{', '}']));
    assert_eq!(world.read(RON, &by_uuid).await.body["full_name"], json!(REPOSITORY));
    let hidden = world.read(EVE, "").await;
    assert_eq!(hidden.status, 404);
    assert!(said(&hidden).starts_with("You may not have access to this repository"));
    assert_eq!(world.read(BOT, "/repositories/acme/none").await.status, 404);
    assert_eq!(world.read(BOT, "/teams").await.status, 404);
}

#[tokio::test]
async fn branch_is_found_with_plain_or_encoded_slash() {
    let world = World::new().await;
    let head = world.forge.commit(REPOSITORY, "topic/1", BOT, &[("other.txt", "x\n", false)]).await.unwrap();
    for path in ["refs/branches/topic/1", "refs/branches/topic%2F1"] {
        let branch = world.read(RON, path).await;
        assert_eq!((&branch.body["name"], &branch.body["target"]["hash"]), (&json!("topic/1"), &json!(head)), "{path}");
    }
    let missing = world.read(RON, "refs/branches/none").await;
    assert_eq!((missing.status, said(&missing)), (404, "Branch \"none\" not found"));
    let commit = world.read(RON, &format!("commit/{}", &head[..12])).await;
    assert_eq!((commit.status, &commit.body["hash"]), (200, &json!(head)));
    assert_eq!(world.read(RON, &format!("commit/{}", "0".repeat(40))).await.status, 404);
    assert_eq!(world.read(RON, "commit/main").await.status, 404);
}

#[tokio::test]
async fn both_apis_show_the_same_pull_request() {
    let world = World::new().await;
    let head = world.get(BOT, "pulls/1").await.body["head"]["sha"].as_str().unwrap().to_owned();
    let told = world.read(RON, "pullrequests/1").await.body;
    assert_eq!((&told["id"], &told["state"], &told["title"]), (&json!(1), &json!("OPEN"), &json!("Change it")));
    assert_eq!((&told["description"], &told["author"]["nickname"]), (&json!("Why."), &json!(BOT)));
    let source = &told["source"];
    assert_eq!((&source["branch"]["name"], &source["commit"]["hash"]), (&json!("job"), &json!(&head[..12])));
    assert_eq!(source["repository"]["uuid"], told["destination"]["repository"]["uuid"]);
    let page =
        reqwest::Client::builder().no_proxy().build().unwrap().get(told["links"]["html"]["href"].as_str().unwrap());
    assert_eq!(page.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(world.read(RON, "pullrequests/2").await.status, 404);
    assert_eq!(world.read(RON, "pullrequests/x").await.status, 404);
}

#[tokio::test]
async fn repeated_creation_updates_the_open_pull_request() {
    let world = World::new().await;
    world.forge.commit(REPOSITORY, "next", BOT, &[("other.txt", "x\n", false)]).await.unwrap();
    let first = world.send(BOT, "pullrequests", proposal("next")).await;
    assert_eq!((first.status, &first.body["id"]), (201, &json!(2)));
    assert_eq!(first.body["destination"]["branch"]["name"], json!("main"), "the main branch is the default");
    let mut again = proposal("next");
    again["title"] = json!("Change it more");
    let second = world.send(BOT, "pullrequests", again).await;
    assert_eq!((second.status, &second.body["id"], &second.body["title"]), (201, &json!(2), &json!("Change it more")));
}

#[tokio::test]
async fn refused_creation_names_the_field() {
    let world = World::new().await;
    let none = world.send(BOT, "pullrequests", proposal("none")).await;
    assert_eq!((none.status, said(&none)), (400, "source: branch not found: none"));
    assert_eq!(none.body["error"]["fields"]["source"], json!(["branch not found: none"]));
    let mut to_none = proposal("job");
    to_none["destination"] = json!({ "branch": { "name": "none" } });
    assert_eq!(said(&world.send(BOT, "pullrequests", to_none).await), "destination: branch not found: none");
    let same = world.send(BOT, "pullrequests", proposal("main")).await;
    assert_eq!((same.status, said(&same)), (400, "There are no changes to be pulled"));
    let untitled = world.send(BOT, "pullrequests", json!({ "source": { "branch": { "name": "job" } } })).await;
    assert_eq!(
        (untitled.status, &untitled.body["error"]["fields"]["title"][0]),
        (400, &json!("required key not provided"))
    );
    let mut long = proposal("job");
    long["title"] = json!("x".repeat(256));
    assert_eq!(world.send(BOT, "pullrequests", long).await.status, 400);
    assert_eq!(world.send(BOT, "pullrequests", json!("x")).await.status, 400);
    let reader = world.send(RON, "pullrequests", proposal("job")).await;
    assert_eq!(reader.status, 403);
    assert_eq!(reader.body["error"]["detail"]["required"], json!(["write:pullrequest:bitbucket"]));
}

#[tokio::test]
async fn pull_request_list_is_filtered_sorted_and_paged() {
    let world = World::new().await;
    for branch in ["second", "third"] {
        world.forge.commit(REPOSITORY, branch, BOT, &[(branch, "x\n", false)]).await.unwrap();
        assert_eq!(world.send(BOT, "pullrequests", proposal(branch)).await.status, 201);
    }
    let ids = |page: &Answer| {
        assert_eq!(page.status, 200, "{}", page.body);
        page.body["values"].as_array().unwrap().iter().map(|pull| pull["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let first = world.read(RON, "pullrequests?state=OPEN&pagelen=2&sort=-updated_on").await;
    assert_eq!((ids(&first), &first.body["size"], &first.body["page"]), (vec![3, 2], &json!(3), &json!(1)));
    let next = first.body["next"].as_str().unwrap();
    assert!(next.starts_with(&world.at("pullrequests?")), "{next}");
    let last = world.get(RON, next).await;
    assert_eq!((ids(&last), &last.body["next"]), (vec![1], &Value::Null));
    assert_eq!(world.send(ANN, "pullrequests/3/decline", json!({})).await.body["state"], json!("DECLINED"));
    for (query, expected) in [
        ("sort=-updated_on", vec![2, 1]),
        ("state=DECLINED", vec![3]),
        ("state=MERGED", vec![]),
        ("state=DECLINED&state=OPEN", vec![3, 2, 1]),
        ("q=source.branch.name%3D%22second%22+AND+state%3D%22OPEN%22&sort=-updated_on&pagelen=50", vec![2]),
        ("q=source.branch.name%3D%22third%22+AND+state%3D%22OPEN%22", vec![]),
        ("q=source.branch.name%3D%22third%22+AND+state%3D%22DECLINED%22", vec![3]),
    ] {
        assert_eq!(ids(&world.read(RON, &format!("pullrequests?{query}")).await), expected, "{query}");
    }
    for bad in
        ["pagelen=51", "pagelen=0", "page=0", "page=x", "sort=id", "state=FINE", "q=state%3D%22OPEN%22", "q=id%3E1"]
    {
        assert_eq!(world.read(RON, &format!("pullrequests?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn edit_clears_omitted_fields_and_needs_a_title() {
    let world = World::new().await;
    let uuid = world.read(RON, "/user").await.body["uuid"].clone();
    let change = async |who: &str, body: Value| world.put(who, &world.at("pullrequests/1"), body).await;
    let twice = json!([{ "uuid": uuid }, { "uuid": uuid }]);
    let asked = change(BOT, json!({ "title": "New", "description": "So.", "reviewers": twice })).await;
    assert_eq!((asked.status, &asked.body["title"]), (200, &json!("New")));
    assert_eq!(asked.body["reviewers"].as_array().unwrap().len(), 1, "no duplicate reviewers");
    assert_eq!(asked.body["reviewers"][0]["nickname"], json!(RON));
    assert_eq!(world.get(BOT, "pulls/1/requested_reviewers").await.body["users"][0]["login"], json!(RON));
    let changed = change(BOT, json!({ "title": "New", "description": "Thus." })).await.body;
    assert_eq!((&changed["description"], &changed["reviewers"]), (&json!("Thus."), &json!([])));
    let bare = change(BOT, json!({ "title": "New" })).await.body;
    assert!(!bare.to_string().contains("Thus."), "{bare}");
    let untitled = change(BOT, json!({ "description": "Thus." })).await;
    assert_eq!((untitled.status, said(&untitled)), (400, "title: This field is required."));
    assert_eq!(change(BOT, json!({ "title": "New", "reviewers": [{ "uuid": "{0}" }] })).await.status, 400);
    let own = world.read(BOT, "/user").await.body["uuid"].clone();
    let refused = change(BOT, json!({ "title": "New", "reviewers": [{ "uuid": own }] })).await;
    assert!(said(&refused).contains("is the author and cannot be included as a reviewer"));
    assert_eq!(change(RON, json!({ "description": "No." })).await.status, 403);
    assert_eq!(world.send(ANN, "pullrequests/1/decline", json!({})).await.status, 200);
    let closed = change(BOT, json!({ "title": "New", "description": "Late." })).await;
    assert_eq!(
        (closed.status, &closed.body["error"]["detail"]),
        (400, &json!("You can only edit an open pull request."))
    );
}

#[tokio::test]
async fn merge_sets_the_state_and_conflicts_are_refused() {
    let world = World::new().await;
    assert_eq!(world.send(RON, "pullrequests/1/merge", json!({})).await.status, 403);
    let merged = world.send(ANN, "pullrequests/1/merge", json!({ "merge_strategy": "squash" })).await;
    assert_eq!((merged.status, &merged.body["state"]), (200, &json!("MERGED")));
    assert_eq!(merged.body["merge_commit"]["hash"].as_str().unwrap().len(), 12);
    assert_eq!(world.send(ANN, "pullrequests/1/merge", json!({})).await.status, 400);
    assert_eq!(world.get(BOT, "pulls/1").await.body["merged"], json!(true));

    let world = World::new().await;
    let other = crate::world::lines(&[(10, "otherwise")]);
    world.forge.commit(REPOSITORY, "main", ANN, &[("change.txt", &other, false)]).await.unwrap();
    assert_eq!(world.send(ANN, "pullrequests/1/merge", json!({})).await.status, 400);
}

#[tokio::test]
async fn comments_of_all_kinds_are_in_one_list() {
    let world = World::new().await;
    world.request_changes(RON, "Not yet.").await;
    let note = world.say(ANN, "Hello <all>").await;
    let line = world.say_on_line(ANN).await;
    let list = world.read(BOT, "pullrequests/1/comments?pagelen=100").await.body["values"].clone();
    let raw: Vec<&Value> = list.as_array().unwrap().iter().map(|comment| &comment["content"]["raw"]).collect();
    assert_eq!(raw, [&json!("Not yet."), &json!("Why so?"), &json!("Hello <all>"), &json!("Why so?")]);
    let of = |id: u64| list.as_array().unwrap().iter().find(|comment| comment["id"] == json!(id)).unwrap();
    assert_eq!(of(note)["content"]["html"], json!("<p>Hello &lt;all&gt;</p>"));
    assert!(of(note).get("inline").is_none() && of(note).get("parent").is_none());
    let inline = &of(line)["inline"];
    assert_eq!((&inline["path"], &inline["to"], &inline["from"]), (&json!("change.txt"), &json!(10), &Value::Null));
    assert_eq!((&of(line)["deleted"], &of(line)["pending"]), (&json!(false), &json!(false)));
    assert_eq!(world.get(RON, "issues/1/comments").await.body[0]["id"], json!(note), "GitHub's API has it too");
    world.push(&[(10, "changed again")]).await;
    let inline = world.read(BOT, &format!("pullrequests/1/comments/{line}")).await.body["inline"].clone();
    assert_eq!((&inline["outdated"], &inline["to"]), (&json!(true), &json!(10)));
}

#[tokio::test]
async fn line_reply_names_the_first_comment_of_its_thread() {
    let world = World::new().await;
    let first = world.say_on_line(RON).await;
    let told = async |id: u64| world.read(BOT, &format!("pullrequests/1/comments/{id}")).await.body;
    for who in [BOT, RON] {
        let answer = told(world.answer(who, first).await).await;
        assert_eq!((&answer["parent"]["id"], &answer["inline"]["path"]), (&json!(first), &json!("change.txt")));
    }
    assert_eq!(told(first).await.get("parent"), None);
}

#[tokio::test]
async fn only_the_author_edits_a_comment_and_never_to_blank() {
    let world = World::new().await;
    let id = world.say(RON, "Hello").await;
    let path = world.at(&format!("pullrequests/1/comments/{id}"));
    let refused = world.put(ANN, &path, note("Hello!")).await;
    assert_eq!((refused.status, said(&refused)), (403, "You do not have permission to edit this comment."));
    assert_eq!(world.put(RON, &path, note("Hello!")).await.body["content"]["raw"], json!("Hello!"));
    assert_eq!(world.get(ANN, &path).await.body["content"]["raw"], json!("Hello!"));
    assert_eq!(world.put(RON, &path, note(" ")).await.status, 400);
    assert_eq!(world.put(RON, &world.at("pullrequests/1/comments/7"), note("Hello!")).await.status, 404);
    assert_eq!(world.send(RON, "pullrequests/1/comments", json!({})).await.status, 400);
    assert_eq!(world.send(EVE, "pullrequests/1/comments", note("Hello")).await.status, 404);
    assert_eq!(world.read(RON, "pullrequests/1/comments/7").await.status, 404);
}

#[tokio::test]
async fn unsupported_comment_bodies_are_rejected_without_effect() {
    let world = World::new().await;
    let line = world.say_on_line(RON).await;
    let whole = world.say(RON, "Hello").await;
    let check = async |path: &str, more: Value, words: &str| {
        let mut body = note("Hm.");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = match path.rsplit_once('/') {
            Some((_, "comments")) => world.send(RON, path, body.clone()).await,
            _ => world.put(RON, &world.at(path), body.clone()).await,
        };
        assert_eq!((refused.status, said(&refused)), (400, words), "{path} {body}");
    };
    let path = format!("pullrequests/1/comments/{line}");
    check(&path, json!({}), "the demo forge rewords comments on the whole only").await;
    let path = format!("pullrequests/1/comments/{whole}");
    check(&path, json!({ "parent": { "id": line } }), "parent: the demo forge leaves a comment where it is").await;
    let inline = |more: Value| {
        let mut inline = json!({ "path": "change.txt" });
        inline.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "inline": inline })
    };
    let one_side = "inline: the demo forge takes a comment on a line of one side only";
    let mut both = inline(json!({ "to": 10 }));
    both["parent"] = json!({ "id": line });
    for (more, words) in [
        (inline(json!({})), one_side),
        (inline(json!({ "to": 10, "from": 10 })), one_side),
        (inline(json!({ "to": 29 })), "Line could not be resolved"),
        (inline(json!({ "to": 10, "start_to": 29 })), "Start line could not be resolved"),
        (inline(json!({ "to": 10, "path": "none.txt" })), "Path could not be resolved"),
        (both, "inline: the demo forge leaves an answer where its parent is"),
        (json!({ "parent": { "id": 7 } }), "parent: The comment does not exist."),
        (json!({ "parent": {} }), "Bad request"),
        (json!({ "inline": {} }), "Bad request"),
        (json!({ "pending": true }), "pending: the demo forge takes no comments that are to wait"),
    ] {
        check("pullrequests/1/comments", more, words).await;
    }
    let list = world.read(BOT, "pullrequests/1/comments").await.body;
    assert_eq!((&list["size"], &list["values"][0]["content"]["raw"]), (&json!(2), &json!("Why so?")));
}

#[tokio::test]
async fn build_status_replaces_the_one_with_the_same_key() {
    let world = World::new().await;
    let head = world.get(BOT, "pulls/1").await.body["head"]["sha"].as_str().unwrap().to_owned();
    let path = format!("commit/{head}/statuses/build");
    let status =
        |key: &str, state: &str| json!({ "key": key, "state": state, "name": "Job", "url": "http://x.test/1" });
    for (state, kept) in
        [("INPROGRESS", "pending"), ("STOPPED", "error"), ("FAILED", "failure"), ("SUCCESSFUL", "success")]
    {
        let set = world.send(BOT, &path, status("job", state)).await;
        assert_eq!((set.status, &set.body["state"], &set.body["key"]), (201, &json!(state), &json!("job")));
        let told = world.get(RON, &format!("commits/{head}/statuses")).await.body;
        assert_eq!((told.as_array().unwrap().len(), &told[0]["state"]), (1, &json!(kept)), "{state}");
    }
    let list = world.read(RON, &format!("commit/{}/statuses", &head[..12])).await.body;
    assert_eq!((&list["size"], &list["values"][0]["name"]), (&json!(1), &json!("Job")));
    for bad in [
        status(&"x".repeat(41), "FAILED"),
        status("job", "FINE"),
        json!({ "key": "job", "state": "FAILED" }),
        json!({ "key": "job", "state": "FAILED", "url": "x.test" }),
        json!({ "state": "FAILED", "url": "http://x.test" }),
    ] {
        assert_eq!(world.send(BOT, &path, bad.clone()).await.status, 400, "{bad}");
    }
    let missing = format!("commit/{}/statuses/build", "0".repeat(40));
    assert_eq!(world.send(BOT, &missing, status("job", "FAILED")).await.status, 404);
    let reader = world.send(RON, &path, status("job", "FAILED")).await;
    assert_eq!(reader.status, 403);
    assert_eq!(reader.body["error"]["detail"]["required"], json!(["write:repository:bitbucket"]));
}

#[tokio::test]
async fn malformed_paths_and_queries_are_rejected() {
    let world = World::new().await;
    let check = async |path: &str, status: u16| {
        assert_eq!(world.read(BOT, path).await.status, status, "{}", path.get(..80).unwrap_or(path));
    };
    for page in ["page=18446744073709551615&pagelen=50", "page=2&pagelen=1"] {
        check(&format!("pullrequests?{page}"), 200).await;
    }
    for page in ["page=18446744073709551616", "page=-1", "pagelen=-1", "pagelen=", "page"] {
        check(&format!("pullrequests?{page}"), 400).await;
    }
    for filter in
        ["%FF%22", "%22", "%5C", "id%3D%22%5C", "\u{fc}%3D1", "id%3D1)", &"(".repeat(1_999), &"x".repeat(9_999)]
    {
        check(&format!("pullrequests?q={filter}"), 400).await;
    }
    for number in ["18446744073709551616", "-1", "1%00", "0", "%C3%BC", "1%2F2"] {
        check(&format!("pullrequests/{number}"), 404).await;
        check(&format!("pullrequests/1/comments/{number}"), 404).await;
    }
    let long = "a".repeat(65);
    for commit in ["HEAD", "--help", "-1", "%2D%2Doutput=x", "main%5E%7B%7D", "..%2F..", "abcdef0%00", long.as_str()] {
        check(&format!("commit/{commit}"), 404).await;
        check(&format!("commit/{commit}/statuses"), 404).await;
    }
    for branch in ["..%2F..%2Fconfig", "main%00", "main%5E", "--all", "%20", "main/"] {
        check(&format!("refs/branches/{branch}"), 404).await;
    }
    check("/repositories/%7B%7D/%7Bx%7D", 404).await;
    check("/repositories/acme%2Fapp/app", 404).await;
    check("pullrequests/%FF", 400).await;
    check("pullrequests/1", 200).await;
}

#[tokio::test]
async fn malformed_bodies_are_rejected_without_effect() {
    let world = World::new().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |path: &str, body: Vec<u8>| {
        let call = client.post(world.at(path)).bearer_auth("token-of-pullyard-bot").body(body);
        call.send().await.unwrap().status().as_u16()
    };
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    let bodies =
        ["", "{", "null", "7", "\"x\"", "{\"content\":", r#"{"content":"x"}"#, r#"{"content":{"raw":7}}"#, &deep];
    for path in ["pullrequests", "pullrequests/1/comments", "commit/0000000/statuses/build"] {
        for body in bodies {
            assert_eq!(send(path, body.into()).await, 400, "{path} {}", body.get(..40).unwrap_or(body));
        }
        assert_eq!(send(path, b"\xff\xfe{}".to_vec()).await, 400, "{path}");
    }
    let named = |reviewers: Value| json!({ "title": "New", "reviewers": reviewers });
    for body in [named(json!([{}])), named(json!({})), json!({ "title": " " })] {
        assert_eq!(world.put(BOT, &world.at("pullrequests/1"), body.clone()).await.status, 400, "{body}");
    }
    assert_eq!(world.read(BOT, "pullrequests/1/comments").await.body["size"], json!(0));
    assert_eq!(world.read(BOT, "pullrequests").await.body["size"], json!(1));
}

#[tokio::test]
async fn ordered_faults_have_the_format_of_bitbucket() {
    let world = World::new().await;
    let calls = || Calls { method: Some("POST".to_owned()), path: "/pullrequests/1/comments".to_owned() };
    world.forge.order_fault(calls(), 1, Fault::too_many(30));
    world.forge.order_fault(calls(), 1, Fault::status(503));
    let hello = note("Hello");
    let limited = world.send(RON, "pullrequests/1/comments", hello.clone()).await;
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (429, "30"));
    assert!(said(&limited).contains("rate limit"));
    assert_eq!(said(&world.send(RON, "pullrequests/1/comments", hello.clone()).await), "Server Error");
    world.forge.order_fault(calls(), 1, Fault::HangUpAfter);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let lost = client.post(world.at("pullrequests/1/comments")).bearer_auth("token-of-ron").json(&hello).send().await;
    assert!(lost.is_err());
    assert_eq!(world.read(RON, "pullrequests/1/comments").await.body["size"], json!(1), "it had one effect");
}

#[tokio::test]
async fn restarted_forge_keeps_uuids_and_replies() {
    let world = World::new().await;
    let first = world.say_on_line(RON).await;
    let second = world.answer(BOT, first).await;
    let before = world.read(RON, "pullrequests/1").await.body["source"]["repository"]["uuid"].clone();
    let world = world.restarted().await;
    assert_eq!(world.read(RON, "").await.body["uuid"], before);
    let reply = world.read(RON, &format!("pullrequests/1/comments/{second}")).await.body;
    assert_eq!(reply["parent"]["id"], json!(first));
}
