//! Bitbucket's reviews: participants and verdicts, the activity, and permissions.

use pullyard_demo_forge::Role;
use serde_json::{Value, json};

use crate::{
    bitbucket::said,
    world::{ANN, Answer, BOT, EVE, REPOSITORY, RON, World},
};

const REQUEST: &str = "pullrequests/1/request-changes";
const APPROVAL: &str = "pullrequests/1/approve";

impl World {
    async fn pull(&self) -> Value {
        self.read(BOT, "pullrequests/1").await.body
    }

    async fn uuid(&self, who: &str) -> String {
        self.read(who, "/user").await.body["uuid"].as_str().unwrap().to_owned()
    }

    async fn take_back(&self, who: &str, path: &str) -> Answer {
        self.delete(who, &self.at(path)).await
    }

    async fn name_reviewers(&self, who: &str, uuids: &[&str]) -> Answer {
        let reviewers: Vec<Value> = uuids.iter().map(|uuid| json!({ "uuid": uuid })).collect();
        self.put(who, &self.at("pullrequests/1"), json!({ "title": "Change it", "reviewers": reviewers })).await
    }

    async fn activity(&self) -> Vec<Value> {
        let answer = self.read(BOT, "pullrequests/1/activity?pagelen=100").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["values"].as_array().unwrap().clone()
    }

    /// States of all reviews in GitHub's API, oldest first.
    async fn states(&self) -> Vec<String> {
        let reviews = self.get(BOT, "pulls/1/reviews").await.body;
        reviews.as_array().unwrap().iter().map(|review| review["state"].as_str().unwrap().to_owned()).collect()
    }
}

/// Activity entries of one kind, newest first.
fn of_kind(activity: &[Value], kind: &str) -> Vec<Value> {
    activity.iter().filter_map(|one| one.get(kind)).cloned().collect()
}

fn person<'a>(pull: &'a Value, who: &str) -> &'a Value {
    let people = pull["participants"].as_array().unwrap();
    people.iter().find(|person| person["user"]["nickname"] == json!(who)).unwrap()
}

#[tokio::test]
async fn change_request_is_a_review_without_body_on_github() {
    let world = World::new().await;
    let asked = world.send(RON, REQUEST, json!({})).await;
    assert_eq!((asked.status, &asked.body["type"]), (200, &json!("participant")));
    assert_eq!((&asked.body["state"], &asked.body["approved"]), (&json!("changes_requested"), &json!(false)));
    let review = world.get(BOT, "pulls/1/reviews").await.body[0].clone();
    assert_eq!((&review["state"], &review["body"]), (&json!("CHANGES_REQUESTED"), &json!("")));
    assert_eq!((&review["user"]["login"], review["submitted_at"].as_str().unwrap().len()), (&json!(RON), 20));
    assert_eq!(review["commit_id"], world.get(BOT, "pulls/1").await.body["head"]["sha"]);
    assert_eq!(world.read(BOT, "pullrequests/1/comments").await.body["size"], json!(0), "it has no comment");
    let bodiless = world.call(RON, reqwest::Method::POST, &world.at(APPROVAL), None).await;
    assert_eq!((bodiless.status, &bodiless.body["approved"]), (200, &json!(true)), "a verdict needs no body");
}

#[tokio::test]
async fn github_change_request_appears_in_the_activity() {
    let world = World::new().await;
    world.request_changes(RON, "Not yet.").await;
    let pull = world.pull().await;
    let ron = person(&pull, RON);
    assert_eq!((&ron["state"], &ron["role"]), (&json!("changes_requested"), &json!("PARTICIPANT")));
    let activity = world.activity().await;
    let requests = of_kind(&activity, "changes_requested");
    assert_eq!((requests.len(), &requests[0]["user"]["nickname"]), (1, &json!(RON)));
    assert_eq!((&requests[0]["date"], &requests[0]["pullrequest"]["id"]), (&ron["participated_on"], &json!(1)));
    let told: Vec<Value> =
        of_kind(&activity, "comment").iter().map(|comment| comment["content"]["raw"].clone()).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&json!("Not yet.")) && told.contains(&json!("Why so?")), "{told:?}");
}

