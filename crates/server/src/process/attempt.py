# What a process of the stock SDK has beside it, forked or started: it can be interrupted, it is patient with its server, and
# what it has made survives that the server is away. `a0` itself is not changed: it is the script that runs in the end.
#
# `SOURCE` is this text, and `BOOTSTRAP` the command by which an interpreter reads it from descriptor 3.

import atexit
import datetime
import errno
import functools
import importlib
import importlib.machinery
import os
import signal
import sys
import threading
import time

# The interpreter with its own options: what comes after them is `-c`, the bootstrap and its arguments.
INTERPRETER = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) - 1]

# The first to be registered is the last to be called, unless somebody was here before.
IS_LAST = atexit._ncallbacks() == 0
AT_LAST = []


@atexit.register
def at_last():
    for function in AT_LAST:
        function()
    INTERRUPTION.end()


class Interruption:
    """SIGTERM is to Python what Ctrl-C is: asyncio cancels the main task, `finally` and exit functions run, and with them
    the flush of a tracer provider. A main thread that does not come to its exit functions is interrupted again, and at last
    they are run without it: the server's grace (10 s) must not be over before."""

    # For an event loop to take the cancellation up. One that does not is held up by a body which is not async in truth.
    LOOP = 1
    # For `finally`, and between the interruptions after it.
    INSIST = (4, 1, 1)
    GIVE_UP = 1
    # For bodies in threads of their own, which learn of it when they are in Python the next time.
    THREADS = 1
    CODE = 128 + signal.SIGTERM

    def __init__(self):
        self.asked = False
        self.masks = threading.local()
        self.heard, self.leaving = threading.Event(), threading.Event()

    def __repr__(self):
        return "<interrupts the task>"

    def listen(self):
        signal.signal(signal.SIGTERM, self)
        os.register_at_fork(before=self.hold, after_in_parent=self.go_on, after_in_child=self.forget)

    def hold(self):
        """A signal that comes to a child before it has forgotten this would be lost."""
        self.masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def go_on(self):
        signal.pthread_sigmask(signal.SIG_SETMASK, self.masks.before)

    def forget(self):
        """A process that the task forks ends by the signal, as `multiprocessing` expects of it."""
        if signal.getsignal(signal.SIGTERM) is self:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.go_on()

    def __call__(self, _number, frame):
        if not self.asked:
            if not threading.main_thread().is_alive():
                # The exit functions run already, and must not be disturbed.
                return
            self.asked = True
            atexit.register(self.leave)
            abort_no_children()
            interrupt_bodies()
            self.listen_to_loop()
            threading.Thread(target=self.insist, daemon=True).start()
        elif self.leaving.is_set():
            return
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):
            interrupt = signal.default_int_handler
        interrupt(signal.SIGINT, frame)

    def listen_to_loop(self):
        asyncio = sys.modules.get("asyncio")
        loop = asyncio and asyncio._get_running_loop()
        if loop:
            loop.call_soon_threadsafe(self.heard.set)
        else:
            self.heard.set()

    def insist(self):
        if not self.heard.wait(self.LOOP):
            self.again()
        for pause in self.INSIST:
            if self.leaving.wait(pause):
                return
            self.again()
        if not self.leaving.wait(self.GIVE_UP):
            self.leaving.set()
            atexit._run_exitfuncs()

    def again(self):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    def leave(self):
        """The last to be registered, so the first to be called."""
        self.leaving.set()
        for thread in bodies():
            thread.join(self.THREADS)

    def end(self):
        """No finalization follows the exit functions of an interrupted process: it would meet threads of the SDK's HTTP client
        that want to go on in Python, which CPython answers with SIGABRT."""
        if self.asked and IS_LAST:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (AttributeError, OSError, ValueError):
                    pass
            os._exit(self.CODE)


def bodies():
    """The threads of tasks that are not async."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("sync-executor-")]


def interrupt_bodies():
    import ctypes

    for thread in bodies():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))


def abort_no_children():
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


def survive(claim, arguments):
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


INTERRUPTION = Interruption()


def as_script(path, arguments):
    """Makes this process what an interpreter is that has been given a script; returns the module of the script."""
    sys.argv[:] = arguments
    sys.orig_argv[:] = INTERPRETER + arguments
    with open("/proc/self/comm", "w") as file:
        file.write(os.path.basename(path))
    script = sys.modules["__main__"].__dict__
    builtins = script["__builtins__"]
    script.clear()
    script.update(
        __name__="__main__",
        __file__=arguments[0],
        __builtins__=builtins,
        __annotations__={},
        __cached__=None,
        __doc__=None,
        __loader__=importlib.machinery.SourceFileLoader("__main__", arguments[0]),
        __package__=None,
        __spec__=None,
    )
    INTERRUPTION.listen()
    return script


def compiled(path):
    with open(path, "rb") as file:
        return compile(file.read(), path, "exec")


def run(code, script):
    """Runs a script, with no frames of this file in its traceback."""
    try:
        exec(code, script)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as problem:
        sys.excepthook(type(problem), problem, problem.__traceback__.tb_next)
        raise SystemExit(1)


def start():
    """The start of an interpreter: its arguments are the claim, the script, and those of the script."""
    claim, *arguments = sys.argv[1:]
    path = arguments[0]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    script = as_script(path, arguments)
    survive(claim, arguments)
    run(compiled(path), script)


def start_anew(claim, arguments, environment):
    """Makes this process such a start."""
    reader, writer = os.pipe()
    os.write(writer, SOURCE)
    os.close(writer)
    os.dup2(reader, 3)
    # It may have been 3 already.
    os.set_inheritable(3, True)
    os.execve(INTERPRETER[0], [*INTERPRETER, "-c", BOOTSTRAP, claim or "", *arguments], environment)
