# What a task of the stock SDK has beside it: it is patient with its server, and what it has made survives that the server is
# away. `a0` itself is not changed. This text comes behind that of `sdk.py`, and puts functions of its own in the place of some of
# that one's and of `attempt.py`'s (in `crates/process`).

import datetime
import errno
import functools
import importlib
import os
import sys
import threading
import time

# What `a0` imports before and after the code of the task. Those which a version of the SDK does not have are left out.
NEEDED = ["flyte._bin.runtime"]
USEFUL = [
    "faulthandler",
    "flyte._internal.runtime.entrypoints",
    "flyte._internal.runtime.convert",
    "flyte._internal.runtime.io",
    "flyte._internal.runtime.taskrunner",
    "flyte._internal.runtime.task_serde",
    "flyte._internal.controllers.remote",
    "flyte._internal.controllers.remote._client",
    "flyte._internal.controllers.remote._controller",
    "flyte._internal.image_cache",
    "flyte._internal.resolvers.default",
    "flyte._module",
    "flyte._utils.asyncify",
    "flyte._code_bundle",
    "flyte.git",
    "flyte.report",
    "flyte.storage",
    "flyte.storage._parallel_reader",
    "flyte.types",
    "flyte.remote._client.auth._session",
    "flyte.remote._client.auth._interceptors.default_metadata",
    "flyte.remote._client.auth._interceptors.retry",
    "flyte.remote._client.controlplane",
    "pyqwest._glue",
    "opentelemetry.metrics",
    "opentelemetry.propagate",
    "httpcore",
    "importlib.readers",
]


def bodies():
    """The threads of tasks that are not async."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("sync-executor-")]


def interrupted():
    """A call that is cancelled aborts its action. What becomes of the children of an attempt that is interrupted is not the
    attempt's to say: the server knows whether there is another one that takes them up."""

    async def cancel_action(_controller, _action):
        pass

    for name, controller in (("_core", "Controller"), ("_r_controller", "RemoteController")):
        module = sys.modules.get(f"flyte._internal.controllers.remote.{name}")
        if hasattr(module, controller):
            setattr(getattr(module, controller), "cancel_action", cancel_action)


def say(text):
    """A line of the log, if there is room for one: the log is on the disk that may be full."""
    try:
        sys.stderr.write(f"spanwise: {text}\n")
        sys.stderr.flush()
    except OSError:
        pass


class Results:
    """What the task leaves, `outputs.pb` or `error.pb`, as files beside its claim. Its server puts them into the store when the
    process has ended, also if it was away meanwhile: a body that has ended is not run again for want of a server."""

    def __init__(self, claim, arguments):
        self.lost = False
        self.files = {}
        outputs = after(arguments, "--outputs-path", "-o")
        if claim and outputs:
            self.beside = os.path.splitext(claim)[0]
            self.files = {os.path.join(outputs, name): name for name in ("outputs.pb", "error.pb")}

    def keep(self, name, content):
        file = f"{self.beside}.{name}"
        with open(file + ".new", "wb") as new:
            new.write(content)
        os.replace(file + ".new", file)

    def kept(self, put_stream):
        @functools.wraps(put_stream)
        async def kept_or_put(data_iterable, *, to_path=None, **rest):
            name = self.files.get(to_path)
            if name == "error.pb" and (self.lost or INTERRUPTION.asked):
                # The server knows better why this attempt ends.
                return to_path
            if name and isinstance(data_iterable, bytes):
                try:
                    self.keep(name, data_iterable)
                    return to_path
                except OSError as problem:
                    say(f"keep {name} beside the claim: {problem}; it goes to the store")
            return await put_stream(data_iterable, to_path=to_path, **rest)

        return kept_or_put

    def needed(self, fetch):
        """Something of the start of a task that is tried until there is room for it. If that is never, nothing of the task has
        run, and the attempt is no failure of the task."""

        @functools.wraps(fetch)
        async def fetch_patiently(*arguments, **keywords):
            import asyncio

            give_up, pause = time.monotonic() + PATIENCE, 0.1
            while True:
                try:
                    return await fetch(*arguments, **keywords)
                except Exception as problem:
                    if not is_passing(problem):
                        raise
                    if time.monotonic() > give_up or type(problem).__module__ == "obstore.exceptions":
                        self.lose(problem)
                        raise
                    say(f"{problem}: tried again in {pause} s")
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, 5)

        return fetch_patiently

    def lose(self, problem):
        self.lost = True
        if self.files:
            try:
                self.keep("lost", f"{type(problem).__name__}: {problem}".encode())
            except OSError:
                pass


# How long a process goes on without its server: as long as a task in Rust does.
PATIENCE = 3600

# What the machine has too little of now, and may have enough of later.
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def is_passing(problem):
    """Whether the same may succeed later. The store's client has been patient already."""
    seen = set()
    while problem and problem not in seen:
        if isinstance(problem, OSError) and problem.errno in PASSING:
            return True
        # `tar`, which unpacks the code: of what it met there are only its words.
        if type(problem) is RuntimeError and any(os.strerror(number) in str(problem) for number in PASSING):
            return True
        if type(problem).__module__ == "obstore.exceptions" and type(problem).__name__ == "GenericError":
            return True
        seen.add(problem)
        problem = problem.__cause__ or problem.__context__
    return False


def after(arguments, *names):
    """The argument that follows one of these names."""
    return next((value for name, value in zip(arguments, arguments[1:]) if name in names), None)


def patient(kwargs_of):
    """The SDK's settings of a store, with patience for the server's own: the SDK gives up after seconds."""

    @functools.wraps(kwargs_of)
    def with_patience(self, anonymous=False, **keywords):
        if self.endpoint and self.endpoint == os.environ.get("FLYTE_AWS_ENDPOINT"):
            seconds = functools.partial(datetime.timedelta, seconds=1)
            backoff = {"base": 2, "init_backoff": 0.1 * seconds(), "max_backoff": 5 * seconds()}
            retries = {"max_retries": 100_000, "backoff": backoff, "retry_timeout": PATIENCE * seconds()}
            keywords.setdefault("retry_config", retries)
        return kwargs_of(self, anonymous=anonymous, **keywords)

    return with_patience


def begin(claim, arguments):
    """Changes of the SDK for a server that is away, or whose disk is full."""
    results = Results(claim, arguments)
    for module, name, changed in (
        ("flyte.storage._config", "S3.get_fsspec_kwargs", patient),
        ("flyte.storage", "put_stream", results.kept),
        ("flyte._internal.runtime.entrypoints", "download_bundle", results.needed),
        ("flyte._internal.runtime.taskrunner", "load_inputs", results.needed),
    ):
        *owners, name = name.split(".")
        try:
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, name, changed(getattr(owner, name)))
        except ImportError:
            # What the script cannot do without, it says itself.
            return
        except AttributeError:
            say(f"this version of the SDK has no {module}.{name}: the task has less patience")