#[tokio::test]
async fn second_change_request_conflicts_until_withdrawal() {
    let world = World::new().await;
    assert_eq!(world.send(RON, REQUEST, json!({})).await.status, 200);
    let again = world.send(RON, REQUEST, json!({})).await;
    assert_eq!((again.status, said(&again)), (409, "You already requested changes to this pull request."));
    assert_eq!(world.states().await, ["CHANGES_REQUESTED"]);

    assert_eq!(world.take_back(RON, REQUEST).await.status, 204);
    assert_eq!(world.states().await, ["DISMISSED"]);
    let pull = world.pull().await;
    assert_eq!((&person(&pull, RON)["state"], &person(&pull, RON)["approved"]), (&Value::Null, &json!(false)));
    let gone = world.take_back(RON, REQUEST).await;
    assert_eq!((gone.status, said(&gone)), (404, "You haven't requested changes to this pull request."));

    assert_eq!(world.send(RON, REQUEST, json!({})).await.status, 200);
    assert_eq!(world.states().await, ["DISMISSED", "CHANGES_REQUESTED"]);
    let requests = of_kind(&world.activity().await, "changes_requested");
    assert_eq!(requests.len(), 2, "a withdrawn request stays listed");
    let millisecond = |request: &Value| request["date"].as_str().unwrap()[..23].to_owned();
    assert!(millisecond(&requests[0]) > millisecond(&requests[1]), "newest first: {requests:?}");
}

#[tokio::test]
async fn each_account_has_one_verdict() {
    let world = World::new().await;
    let states = async || {
        let pull = world.pull().await;
        [RON, ANN].map(|who| person(&pull, who)["state"].clone())
    };
    assert_eq!(world.send(ANN, REQUEST, json!({})).await.status, 200);
    assert_eq!(world.send(RON, REQUEST, json!({})).await.status, 200);
    assert_eq!(world.send(RON, APPROVAL, json!({})).await.status, 200);
    assert_eq!(states().await, [json!("approved"), json!("changes_requested")]);
    assert_eq!(world.take_back(RON, REQUEST).await.status, 404, "the approval replaced the request");
    let twice = world.send(RON, APPROVAL, json!({})).await;
    assert_eq!((twice.status, said(&twice)), (409, "You already approved this pull request."));
    assert_eq!(world.take_back(RON, APPROVAL).await.status, 204);
    assert_eq!(states().await, [Value::Null, json!("changes_requested")], "the earlier request stays dismissed");
    assert_eq!(world.send(RON, APPROVAL, json!({})).await.status, 200);
    assert_eq!(world.send(RON, REQUEST, json!({})).await.status, 200);
    assert_eq!(states().await, [json!("changes_requested"), json!("changes_requested")]);
    assert_eq!(world.take_back(RON, APPROVAL).await.status, 404);
    let approvals = of_kind(&world.activity().await, "approval");
    assert_eq!(approvals.len(), 2, "the withdrawn one too: {approvals:?}");
}

#[tokio::test]
async fn withdrawal_dismisses_all_github_change_requests() {
    let world = World::new().await;
    for words in ["No.", "Still no."] {
        world.request_changes(RON, words).await;
    }
    assert_eq!(world.take_back(RON, REQUEST).await.status, 204);
    assert_eq!(world.states().await, ["DISMISSED", "DISMISSED"]);
    let dates: Vec<Value> =
        of_kind(&world.activity().await, "changes_requested").iter().map(|one| one["date"].clone()).collect();
    assert_eq!(dates.len(), 2);
    assert_ne!(dates[0], dates[1], "times differ within a second");
}

