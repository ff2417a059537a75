#!/usr/bin/env python3
"""Tests infra/image: what `push` runs, against recorded engines and AWS; the scripts of the image; pinned bases.

Needs python3.11, git and bash; no engine, no network.
Neither the compiler nor an image is tested: both need a registry.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
IMAGE = pathlib.Path(__file__).resolve().parents[1] / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text()

REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme-runner"
DIGEST, FORMER = "sha256:" + "a" * 64, "sha256:" + "b" * 64

# Every program on PATH that push calls: records its arguments, fails where FAIL says, answers as the real one.
FAKE = f"#!{os.path.realpath(sys.executable)} -IS" + r"""
import json, os, pathlib, sys
arguments = sys.argv[1:]
line = " ".join([pathlib.Path(sys.argv[0]).name, *arguments])
call = {"line": line, "arguments": arguments}
if arguments[:1] == ["build"]:
    call["context"] = [str(one.relative_to(arguments[-1])) for one in pathlib.Path(arguments[-1]).rglob("*")]
if "--cli-input-json" in arguments:
    call["input"] = json.loads(pathlib.Path(arguments[-1].removeprefix("file://")).read_text())
if "login" in arguments:
    call["stdin"] = sys.stdin.read()
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(call) + "\n")
if os.environ["FAIL"] and os.environ["FAIL"] in line:
    sys.exit(os.environ.get("MESSAGE", "refused"))
for part, answer in json.loads(os.environ["ANSWERS"]).items():
    if part in line:
        print(answer)
