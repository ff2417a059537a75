//! The test world of reviews by agents: a pull request with a fault, and an agent whose output each test sets.

use crate::prelude::*;
use pullyard_domain::review::published::marker::Marker;

pub(super) const BRANCH: &str = "feature";
pub(super) const FILE: &str = "src/retry.rs";
/// The fault is in line 3.
const CODE: &str = "fn pause(tries: u32) -> u64 {\n    let base = 1;\n    base << tries\n}\n";
pub(super) const FAULT_LINE: u32 = 3;

pub(super) struct World {
    pub(super) story: Story,
    pub(super) user: User,
    pub(super) number: u64,
    dir: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_settings(|_| {}, "feature", "").await
    }

    pub(super) async fn with_settings(change: fn(&mut Settings), title: &str, description: &str) -> Self {
        let mut setup = Setup::default();
        change(&mut setup.settings);
        let story = Story::start_with(setup).await;
        let (user, dir) = (User::of(&story), TempDir::new().unwrap());
        // The agent stores its prompt and its input, blocks while `wait` exists, and copies the output for its start.
        let script = format!(
            "cd {}; tree=$OLDPWD; echo >> starts; n=$(grep -c '' starts)
             cat > draft; mv draft prompt-$n; cp -r $tree/.pullyard/input input-$n
             while [ -e wait ]; do sleep 0.05; done
             echo '{{\"kind\":\"usage\",\"turns\":3,\"cost_usd_micros\":1120000}}'
             for file in output.json output-$n.json; do
               [ ! -e $file ] || cp $file $tree/.pullyard/output.json
             done
             [ ! -e fix-$n.sh ] || (fix=$PWD/fix-$n.sh; cd $tree; sh $fix)",
            dir.path().display()
        );
        story.set_agent_command(&["sh", "-c", &script]).await;
        let mut world = Self { story, user, number: 0, dir };
        world.commit(FILE, CODE).await;
        let body = json!({ "title": title, "head": BRANCH, "base": "main", "body": description });
        world.number = world.story.call_forge(Method::POST, "/pulls", body).await["number"].as_u64().unwrap();
        world
    }

    pub(super) fn label(&self) -> String {
        format!("{REPOSITORY}#{}", self.number)
    }

    pub(super) async fn commit(&self, file: &str, text: &str) -> String {
        let forge = self.story.local.forge();
        forge.commit(REPOSITORY, BRANCH, "pullyard-bot", &[(file, text, false)]).await.unwrap()
    }

    pub(super) async fn head(&self) -> String {
        self.story.git(&["rev-parse", BRANCH]).await
    }

    pub(super) fn set_findings(&self, findings: &[Value]) {
        let output = json!({ "v": 1, "summary": "The retry loop.", "findings": findings });
        self.write("output.json", &output.to_string());
    }

    /// For the agent's start of this number, instead of the findings.
    pub(super) fn set_output_of_start(&self, number: usize, output: &str) {
        self.write(&format!("output-{number}.json"), output);
    }

    /// A script for the worktree at the agent's start of this number.
    pub(super) fn set_fix_of_start(&self, number: usize, script: &str) {
        self.write(&format!("fix-{number}.sh"), script);
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    pub(super) fn block_agents(&self) {
        self.write("wait", "");
    }

    pub(super) fn unblock_agents(&self) {
        std::fs::remove_file(self.dir.path().join("wait")).unwrap();
    }

    pub(super) fn starts(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("starts")).unwrap_or_default().lines().count()
    }

    pub(super) fn prompt(&self, start: usize) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("prompt-{start}"))).unwrap()
    }

    pub(super) fn input(&self, start: usize, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("input-{start}")).join(file)).unwrap()
    }

    pub(super) async fn wait_for_start(&self, number: usize) {
        wait_until("the agent has its prompt", async || {
            let prompt = self.dir.path().join(format!("prompt-{number}"));
            if prompt.exists() { Ok(()) } else { Err(format!("{} starts", self.starts())) }
        })
        .await
    }

    /// Requests a review and waits for its end.
    pub(super) async fn review(&self, options: &[&str]) -> Job {
        let out = self.user.ok(&[&["review", &self.label()], options].concat()).await;
        let job = out.trim_end().parse().expect("stdout is the job's id");
        self.story.wait_for_end(&job).await
    }

    pub(super) async fn completed_review(&self, options: &[&str]) -> Job {
        let job = self.review(options).await;
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        job
    }

    /// The reviews that the forge stores.
    pub(super) async fn reviews(&self) -> Vec<Value> {
        self.list("reviews").await
    }

    pub(super) async fn comments(&self) -> Vec<Value> {
        self.list("comments").await
    }

    async fn list(&self, what: &str) -> Vec<Value> {
        let path = format!("/pulls/{}/{what}", self.number);
        self.story.call_forge(Method::GET, &path, Value::Null).await.as_array().unwrap().clone()
    }

    pub(super) async fn sentence(&self, job: &JobId) -> String {
        let output = self.user.ok(&["jobs", "output", job.as_str()]).await;
        output.lines().next().unwrap().to_owned()
    }
}

pub(super) fn finding(line: u32, title: &str) -> Value {
    json!({
        "path": FILE, "line": line, "severity": "high", "category": "bug", "title": title,
        "body": "After 64 tries the delay is 0.",
    })
}

pub(super) fn marker_of(body: &Value) -> Option<Marker> {
    Marker::parse(body.as_str().unwrap())
}