#[tokio::test]
async fn participant_role_follows_the_reviewer_list() {
    let world = World::new().await;
    assert_eq!((&world.pull().await["participants"], &world.pull().await["reviewers"]), (&json!([]), &json!([])));
    let (ron, ann) = (world.uuid(RON).await, world.uuid(ANN).await);
    assert_eq!(world.name_reviewers(RON, &[&ann]).await.status, 403, "a reader may not set reviewers");
    assert_eq!(world.name_reviewers(EVE, &[&ann]).await.status, 404);
    assert_eq!(world.name_reviewers(BOT, &[&ron]).await.status, 200);
    let pull = world.pull().await;
    let asked = person(&pull, RON);
    assert_eq!(
        (&asked["role"], &asked["state"], &asked["participated_on"]),
        (&json!("REVIEWER"), &Value::Null, &Value::Null)
    );

    world.say(ANN, "Hello").await;
    assert_eq!(world.send(RON, REQUEST, json!({})).await.body["role"], json!("REVIEWER"));
    let pull = world.pull().await;
    assert_eq!((&pull["reviewers"][0]["nickname"], pull["reviewers"].as_array().unwrap().len()), (&json!(RON), 1));
    assert_eq!((&person(&pull, ANN)["role"], &person(&pull, ANN)["state"]), (&json!("PARTICIPANT"), &Value::Null));
    assert_eq!(world.get(BOT, "pulls/1/requested_reviewers").await.body["users"], json!([]), "the request ended");

    let again = world.name_reviewers(ANN, &[&ron, &ann]).await.body;
    assert_eq!((&person(&again, RON)["role"], &person(&again, ANN)["role"]), (&json!("REVIEWER"), &json!("REVIEWER")));
    assert_eq!(person(&again, RON)["state"], json!("changes_requested"));
    let off = world.name_reviewers(ANN, &[]).await.body;
    assert_eq!((&off["reviewers"], &person(&off, RON)["role"]), (&json!([]), &json!("PARTICIPANT")));
    assert_eq!(person(&off, RON)["state"], json!("changes_requested"), "the reviewer list changes no verdict");
}

#[tokio::test]
async fn participation_time_is_approval_or_latest_comment() {
    let world = World::new().await;
    let at = async || person(&world.pull().await, RON)["participated_on"].clone();
    assert_eq!(world.send(RON, REQUEST, json!({})).await.body["participated_on"], at().await);
    let requested = at().await;
    world.say(RON, "And this.").await;
    let spoke = at().await;
    assert!(spoke.as_str().unwrap() > requested.as_str().unwrap(), "{requested} {spoke}");
    let approved = world.send(RON, APPROVAL, json!({})).await.body["participated_on"].clone();
    world.say(RON, "Fine.").await;
    assert_eq!(at().await, approved);
}

#[tokio::test]
async fn authors_outsiders_and_closed_pull_requests_get_no_verdict() {
    let world = World::new().await;
    for path in [REQUEST, APPROVAL] {
        let own = world.send(BOT, path, json!({})).await;
        let words = "the demo forge takes no verdict of whoever opened the pull request";
        assert_eq!((own.status, said(&own)), (400, words));
        assert_eq!(world.send(EVE, path, json!({})).await.status, 404);
        assert_eq!(world.take_back(EVE, path).await.status, 404);
        assert_eq!(world.send(RON, &path.replace("/1/", "/7/"), json!({})).await.status, 404);
    }
    assert_eq!(world.send(RON, REQUEST, json!({})).await.status, 200);
    assert_eq!(world.send(ANN, "pullrequests/1/decline", json!({})).await.status, 200);
    for path in [REQUEST, APPROVAL] {
        for late in [world.send(ANN, path, json!({})).await, world.take_back(RON, path).await] {
            let detail = &late.body["error"]["detail"];
            assert_eq!((late.status, detail), (400, &json!("You can only review an open pull request.")));
        }
    }
    assert_eq!(world.states().await, ["CHANGES_REQUESTED"]);
}

