# What a process that runs a script has beside it, forked or started: it can be interrupted. The script itself is not changed: it is
# what runs in the end.
#
# `SOURCE` is this text and what the caller has of its own (`Script::beside`), and `BOOTSTRAP` the command by which an interpreter reads
# it from descriptor 3.

import atexit
import importlib.machinery
import os
import signal
import sys
import threading

# The interpreter with its own options: what comes after them is `-c`, the bootstrap and its arguments.
INTERPRETER = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) - 1]

# What follows is for the caller's text to put something in the place of.

# Modules that the script needs, and modules that it may need, for a process that is forked: they are imported before.
NEEDED = []
USEFUL = []

# Modules among them whose import-time reads of the environment `refresh` repeats in the child.
REFRESHED = set()


def refresh():
    """In a forked process: repeats what modules of REFRESHED did with the environment when they were imported."""


def differs(_environment, _imported_with):
    """Why modules that were imported with one environment are others than with another one; none if they are not."""


def begin(_claim, _arguments):
    """Called before the script runs."""


def interrupted():
    """Called once, when the process is asked to end."""


def bodies():
    """Threads that are to learn of it."""
    return []


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
    # For `bodies`, which learn of it when they are in Python the next time.
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
            interrupted()
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
        """No finalization follows the exit functions of an interrupted process: it would meet threads of clients that want to go
        on in Python, which CPython answers with SIGABRT."""
        if self.asked and IS_LAST:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (AttributeError, OSError, ValueError):
                    pass
            os._exit(self.CODE)


def interrupt_bodies():
    import ctypes

    for thread in bodies():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))


INTERRUPTION = Interruption()


def as_script(path, arguments):
    """Makes this process what an interpreter is that has been given a script; returns the module of the script."""
    sys.argv[:] = arguments
    sys.orig_argv[:] = INTERPRETER + arguments
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(os.path.basename(path))
    except OSError:
        # Not every system has a name to change.
        pass
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
    begin(claim, arguments)
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