"""


def put_fakes(folder, *names):
    for path in (folder / name for name in names):
        path.write_text(FAKE)
        path.chmod(0o755)


def recorded(log):
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def stacks(architecture="x86_64", names=("AlarmEmail", "ImageDigest"), image=f"{REPOSITORY}:latest"):
    parameters = [{"ParameterKey": name, "ParameterValue": "****"} for name in names]
    outputs = [{"OutputKey": "RepositoryUri", "OutputValue": REPOSITORY}, {"OutputKey": "Architecture", "OutputValue": architecture},
               {"OutputKey": "Image", "OutputValue": image}]
    return {"Stacks": [{"StackName": "acme", "StackId": "arn:stack/acme", "Parameters": parameters,
                        "Capabilities": ["CAPABILITY_IAM"], "Outputs": outputs}]}


class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.work = cls.root / "work"
        shutil.copytree(IMAGE, cls.work / "infra" / "image", ignore=shutil.ignore_patterns("__pycache__"))
        (cls.work / "Cargo.toml").write_text('[workspace.package]\nversion = "1.2.3"\n')
        (cls.work / "infra/preflight_checks").mkdir()
        shutil.copy(IMAGE.parent / "preflight_checks/samconfig.py", cls.work / "infra/preflight_checks")
        (cls.work / "samconfig.toml").write_text(f"[prod.global.parameters]\nparameter_overrides = 'ImageDigest={FORMER}'\n")
        cls.local = cls.work / "samconfig.local.toml"
        for command in ("init -q", "add .", "-c user.name=t -c user.email=t@example.com commit -qm test"):
            subprocess.run(["git", *command.split()], cwd=cls.work, check=True)
        cls.commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=cls.work, text=True).strip()
        (cls.work / "secret.env").write_text("untracked")

    def setUp(self):
        self.bin = pathlib.Path(tempfile.mkdtemp(dir=self.root))
        for tool in "bash sh git tar python3 sed head date cut mktemp rm mkdir cp cat grep mv dirname basename env".split():
            (self.bin / tool).symlink_to(os.path.realpath(sys.executable) if tool == "python3" else shutil.which(tool))
        put_fakes(self.bin, "docker", "aws")

    def push(self, *arguments, fail="", message="refused", answers=None, stack=None, code=0):
        """Runs push and checks its exit code. Returns the calls and everything printed."""
        log = self.root / "calls"
        log.unlink(missing_ok=True)
        known = {"describe-stacks": json.dumps(stack or stacks()), "describe-images": DIGEST, "get-login-password": "hunter2",
                 "view @anthropic-ai/claude-code@latest": "2.1.331", "view @openai/codex@latest": "0.169.0", "podman version": "5.4.0"}
        environment = {"PATH": str(self.bin), "HOME": str(self.root), "CALLS": str(log), "FAIL": fail, "MESSAGE": message,
                       "ANSWERS": json.dumps(known | (answers or {}))}
        ran = subprocess.run([self.work / "infra/image/push", "--stack", "acme", "--tag", "one", *arguments],
                             env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(ran.returncode, code, printed := ran.stdout + ran.stderr)
        self.calls = recorded(log)
        lines = [one["line"] for one in self.calls]
        self.assertNotIn("hunter2", printed + "\n".join(lines))
        return lines, printed

    def call(self, part):
        return next(one for one in self.calls if part in one["line"])

    def build_arguments(self):
        return dict(one.split("=", 1) for one in self.call(" build ")["arguments"] if re.match("[A-Z_]+=", one))

    def test_both_agents_are_installed_by_default(self):
        lines, printed = self.push()
        self.assertEqual(self.build_arguments(), {"VERSION": "1.2.3", "COMMIT": self.commit, "RUNNER": "source", "NODE": "base",
                                                  "CLAUDE_CODE_VERSION": "2.1.331", "CODEX_VERSION": "0.169.0"})
        context = self.call(" build ")["context"]
        self.assertTrue("infra/image/Dockerfile" in context and not [one for one in context if one.startswith((".git", "secret"))])
        pushed = [line.removeprefix(f"docker push {REPOSITORY}:") for line in lines if line.startswith("docker push")]
        self.assertEqual(pushed, ["one", "latest"])
        self.assertEqual(self.call("docker login")["stdin"].strip(), "hunter2")
        self.assertIn("--region eu-west-1", self.call("get-login-password")["line"])
        self.assertIn(f"New tasks of acme run {REPOSITORY}@{DIGEST}", printed)

    def test_agents_have_the_given_versions_or_are_left_out(self):
        lines, _ = self.push("--claude-code", "2.0.1", "--no-codex")
        self.assertLessEqual({"CLAUDE_CODE_VERSION": "2.0.1", "CODEX_VERSION": ""}.items(), self.build_arguments().items())
        self.assertFalse([line for line in lines if "npm view" in line])
        self.assertIn("is not one version", self.push("--codex", "^0.1", answers={"npm view": "0.1.1\n0.1.2"}, code=2)[1])

    def test_base_and_runner_replace_their_stages(self):
        (self.root / "runner").write_text("built")
        self.push("--base", "debian:12", "--runner", str(self.root / "runner"))
        self.assertLessEqual({"BASE": "debian:12", "NODE": "copied", "RUNNER": "prebuilt"}.items(), self.build_arguments().items())
        self.assertIn("pullyard-runner", self.call(" build ")["context"])

    def test_the_archive_of_a_release_has_the_runner_and_no_git(self):
        shutil.move(self.work / ".git", self.root / "git")
        self.addCleanup(shutil.move, self.root / "git", self.work / ".git")
        for name, text in {"RELEASE": f"1.2.3 {'c' * 40} x86_64\n", "pullyard-runner": "built"}.items():
            (self.work / name).write_text(text)
            self.addCleanup((self.work / name).unlink)
        self.push()
        expected = {"VERSION": "1.2.3", "COMMIT": "c" * 40, "RUNNER": "prebuilt"}
        self.assertLessEqual(expected.items(), self.build_arguments().items())
        context = [one for one in self.call(" build ")["context"] if not one.startswith("infra")]
        self.assertEqual(context, ["pullyard-runner"])
        self.assertIn("this archive is for x86_64 and the stack acme is arm64", self.push(stack=stacks("arm64"), code=1)[1])
        self.push("--runner", str(self.work / "pullyard-runner"), stack=stacks("arm64"))
        (self.work / "pullyard-runner").rename(self.root / "away")
        self.assertIn("unpack the archive again", self.push(code=1)[1])
        (self.root / "away").rename(self.work / "pullyard-runner")

    def test_the_mirror_has_the_same_digests(self):
        lines, _ = self.push("--mirror")
        dockerfile = (self.work / "infra/image/Dockerfile").read_text()
        pinned = dict(re.findall(r"(?m)^ARG (\w+_IMAGE)=docker\.io/(\S+)", dockerfile))
        mirrored = {name: f"public.ecr.aws/docker/{image}" for name, image in pinned.items()}
        self.assertLessEqual(mirrored.items(), self.build_arguments().items())
        self.assertTrue([line for line in lines if mirrored["NODE_IMAGE"] in line and "npm view" in line])
        self.assertIn("add --mirror", self.push(fail="npm view", code=1)[1])

    def test_the_platform_is_that_of_the_stack(self):
        for architecture, platform in [("x86_64", "linux/amd64"), ("arm64", "linux/arm64")]:
            self.push("--no-push", stack=stacks(architecture))
            self.assertIn(f"--platform {platform}", self.call(" build ")["line"])
        self.assertIn("expected x86_64 or arm64", self.push(stack=stacks("riscv"), code=1)[1])

    def test_podman_builds_where_docker_does_not_run(self):
        self.assertIn("docker is installed but does not run", self.push(fail="docker info", code=1)[1])
        put_fakes(self.bin, "podman")
        self.push(fail="docker info")
        self.assertTrue(self.call("podman push"))
        self.assertIn("install 5.2 or newer", self.push("--engine", "podman", answers={"podman version": "4.9.3"}, code=1)[1])
        (self.bin / "docker").unlink(), (self.bin / "podman").unlink()
        self.assertIn("install docker or podman", self.push(code=1)[1])

    def test_the_stack_runs_the_pushed_digest(self):
        self.push("--env", "prod", "--region", "eu-west-1", "--profile", "ops")
        self.assertFalse(self.local.exists())
        self.assertTrue(self.call("update-stack")["line"].startswith("aws --region eu-west-1 --profile ops cloudformation"))
        self.assertEqual(self.call("update-stack")["input"], {
            "StackName": "arn:stack/acme", "UsePreviousTemplate": True, "Capabilities": ["CAPABILITY_IAM"],
            "Parameters": [{"ParameterKey": "AlarmEmail", "UsePreviousValue": True},
                           {"ParameterKey": "ImageDigest", "ParameterValue": DIGEST}]})
        self.assertTrue(self.call("wait stack-update-complete"))
        lines, _ = self.push(fail="update-stack", message="ValidationError: No updates are to be performed.")
        self.assertIn("update-stack", lines[-1])

    def test_the_running_image_is_tagged_before_each_push(self):
        running = stacks(image=f"{REPOSITORY}@{FORMER}")
        for arguments in ((), ("--no-deploy",)):
            lines, _ = self.push(*arguments, stack=running, answers={"batch-get-image": "MANIFEST"})
            tagged = self.call("put-image")["line"]
            self.assertIn(f"--image-tag deployed --image-digest {FORMER} --image-manifest MANIFEST", tagged)
            self.assertLess(lines.index(tagged), lines.index(f"docker push {REPOSITORY}:one"))
        answers = {"batch-get-image": "MANIFEST"}
        lines, _ = self.push(stack=running, answers=answers, fail="put-image", message="(ImageAlreadyExistsException)")
        self.assertIn(f"docker push {REPOSITORY}:one", lines)
        lines, printed = self.push(stack=running, answers=answers, fail="put-image", message="(ImageTagAlreadyExistsException)", code=1)
        self.assertFalse([line for line in lines if line.startswith("docker push")])
        self.assertIn("sam deploy first", printed)
        lines, printed = self.push(stack=running, answers={"batch-get-image": "None"})
        self.assertIn("is missing", printed)
        self.assertFalse([line for line in lines if "put-image" in line])
        self.assertFalse([line for line in self.push()[0] if "put-image" in line])  # The stack runs `latest`.

    def test_the_running_image_survives_any_pushes(self):
        text = (IMAGE.parent / "tasks.yaml").read_text()
        policy = text[text.index("{\n", text.index("LifecyclePolicyText")):]
        rules, _ = json.JSONDecoder().raw_decode(policy.replace("${ImageTag}", "latest"))
        images = []  # The oldest first.

        def expire():
            """As ECR does: an image that a rule selects is subject to no later rule."""
            selected, expired = [], []
            for rule in sorted(rules["rules"], key=lambda rule: rule["rulePriority"]):
                selection = rule["selection"]
                if selection["countType"] != "imageCountMoreThan":
                    continue
                patterns = selection.get("tagPatternList", [])
                found = [one for one in images if one not in selected and all(tag in one["tags"] for tag in patterns)]
                # The last rule counts those of earlier rules, too.
                counted = found if patterns else images
                surplus = max(0, len(counted) - selection["countNumber"])
                expired += [one for one in counted[:surplus] if one in found]
                selected += found
            images[:] = [one for one in images if one not in expired]

        def move(tag, image):
            for one in images:
                one["tags"] -= {tag}
            image["tags"].add(tag)

        running = None
        for number in range(80):
            if running:
                move("deployed", running)
            images.append({"number": number, "tags": {f"push-{number}"}})
            move("latest", images[-1])
            expire()
            # A deployment, then pushes without one, a return to the oldest image, then pushes.
            running = {0: images[-1], 40: images[0]}.get(number, running)
            self.assertIn(running, images)
        self.assertEqual(len(images), 21)

    def test_an_earlier_digest_in_the_file_does_not_return(self):
        before = f"[prod.global.parameters]\nparameter_overrides = 'Zones=\"\" ImageDigest={FORMER} LogLevel=info' # mine\n"
        self.local.write_text(before)
        self.addCleanup(self.local.unlink)
        for arguments, failure in [((), ""), (("--no-deploy",), ""), (("--env", "prod"), "update-stack"), (("--env", "prod"), "wait ")]:
            self.push(*arguments, fail=failure, code=1 if failure else 0)
            self.assertEqual(self.local.read_text(), before)
        self.push("--env", "prod")
        expected = f"[prod.global.parameters]\nparameter_overrides = 'Zones=\"\" ImageDigest={DIGEST} LogLevel=info'\n"
        self.assertEqual(self.local.read_text(), expected)
        self.local.write_text("[prod.global.parameters]\nparameter_overrides = 1\n")
        self.assertIn(f"write ImageDigest={DIGEST}", self.push("--env", "prod", code=1)[1])

    def test_a_stack_of_an_older_release_needs_no_deploy(self):
        old = stacks(names=("AlarmEmail", "Settings"))
        lines, printed = self.push(stack=old, code=1)
        self.assertFalse([line for line in lines if " build " in line])
        self.assertIn("has no parameter ImageDigest", printed)
        lines, printed = self.push("--no-deploy", stack=old)
        self.assertIn("describe-images", lines[-1])
        self.assertIn(f"  ImageDigest={DIGEST}\nThen: sam deploy --config-file samconfig.local.toml\n", printed)

    def test_a_failed_step_leaves_nothing_half_done(self):
        for step, sentence in [
            ("describe-stacks", "cannot read the stack acme"), ("npm view", "cannot look up"), ("docker build", "exec format error"),
            ("get-login-password", "cannot log in"), ("docker login", "cannot log in"), (f"push {REPOSITORY}:one", "cannot push"),
            (f"push {REPOSITORY}:latest", "latest is not"), ("describe-images", "its digest cannot be read"),
        ]:
            lines, printed = self.push(fail=step, code=1)
            self.assertIn(sentence, printed)
            self.assertIn(step, "\n".join(lines[-2:]))  # Both ends of the login's pipe record, in any order.
            self.assertFalse([line for line in lines if "update-stack" in line])
        for step in ("update-stack", "wait stack-update-complete"):
            self.assertIn(step, self.push(fail=step, code=1)[0][-1])
        self.assertIn("reports the digest 'None'", self.push(answers={"describe-images": "None"}, code=1)[1])
        self.assertIn("unknown option --wrong", self.push("--wrong", code=2)[1])

    def test_pin_writes_the_digests_that_the_registry_has(self):
        environment = {"PATH": str(self.bin), "CALLS": str(self.root / "pins"), "FAIL": "", "ANSWERS": json.dumps({"imagetools": DIGEST})}
        subprocess.run([self.work / "infra/image/pin"], env=environment, check=True, capture_output=True)
        expected = re.sub(r"(?m)^(ARG \w+_IMAGE=.*@).*", rf"\g<1>{DIGEST}", DOCKERFILE)
        self.assertEqual((self.work / "infra/image/Dockerfile").read_text(), expected)


class Scripts(unittest.TestCase):
    """`compile` and `prepare` with recorded package managers, and the Dockerfile."""

    def run_script(self, script, *arguments, tools=(), answers=None, fail="", code=0, **environment):
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        put_fakes(root, *tools)
        environment |= {"PATH": str(root), "CALLS": str(root / "calls"), "ANSWERS": json.dumps(answers or {}), "FAIL": fail}
        ran = subprocess.run([shutil.which("sh"), IMAGE / script, *arguments], capture_output=True, text=True, env=environment)
        self.assertEqual(ran.returncode, code, ran.stderr)
        return [one["line"] for one in recorded(root / "calls")], ran.stderr

    def test_runner_compiles_for_both_architectures_on_both(self):
        machines = {"amd64": "x86_64", "arm64": "aarch64"}
        for native, wanted in ((native, wanted) for native in machines for wanted in machines):
            tools, machine = ("dpkg", "apt-get", "rm", "rustup"), machines[wanted]
            lines, _ = self.run_script("compile", "tools", tools=tools, answers={"dpkg": native}, TARGETARCH=wanted)
            self.assertIn(f"rustup target add {machine}-unknown-linux-gnu", lines)
            self.assertEqual(f"gcc-{machine.replace('_', '-')}-linux-gnu" in " ".join(lines), native != wanted)
        self.assertIn("amd64 or arm64", self.run_script("compile", "tools", TARGETARCH="s390x", code=1)[1])

    def test_packages_come_from_the_manager_of_the_base(self):
        common = {"answers": {"getconf": "glibc 2.36"}, "BASE": "b", "NODE_IMAGE": "n"}
        always = ("getconf", "node", "npm", "rm")
        for manager in ("apt-get", "dnf", "microdnf"):
            lines, _ = self.run_script("prepare", "packages", tools=(*always, manager), **common)
            self.assertTrue(f"{manager} install" in "".join(lines) and "upgrade" not in "".join(lines))
        default = common | {"BASE": "n", "tools": (*always, "apt-get")}
        self.assertIn("apt-get upgrade --yes", self.run_script("prepare", "packages", **default)[0])
        self.assertIn("neither find nor", self.run_script("prepare", "packages", tools=always, code=1, **common)[1])
        self.assertIn("no glibc", self.run_script("prepare", "packages", tools=("apk",), code=1, BASE="alpine", NODE_IMAGE="n")[1])

    def test_the_build_fails_when_a_program_does_not_start(self):
        given = {"tools": ("mktemp", "rm", "pullyard-runner", "git", "claude", "codex"), "CLAUDE_CODE_VERSION": "2.1", "CODEX_VERSION": "1.0"}
        versions = [line.split()[0] for line in self.run_script("prepare", "check", **given)[0] if line.endswith("--version")]
        self.assertEqual(versions, list(given["tools"][2:]))
        for name, sentence in [("pullyard-runner", "glibc 2.34"), ("claude", "Claude Code 2.1"), ("codex", "Codex 1.0")]:
            self.assertIn(sentence, self.run_script("prepare", "check", fail=f"{name} --version", code=1, **given)[1])

    def test_base_images_are_pinned(self):
        pinned = dict(re.findall(r"^ARG (\w+_IMAGE)=docker\.io/\S+:\S+@sha256:[0-9a-f]{64}()$", DOCKERFILE, re.M))
        self.assertEqual(pinned.keys(), {"RUST_IMAGE", "NODE_IMAGE"})
        self.assertIn("\nARG BASE=${NODE_IMAGE}\n", DOCKERFILE)
        self.assertEqual(set(re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", DOCKERFILE, re.M)), {
            "${RUST_IMAGE}", "${NODE_IMAGE}", "${BASE}", "scratch", "runner-${RUNNER}", "node-${NODE}"})
        self.assertNotRegex(DOCKERFILE, r"(?m)^# syntax=|<<|^(RUN|COPY) --(mount|link)|^ARG BUILDPLATFORM")


if __name__ == "__main__":
    unittest.main()
