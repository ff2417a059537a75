"""Plans and runs: `agent` makes a step, `run` starts a plan, and `Run` follows and steers it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from urllib.parse import quote, urlencode

from ._http import TRANSIENT, ApiError, ConnectionFailed, Http, PullyardError
from ._settings import find_settings

ROUTES = {
    "projects": ("GET", "/v1/projects"),
    "list": ("GET", "/v1/runs"),
    "start": ("POST", "/v1/runs"),
    "show": ("GET", "/v1/runs/{run}"),
    "cancel": ("POST", "/v1/runs/{run}/cancel"),
    "resume": ("POST", "/v1/runs/{run}/resume"),
    "approve": ("POST", "/v1/runs/{run}/steps/{step}/approve"),
    "refuse": ("POST", "/v1/runs/{run}/steps/{step}/refuse"),
    "events": ("GET", "/v1/jobs/{job}/events"),
}
STEP_ENDS = frozenset({"done", "failed", "cancelled", "skipped"})
MAX_NAME_CHARS = 80
# Without an answer for so long, such as during an update of the server, a wait ends. Units: seconds.
MAX_SILENCE = 600.0


class RunFailed(PullyardError):
    """A run that was awaited failed or was cancelled; `run` has its steps."""

    def __init__(self, run: Run):
        self.run = run
        why = f": {run.failure['sentence']}" if run.failure else ""
        super().__init__(f"run {run.id} {run.state}{why}")


class WaitTimeout(PullyardError, TimeoutError):
    """The run still works; wait again with `run`, or cancel it."""

    def __init__(self, run: Run):
        self.run = run
        super().__init__(f"run {run.id} is still {run.state}")


@dataclass
class Step:
    """A step of a run. Times are RFC 3339 in UTC."""

    name: str
    state: str
    outcome: str | None = None
    job: str | None = None
    jobs: int = 0
    started: str | None = None
    changed: str | None = None
    spent_usd_micros: int = 0
    pull_request: str | None = None
    question: str | None = None
    why: dict | None = None


@dataclass
class Run:
    """A run as the server showed it last; `refresh` loads it again."""

    id: str
    project: str
    name: str
    state: str
    failure: dict | None = None
    cancelled: bool = False
    by: str = ""
    repository: str | None = None
    branch: str | None = None
    pull_request: str | None = None
    spent_usd_micros: int = 0
    cost_limit_usd_micros: int | None = None
    created: str | None = None
    time_limit: str | None = None
    ended: str | None = None
    steps: list[Step] = field(default_factory=list)
    _client: Client = field(default=None, repr=False, compare=False)  # type: ignore[assignment]

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    def step(self, name: str) -> Step:
        """Errors: KeyError with the names of all steps."""
        for one in self.steps:
            if one.name == name:
                return one
        raise KeyError(f"run {self.id} has no step {name}; its steps are {', '.join(one.name for one in self.steps)}")

    def refresh(self) -> Run:
        return self._order("show")

    def wait(self, timeout: float | None = None, check: bool = True) -> Run:
        """Waits for the end. Errors: `RunFailed` with `check`; `WaitTimeout` after `timeout` seconds. Every error has
        `run`, so that no run is started again."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while not self._look(deadline).is_over:
            if time.monotonic() >= deadline:
                raise WaitTimeout(self)
            time.sleep(max(0.0, min(self._client.poll, deadline - time.monotonic())))
        if check and self.state != "completed":
            raise RunFailed(self)
        return self

    def _look(self, deadline: float = float("inf")) -> Run:
        """Loads the run again, and waits for a server that is away."""
        since = time.monotonic()
        while True:
            try:
                return self.refresh()
            except (ApiError, ConnectionFailed) as error:
                error.run = self
                if time.monotonic() >= deadline:
                    raise WaitTimeout(self) from error
                if getattr(error, "status", 503) not in TRANSIENT or time.monotonic() - since > MAX_SILENCE:
                    raise
                time.sleep(self._client.poll)

    def events(self, step: str | None = None) -> Iterator[Step] | Iterator[dict]:
        """Each change of a step until the run ends; with `step`, the events of its newest job until that ends."""
        return self._changes() if step is None else self._job_events(step)

    def _changes(self) -> Iterator[Step]:
        seen: dict[str, tuple] = {}
        while True:
            self._look()
            for one in self.steps:
                state = (one.state, one.job, one.outcome)
                if seen.get(one.name) != state:
                    seen[one.name] = state
                    yield one
            if self.is_over:
                return
            time.sleep(self._client.poll)

    def _job_events(self, name: str) -> Iterator[dict]:
        while not (job := self._look().step(name).job):
            if self.is_over or self.step(name).state in STEP_ENDS:
                return
            time.sleep(self._client.poll)
        cursor = None
        while True:
            page = self._client._call("events", query={"after": cursor} if cursor else None, job=job)
            yield from page["events"]
            if page["end"]:
                return
            if page["cursor"] == cursor or not page["events"]:
                time.sleep(self._client.poll)
            cursor = page["cursor"]

    def cancel(self) -> Run:
        """Its jobs stop within a minute, and pushed work stays."""
        return self._order("cancel", {})

    def resume(self, cost_usd: float | None = None) -> Run:
        """Steps that are done stay. Not repeated by itself, because the run may have failed again."""
        return self._order("resume", {} if cost_usd is None else {"cost_usd": cost_usd})

    def approve(self, step: str) -> Run:
        return self._order("approve", {}, step=step)

    def refuse(self, step: str) -> Run:
        return self._order("refuse", {}, step=step)

    def _order(self, route: str, body: dict | None = None, **path: str) -> Run:
        self._set(self._client._call(route, body, run=self.id, **path))
        return self

    def _set(self, answer: dict) -> None:
        values = _known(Run, answer)
        values["steps"] = [Step(**_known(Step, step)) for step in answer["steps"]]
        for name, value in values.items():
            setattr(self, name, value)


