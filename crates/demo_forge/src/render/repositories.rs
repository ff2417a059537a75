//! Renders repositories.

use serde_json::{Value, json};

use super::{account, merge_json, owner};
use crate::{forge_state::Shared, repositories::RepositoryEntry};

const URL_TEMPLATES: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

pub fn repository(shared: &Shared, entry: &RepositoryEntry) -> Value {
    let described = shared.describe(entry);
    let full_name = &described.full_name;
    let url = format!("{}/api/v3/repos/{full_name}", shared.url);
    let own = json!({
        "id": described.id,
        "node_id": format!("R_{}", described.id),
        "name": entry.name,
        "full_name": full_name,
        "private": true,
        "visibility": "private",
        "owner": account(shared, &owner(shared, &entry.owner)),
        "html_url": described.html_url,
        "clone_url": described.clone_url,
        "git_url": described.clone_url,
        "ssh_url": described.clone_url,
        "svn_url": described.html_url,
        "mirror_url": null,
        "default_branch": described.default_branch,
    });
    let constant = json!({
        "description": null,
        "homepage": null,
        "language": null,
        "license": null,
        "fork": false,
        "archived": false,
        "disabled": false,
        "is_template": false,
        "topics": [],
        "forks": 0,
        "forks_count": 0,
        "stargazers_count": 0,
        "watchers": 0,
        "watchers_count": 0,
        "size": 0,
        "open_issues": 0,
        "open_issues_count": 0,
        "has_issues": true,
        "has_projects": false,
        "has_wiki": false,
        "has_pages": false,
        "has_downloads": false,
        "has_discussions": false,
        "allow_forking": false,
        "web_commit_signoff_required": false,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "pushed_at": "2026-01-01T00:00:00Z",
    });
    let mut answer = merge_json(own, constant);
    if let Value::Object(fields) = &mut answer {
        fields.extend(URL_TEMPLATES.map(|(field, rest)| (field.to_owned(), json!(format!("{url}{rest}")))));
    }
    answer
}

pub fn full_repository(shared: &Shared, entry: &RepositoryEntry) -> Value {
    let more = json!({
        "subscribers_count": 0,
        "network_count": 0,
        "allow_merge_commit": true,
        "allow_squash_merge": true,
        "allow_rebase_merge": false,
        "delete_branch_on_merge": false,
    });
    merge_json(repository(shared, entry), more)
}
