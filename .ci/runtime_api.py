#!/usr/bin/env python3
"""Another driver of Lambda's Runtime API, to repeat the figures of .ci/functions-figures by other means.

It shares nothing with crates/testkit: it starts the program itself, serves it events as Lambda does, freezes it
between them, and takes CPU from what the kernel accounts to a process that ended (wait4), where the other one adds up
what its threads have used so far. AWS and the events are the same: tests/processes/figures.rs writes them into a plan.

    runtime_api.py PLAN    a row of the table: init, CPU, init and first event, warm p50, p99, peak

PLAN is JSON: name, handler, command, environment, timeout_secs, memory_mb, log and lives. Each life is a process with
its events, one after the other: those of one event are cold starts, what follows the first event of the others is warm.
An event that fails, or is answered with an HTTP status of 400 or more, ends the run with exit code 1.
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import http.server
import json
import os
import queue
import signal
import sys
import threading
import time
import uuid

RUNTIME = "/2018-06-01/runtime/"
REGION, ACCOUNT = "us-east-1", "000000000000"
INIT_SECS = 10


class Failed(Exception):
    """What a function did that it should not have done."""


class Handler(http.server.BaseHTTPRequestHandler):
    """The four calls that a process makes. What it said is put into `said`, with when it arrived."""

    protocol_version = "HTTP/1.1"
    # Head and body leave together: apart, the second would wait for the first to be acknowledged.
    wbufsize, disable_nagle_algorithm = -1, True

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {}), "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        environment = self.server.environment
        if self.path != f"{RUNTIME}invocation/next":
            return self.answer(404, b"{}")
        came = time.perf_counter()
        try:
            event = environment.events.get_nowait()
            environment.said.put(("next", came, None))
        except queue.Empty:
            # Whatever it left running stands still until its next event; after a failure it may be gone already.
            with contextlib.suppress(ProcessLookupError):
                os.kill(environment.pid, signal.SIGSTOP)
            environment.said.put(("next", came, None))
            event = environment.events.get()
            if event is None:
                return None
            os.kill(environment.pid, signal.SIGCONT)
        plan, now, trace = environment.plan, time.time(), uuid.uuid4().hex
        environment.asked = str(uuid.uuid4())
        self.answer(200, event, {
            "Lambda-Runtime-Aws-Request-Id": environment.asked,
            "Lambda-Runtime-Deadline-Ms": int((now + plan["timeout_secs"]) * 1000),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{plan['name']}",
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(now):08x}-{trace[:24]};Parent={trace[16:]};Sampled=0",
        })

    def do_POST(self):
        came = time.perf_counter()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        environment = self.server.environment
        kind = {
            f"{RUNTIME}invocation/{environment.asked}/response": "response",
            f"{RUNTIME}invocation/{environment.asked}/error": "error",
            f"{RUNTIME}init/error": "init error",
        }.get(self.path)
        if kind is None:
            return self.answer(400, b'{"errorType": "InvalidRequestID", "errorMessage": "nobody asked for this"}')
        environment.said.put((kind, came, body))
        self.answer(202, b'{"status": "OK"}')


class Environment:
    """A process of a function, from its start to its end."""

    def __init__(self, plan, first):
        self.plan, self.asked = plan, None
        self.events, self.said = queue.SimpleQueue(), queue.Queue()
        self.events.put(json.dumps(first).encode())
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.block_on_close, self.server.environment = True, False, self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        variables = {
            "_HANDLER": plan["handler"], "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": plan["name"], "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(plan["memory_mb"]),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{plan['name']}", "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023", "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
            "LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": "/usr/local/bin:/usr/bin:/bin", **plan["environment"],
        }
        log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        files = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                 (os.POSIX_SPAWN_OPEN, 1, plan["log"], log, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
        # In a group of its own: the keyboard's interrupt is for this program, which then kills it.
        self.begun = time.perf_counter()
        self.pid = os.posix_spawnp(plan["command"][0], plan["command"], variables, file_actions=files, setpgroup=0)

    def hears(self, wanted, seconds):
        """Waits for the next thing that the process says, and gives when it came and with what body."""
        until = time.monotonic() + seconds
        while True:
            try:
                kind, came, body = self.said.get(timeout=0.5)
            except queue.Empty:
                ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended or time.monotonic() > until:
                    raise Failed(f"it {'ended' if ended else 'was silent'} before its {wanted}; see {self.plan['log']}")
                continue
            if kind != wanted:
                raise Failed(f"its {kind} came before its {wanted}: {body}")
            return came, body

    def answers(self):
        """When its answer came, which tells of no failure; by then it rests again."""
        came, body = self.hears("response", self.plan["timeout_secs"])
        self.hears("next", self.plan["timeout_secs"])
        answer = json.loads(body or b"null")
        if isinstance(answer, dict) and answer.get("statusCode", 200) >= 400:
            raise Failed(f"it answered {answer}")
        return came

    def takes(self, event):
        """How long one more event takes. Units: seconds."""
        event = json.dumps(event).encode()
        begun = time.perf_counter()
        self.events.put(event)
        return self.answers() - begun

    def peak_kib(self):
        # Not `ru_maxrss`: it begins with what this process had when the other one was made from it.
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))

    def killed(self):
        """Ends it, and gives the CPU that it used in its life. Units: seconds."""
        os.kill(self.pid, signal.SIGKILL)
        _, _, used = os.wait4(self.pid, 0)
        self.events.put(None)
        self.server.shutdown()
        self.server.server_close()
        return used.ru_utime + used.ru_stime


def measured(plan):
    init, cpu, first, warm, peak = [], [], [], [], []
    for event, *later in plan["lives"]:
        environment = Environment(plan, event)
        try:
            asked, _ = environment.hears("next", INIT_SECS)
            answered = environment.answers()
            warm += [environment.takes(event) for event in later]
            peak.append(environment.peak_kib())
        finally:
            used = environment.killed()
        if not later:
            init.append(asked - environment.begun)
            first.append(answered - environment.begun)
            cpu.append(used)
    ms = lambda values, share: sorted(values)[round((len(values) - 1) * share)] * 1e3
    cold = [f"{ms(values, 0.5):.1f}" for values in (init, cpu, first)]
    return " | ".join([*cold, f"{ms(warm, 0.5):.2f}", f"{ms(warm, 0.99):.2f}", f"{max(peak) / 1024:.1f}"])


if __name__ == "__main__":
    with open(sys.argv[1]) as kept:
        plan = json.load(kept)
    try:
        print(measured(plan))
    except Failed as fault:
        raise SystemExit(f"{plan['name']}: {fault}")