def _known(kind: type, answer: dict) -> dict:
    """A newer server may send further fields."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in answer.items() if name in names}


class Client:
    """A server, a token and a project: arguments, then `PULLYARD_URL`, `PULLYARD_TOKEN` and `PULLYARD_PROJECT`, then
    the current context. `timeout` limits each connection and each read, `poll` is the pause between two looks at a
    run. Units: seconds."""

    def __init__(self, url: str | None = None, token: str | None = None, *, project: str | None = None,
                 timeout: float = 20.0, poll: float = 2.0):
        self.url, token, self._project = find_settings(url, token, project)
        self.poll = poll
        self._http = Http(self.url, token, timeout)

    @property
    def project(self) -> str:
        """Errors: `PullyardError` if none is set and the token has not exactly one."""
        if self._project is None:
            projects = [one["id"] for one in self._call("projects")["projects"]]
            if not projects:
                raise PullyardError("the token has no project: create one with `pullyard projects create ID`")
            if len(projects) != 1:
                raise PullyardError(f"name one of {len(projects)} projects: Client(project=…) or PULLYARD_PROJECT")
            self._project = projects[0]
        return self._project

    def run(self, steps: Iterable[dict], *, name: str | None = None, repository: str | None = None,
            base: str | None = None, params: dict[str, str] | None = None, run_id: str | None = None,
            wait: bool = False, timeout: float | None = None, **plan) -> Run:
        """Starts the steps as a plan; further arguments are keys of the plan, such as `concurrency_limit`.

        Errors: `ApiError` with `faults`; with `wait`, those of `Run.wait`.
        """
        if "coordinator" in plan:
            raise TypeError("leave out `coordinator`, which is Spawnd's store")
        if not isinstance(repository, (str, type(None))):
            raise TypeError("`repository` is OWNER/NAME of the forge; leave out Spawnd's store")
        steps = list(steps)
        text = name or (str(steps[0].get("prompt", "")).strip() if len(steps) == 1 else "")
        text = text.split("\n")[0][:MAX_NAME_CHARS] or ", ".join(str(step.get("name")) for step in steps)
        whole = {"name": text[:MAX_NAME_CHARS], **plan, "steps": steps}
        started = self.start(whole, params=params, repository=repository, base=base, run_id=run_id)
        return started.wait(timeout) if wait else started

    def start(self, plan: dict, *, params: dict[str, str] | None = None, repository: str | None = None,
              base: str | None = None, run_id: str | None = None) -> Run:
        """Starts a plan as a plan file contains it. The same `run_id` and request return the same run.

        Errors: `ApiError` with `faults`. After a lost answer, `run_id` of the error repeats the start harmlessly.
        """
        run_id = run_id or f"python-{uuid.uuid4().hex}"
        body = {"project": self.project, "plan": plan, "params": params, "repository": repository, "base": base,
                "run_id": run_id}
        body = {name: value for name, value in body.items() if value is not None}
        try:
            return self._to_run(self._call("start", body, key=run_id))
        except (ApiError, ConnectionFailed) as error:
            if getattr(error, "status", 503) in TRANSIENT:
                error.run_id = run_id
                error.args = (f"{error.args[0]}\nthe run may have started: repeat the call with run_id={run_id!r}",)
            raise

    def get(self, run: str) -> Run:
        """`run`: the whole id, or `@last`."""
        if run == "@last":
            if (newest := next(self.runs(), None)) is None:
                raise PullyardError(f"project {self.project} has no run: start one with `run`")
            return newest.refresh()
        return self._to_run(self._call("show", run=run))

    def runs(self) -> Iterator[Run]:
        """All runs of the project, newest first. `why` and `question` of their steps need `refresh`."""
        query = {"project": self.project}
        while True:
            page = self._call("list", query=query)
            yield from map(self._to_run, page["runs"])
            if not page["next"]:
                return
            query["after"] = page["next"]

    def _to_run(self, answer: dict) -> Run:
        run = Run(answer["id"], answer["project"], answer["name"], answer["state"], _client=self)
        run._set(answer)
        return run

    def _call(self, route: str, body: dict | None = None, *, query: dict | None = None, key: str | None = None,
              **path: str) -> dict:
        method, address = ROUTES[route]
        address = address.format(**{name: quote(value, safe="") for name, value in path.items()})
        if query:
            address += f"?{urlencode(query)}"
        return self._http.call(method, address, body, key, may_repeat=route != "resume")


def agent(name: str, prompt: str, *, check: str | Iterable[str] | None = None, needs: str | Iterable[str] = (),
          role: str | None = None, **keys) -> dict:
    """A step of a plan. Further arguments are keys of a step, such as `agent`, `limits` or `when`."""
    to_list = lambda value: [value] if isinstance(value, str) else list(value)
    step: dict = {"name": name, "prompt": prompt}
    if check is not None:
        step["checks"] = to_list(check)
    if needs := to_list(needs):
        step["needs"] = needs
    if role is not None:
        step["role"] = role
    return {**step, **keys}


def run(steps: Iterable[dict], *, client: Client | None = None, **options) -> Run:
    """`Client().run(…)`."""
    return (client or Client()).run(steps, **options)
