"""Starts `pullyard up` and a self-hosted runner in a temporary folder, for the benchmarks beside it."""

import atexit, json, os, pathlib, re, shutil, signal, subprocess, sys, tempfile, time, urllib.request

PROGRAMS = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release").resolve()
PROGRAM, RUNNER = str(PROGRAMS / "pullyard"), str(PROGRAMS / "pullyard-runner")

root = pathlib.Path(tempfile.mkdtemp(prefix="pullyard-bench-"))
environment = {**os.environ, "XDG_CONFIG_HOME": str(root / "config"), "RUST_LOG": "info,pullyard_entry=debug"}
started = []


@atexit.register
def leave_nothing():
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    shutil.rmtree(root, ignore_errors=True)


def begun(*arguments, **options):
    started.append(subprocess.Popen(*arguments, **options))
    return started[-1]


def start(data):
    """Starts `up`. Returns the process, its output, and the seconds until its first answer."""
    began = time.monotonic()
    command = [PROGRAM, "up", "--json", "--data", str(data), "--listen", "127.0.0.1:0", "--isolation", "none"]
    process = begun(command[:5] if (data / "addresses.json").exists() else command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root)
    urls = json.loads(process.stdout.readline())
    with urllib.request.urlopen(urls["api"] + "/healthz", timeout=10) as answer:
        assert answer.status == 200
    return process, urls, time.monotonic() - began


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(120)


def pullyard(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True, env=environment, cwd=root).stdout


def rss_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def cpu_secs(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentiles(values):
    at = lambda share: sorted(values)[min(len(values) - 1, int(len(values) * share))]
    return f"p50 {at(0.5) * 1000:.0f} ms, p95 {at(0.95) * 1000:.0f} ms, most {max(values) * 1000:.0f} ms"


def prepare(urls, agent, slots):
    """Creates the project `shop` with a local repository and this agent, and starts a runner."""
    shop = root / "shop"
    shop.mkdir()
    (shop / "agent.sh").write_text(agent)
    (shop / "agent.sh").chmod(0o755)
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "-qm", "First"]):
        subprocess.run(["git", *arguments], check=True, cwd=shop)
    pullyard("projects", "create", "shop", "--name", "Shop")
    pullyard("settings", "set", "compute=runners")
    pullyard("repos", "add", "--path", "shop", "--agent-command", "./agent.sh")
    return start_runner(urls, "bench", slots)


def start_runner(urls, name, slots, *options):
    token = pullyard("tokens", "create", "--name", name, "--kind", "runner").strip()
    return begun(
        [RUNNER, "start", "--api-url", urls["api"], "--name", name, "--slots", str(slots), "--isolation", "none", "--work-dir", str(root / f"work-{name}"), *options],
        env={**environment, "PULLYARD_RUNNER_TOKEN": token}, stdout=subprocess.DEVNULL, stderr=(root / f"{name}.log").open("w"),
    )


def admin_token():
    return (root / "config/pullyard/config.toml").read_text().split('token = "', 1)[1].split('"', 1)[0]


def print_rows(rows):
    print("| figure | value |\n|---|---|")
    for figure, value in rows:
        print(f"| {figure} | {value} |")