#[tokio::test]
async fn activity_is_paged_newest_first() {
    let world = World::new().await;
    world.say(ANN, "First.").await;
    assert_eq!(world.send(RON, REQUEST, json!({})).await.status, 200);
    assert_eq!(world.send(ANN, APPROVAL, json!({})).await.status, 200);
    assert_eq!(world.send(ANN, "pullrequests/1/merge", json!({})).await.status, 200);
    let (mut kinds, mut next) = (Vec::new(), Some(world.at("pullrequests/1/activity?pagelen=2")));
    while let Some(address) = next {
        let page = world.get(BOT, &address).await;
        assert_eq!((page.status, page.body.get("size"), page.body.get("page")), (200, None, None));
        for entry in page.body["values"].as_array().unwrap() {
            assert_eq!(entry["pull_request"]["id"], json!(1));
            let kind = entry.as_object().unwrap().keys().find(|name| *name != "pull_request").unwrap();
            kinds.push(kind.clone());
        }
        next = page.body["next"].as_str().map(ToOwned::to_owned);
    }
    // The pull request's own times have only seconds, so the order of its updates among the others is not fixed.
    let said: Vec<&str> = kinds.iter().map(String::as_str).filter(|kind| *kind != "update").collect();
    assert_eq!((said, kinds.len()), (vec!["approval", "changes_requested", "comment"], 5));
    let updates = of_kind(&world.activity().await, "update");
    let states: Vec<&Value> = updates.iter().map(|update| &update["state"]).collect();
    assert_eq!(states, [&json!("MERGED"), &json!("OPEN")]);
    assert_eq!(world.read(EVE, "pullrequests/1/activity").await.status, 404);
    assert_eq!(world.read(RON, "pullrequests/7/activity").await.status, 404);
}

#[tokio::test]
async fn permissions_are_listed_for_administrators_only() {
    let world = World::new().await;
    let list = format!("/workspaces/acme/permissions/repositories/{}", REPOSITORY.trim_start_matches("acme/"));
    let of = |uuid: &str| format!("{list}?q=user.uuid%3D%22{}%22", uuid.replace('{', "%7B").replace('}', "%7D"));
    for (who, permission) in [(BOT, "admin"), (ANN, "write"), (RON, "read")] {
        let uuid = world.uuid(who).await;
        let told = world.read(BOT, &of(&uuid)).await;
        assert_eq!((told.status, &told.body["size"]), (200, &json!(1)), "{who}: {}", told.body);
        let only = &told.body["values"][0];
        assert_eq!((&only["type"], &only["permission"]), (&json!("repository_permission"), &json!(permission)));
        assert_eq!((&only["user"]["uuid"], &only["repository"]["full_name"]), (&json!(uuid), &json!(REPOSITORY)));
    }
    assert_eq!(world.read(BOT, &of(&world.uuid(EVE).await)).await.body["values"], json!([]));
    assert_eq!(world.read(BOT, &list).await.body["size"], json!(3));
    for refused in ["?q=permission%3D%22read%22", "?q=user.uuid%3D%22a%22+OR+id%3D%22b%22", "?q=", "?sort=user"] {
        assert_eq!(world.read(BOT, &format!("{list}{refused}")).await.status, 400, "{refused}");
    }
    for (role, status) in [(Role::Write, 403), (Role::Maintain, 403), (Role::Admin, 200)] {
        world.forge.set_role(REPOSITORY, ANN, role).await.unwrap();
        assert_eq!(world.read(ANN, &list).await.status, status, "{role:?}");
    }
    assert_eq!(world.read(EVE, &list).await.status, 404);
    assert_eq!(world.read(BOT, "/workspaces/acme/permissions/repositories/none").await.status, 404);
}

#[tokio::test]
async fn verdicts_and_reviewers_survive_a_restart() {
    let world = World::new().await;
    let ron = world.uuid(RON).await;
    world.name_reviewers(BOT, &[&ron]).await;
    world.send(RON, REQUEST, json!({})).await;
    world.send(ANN, APPROVAL, json!({})).await;
    world.take_back(ANN, APPROVAL).await;
    let (pull, activity) = (world.pull().await, world.activity().await);
    let world = world.restarted().await;
    let again = world.pull().await;
    let told = |pull: &Value| {
        let people = pull["participants"].as_array().unwrap().iter();
        people
            .map(|one| (one["role"].clone(), one["state"].clone(), one["participated_on"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&again), told(&pull));
    for kind in ["changes_requested", "approval"] {
        let dates =
            |activity: &[Value]| of_kind(activity, kind).iter().map(|one| one["date"].clone()).collect::<Vec<_>>();
        assert_eq!(dates(&world.activity().await), dates(&activity));
        assert_eq!(dates(&activity).len(), 1);
    }
}
