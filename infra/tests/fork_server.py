"""Forks a process for each run of a script whose libraries this server has imported.

    python fork_server.py aws|preflight SOCKET

A call of the AWS CLI takes 0.8 CPU s, most of it for imports and for the descriptions of AWS's services. A forked
process shares these with the server. Sessions, credentials and clients are created in each process.
The server starts without the environment of the test, since a process adds that of its client. It ends when its
standard input ends.
"""

import atexit
import compileall
import gc
import itertools
import os
import pathlib
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile


def start(python, kind, path):
    """Starts a server and returns when it accepts runs."""
    server = subprocess.Popen([python, __file__, kind, path], env={"HOME": "/nonexistent"}, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, start_new_session=True)
    if server.stdout.readline() != b"ready\n":
        raise RuntimeError(f"the fork server for {kind} does not start")
    return server


def cache(owner, name, key):
    """Makes a method compute each result once in the server; `key` returns all that the result depends on."""
    method, results = getattr(owner, name), {}

    def cached(*arguments, **named):
        of = key(*arguments, **named)
        if of not in results:
            results[of] = method(*arguments, **named)
        return results[of]

    setattr(owner, name, cached)


def code_of(function):
    """The code of a function or of a `functools.partial` of it. Other objects stand for themselves."""
    function = getattr(function, "func", function)
    return getattr(function, "__code__", function)


class AwsCli:
    """Imports the AWS CLI and parses its own data files once."""

    def __init__(self):
        import awscli.clidriver
        import awscli.handlers
        from botocore import hooks, loaders, session, xform_name
        cache(loaders.JSONFileLoader, "_load_file", lambda _, full_path, open_method: full_path)
        cache(loaders.Loader, "list_available_services", lambda loader, type_name: (*loader.search_paths, type_name))
        for type_name in ["service-2", "waiters-2", "paginators-1", "endpoint-rule-set-1"]:
            loaders.create_loader(os.environ["AWS_DATA_PATH"]).list_available_services(type_name)
        self.xform_name, self.loader = xform_name, loaders.JSONFileLoader()
        data = pathlib.Path(loaders.Loader.BUILTIN_DATA_PATH)
        self.parse(data)
        self.folders = {one.name: one for one in data.iterdir() if one.is_dir()}
        self.folders["s3api"] = self.folders["s3"]
        # Each start of the CLI registers 400 handlers: it renames their events by a constant table and reads their
        # signatures. A driver that is discarded fills these caches.
        cache(hooks.EventAliaser, "_alias_event_name", lambda _, event_name: event_name)
        cache(hooks, "accepts_kwargs", code_of)
        awscli.clidriver.create_clidriver()
        gc.collect()
        if any(isinstance(one, session.Session) for one in gc.get_objects()):
            raise RuntimeError("the fork server holds a session, which its processes would share")

    def parse(self, folder):
        for path in folder.glob("*.json*"):
            if not path.name.startswith("examples"):
                content = self.loader.load_file(str(path.with_name(path.name.split(".json")[0])))
                for operation, separator in itertools.product(content.get("operations", []), "-_"):
                    self.xform_name(operation, separator)

    def prepare(self, arguments):
        """Called before each fork: parses the descriptions of a service before its first call."""
        for name in set(arguments) & self.folders.keys():
            for version in self.folders.pop(name).iterdir():
                self.parse(version)


class Preflight:
    """Imports the libraries of infra/preflight, and compiles its own modules once for each checkout."""

    def __init__(self):
        before = list(sys.path)
        runpy.run_path(str(pathlib.Path(__file__).parents[1] / "preflight"))
        sys.path[:] = before
        for name in [one for one in sys.modules if one.startswith("preflight_checks")]:
            del sys.modules[name]
        self.compiled, sys.pycache_prefix = set(), tempfile.mkdtemp(dir=os.path.dirname(sys.argv[2]))

    def prepare(self, arguments):
        folder = os.path.join(os.path.dirname(arguments[0]), "preflight_checks")
        if folder not in self.compiled:
            compileall.compile_dir(folder, quiet=1)
            self.compiled.add(folder)


# --- any script

class Run:
    """A forked process and the client that waits for its exit code."""

    def __init__(self, connection, library, message, descriptors):
        self.folder, count, *rest = os.fsdecode(message).split("\0")
        self.arguments, environment = rest[:int(count)], rest[int(count):]
        self.environment = dict(one.split("=", 1) for one in environment)
        self.connection, self.library, self.descriptors = connection, library, descriptors

    def fork(self):
        """Returns False in the new process."""
        self.library.prepare(self.arguments)
        # A collection in the new process would copy the shared pages.
        gc.freeze()
        self.process = os.fork()
        if self.process:
            for one in self.descriptors:
                os.close(one)
            self.ended = os.pidfd_open(self.process)
        return self.process != 0

    def kill(self):
        signal.pidfd_send_signal(self.ended, signal.SIGKILL)

    def close(self):
        os.close(self.ended)
        self.connection.close()

    def report(self):
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        try:
            self.connection.send(bytes([code if code >= 0 else 128 - code]))
        except ConnectionError:
            pass  # The client was killed.


def serve(library, path):
    """Returns the run in its own process, and None in the server at its end."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    selector, runs = selectors.DefaultSelector(), set()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data and key.data not in runs:
                continue  # An earlier event of this round ended it.
            if key.fileobj is sys.stdin:
                for run in runs:
                    run.kill()
                return None
            if key.fileobj is listener:
                connection = listener.accept()[0]
                message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                if not message:
                    connection.close()  # The client was killed before its request.
                    continue
                run = Run(connection, library, message, descriptors)
                if not run.fork():
                    selector.close()
                    listener.close()
                    run.connection.close()
                    for other in runs:
                        other.close()
                    return run
                runs.add(run)
                selector.register(run.ended, selectors.EVENT_READ, run)
                selector.register(run.connection, selectors.EVENT_READ, run)
            elif key.fileobj is key.data.connection:
                selector.unregister(key.fileobj)
                key.data.kill()
            else:
                selector.unregister(key.data.ended)
                if key.data.connection in selector.get_map():
                    selector.unregister(key.data.connection)
                key.data.report()
                key.data.close()
                runs.remove(key.data)


class Exit:
    """Ends a forked process as Python does, but without the deletion of each shared object: that would copy its page."""

    def __init__(self):
        self.code = None
        # Python calls the last registered function first.
        atexit.register(self.end)

    def end(self):
        if self.code is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self.code)


def execute(run, at_exit):
    """Runs the script as Python does."""
    for number, one in enumerate(run.descriptors):
        os.dup2(one, number)
        os.close(one)
    os.chdir(run.folder)
    os.environ.update(run.environment)
    sys.argv = run.arguments
    sys.path[0] = os.path.dirname(sys.argv[0])
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        at_exit.code = 0
    except SystemExit as end:
        at_exit.code = end.code if isinstance(end.code, int) else None
        raise


if __name__ == "__main__":
    last = Exit()
    chosen = {"aws": AwsCli, "preflight": Preflight}[sys.argv[1]]()
    forked = serve(chosen, sys.argv[2])
    if forked:
        execute(forked, last)
