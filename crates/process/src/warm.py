# A fork server: it has imported what a script imports, and makes each attempt by a fork instead of a start of the interpreter.
#
# A child must be what a fresh interpreter that runs the script would be with the same arguments and environment. What the interpreter or a module
# took from the environment on the way here is known (the reads are recorded); a child for which any of it would have
# been another value becomes a fresh one by exec, in the same process. User code is imported in children only.
#
# A fork copies each page that it writes to, and an object is written to whenever it is used. Hence `Certificates` and
# `Untouched`: what each child would read again, and what it would take apart at its end.
#
# `channel` is the socket to the server, with a JSON object a line in both directions. What stands in `attempt.py`, and what
# the caller has put in the place of some of it, is known here.

import asyncio
import ctypes
import errno
import functools
import gc
import importlib
import importlib.machinery
import json
import os
import resource
import select
import signal
import sys
import threading
import time

# Variables that the interpreter and the C library read before any module could be seen to do so.
EARLY = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_TUNABLES", "OPENSSL_CONF")

class Unfit(Exception):
    pass


def environment_at_exec():
    with open("/proc/self/environ", "rb") as file:
        pairs = [pair.split(b"=", 1) for pair in file.read().split(b"\0") if b"=" in pair]
    return {os.fsdecode(name): os.fsdecode(value) for name, value in pairs}


class Reads:
    """The variables that are read while modules are imported, with their values."""

    def __init__(self):
        self.values = {}
        self.readers_of_all = set()

    def __enter__(self):
        environ = type(os.environ)
        self.saved = get, iterate = environ.__getitem__, environ.__iter__

        def recorded_get(mapping, key):
            if self.reader() not in REFRESHED:
                name = os.fsdecode(key)
                self.values[name] = os.environ._data.get(os.fsencode(name))
            return get(mapping, key)

        def recorded_iterate(mapping):
            if self.reader() not in REFRESHED:
                self.readers_of_all.add(self.reader())
            return iterate(mapping)

        environ.__getitem__, environ.__iter__ = recorded_get, recorded_iterate
        return self

    def __exit__(self, *_):
        environ = type(os.environ)
        environ.__getitem__, environ.__iter__ = self.saved

    def reader(self):
        frame = sys._getframe(2)
        while frame and frame.f_globals.get("__name__") in ("os", "_collections_abc", "collections.abc"):
            frame = frame.f_back
        return frame.f_globals.get("__name__", "?") if frame else "?"


class Deferred:
    """Threads and event loops that modules start while they are imported. A fork loses them; each child gets its own."""

    def __init__(self):
        self.threads, self.loops = [], []

    def __enter__(self):
        self.saved = start, new_loop = threading.Thread.start, asyncio.new_event_loop

        def recorded_loop():
            loop = new_loop()
            self.loops.append(loop)
            return loop

        # A function of the class, not a bound method: it is called as a method of the thread.
        threading.Thread.start = lambda thread: self.threads.append(thread)
        asyncio.new_event_loop = recorded_loop
        return self

    def __exit__(self, *_):
        threading.Thread.start, asyncio.new_event_loop = self.saved
        for loop in self.loops:
            loop.close()

    def start(self):
        for loop in self.loops:
            # The same object, because others hold it, with a selector that no other process shares.
            loop.__init__()
        for thread in self.threads:
            if hasattr(thread, "_handle"):
                # Python 3.13.0 takes the handle of a thread that is not started yet for that of one which the fork has lost.
                thread._handle = type(thread._handle)()
            thread.start()


class Certificates:
    """TLS contexts that have read the certificates of this machine, which takes longer than the rest of a start. Clients make
    them through httpx, and use none where a server speaks plain HTTP. Each is given away once, to whoever asks for what it was made of; whoever asks for something else, or when none is left, has a new one."""

    COUNT = 3

    def __init__(self):
        self.asked, self.source, self.made = None, None, []

    def prepare(self):
        try:
            ssl, httpx = importlib.import_module("ssl"), importlib.import_module("httpx")
        except ImportError:
            return
        self.new = ssl.create_default_context

        def recorded(*arguments, **keywords):
            self.asked = arguments, keywords
            return self.new(*arguments, **keywords)

        ssl.create_default_context = recorded
        try:
            httpx.create_ssl_context()
        finally:
            ssl.create_default_context = self.new
        self.source = self.seen()
        if self.source is not None:
            self.made = [self.new(**self.asked[1]) for _ in range(self.COUNT)]

    def seen(self):
        """The file that the certificates come from, with what changes when it does. None if it is no file."""
        try:
            (), keywords = self.asked
            path = keywords["cafile"]
            status = os.stat(path)
            return path, status.st_mtime_ns, status.st_size, status.st_ino
        except (TypeError, ValueError, KeyError, OSError):
            return None

    def give(self):
        """In a child: the next contexts are those which are made."""
        if not self.made:
            return
        ssl = sys.modules["ssl"]

        @functools.wraps(self.new)
        def create_default_context(*arguments, **keywords):
            # A context notes the keys of its connections in this file if there is one when it is made.
            fits = (arguments, keywords) == self.asked and not os.environ.get("SSLKEYLOGFILE")
            if self.made and fits and self.seen() == self.source:
                return self.made.pop()
            return self.new(*arguments, **keywords)

        ssl.create_default_context = create_default_context


class Untouched:
    """The modules that were imported before the fork. At its end a child leaves them as they are, instead of taking each
    apart: only what the task itself has made and imported is. Functions of `atexit` have all run by then."""

    def __init__(self):
        self.modules, self.late = {}, []

    def keep(self):
        # Whatever is called after `spare` may import something.
        if not IS_LAST:
            return
        self.modules.update(sys.modules)
        for name in ("sys", "builtins", "__main__"):
            del self.modules[name]
        # A cycle that no collection sees, because it is frozen with the rest.
        self.modules[None] = self

    def spare(self):
        found = dict(sys.modules)
        # The interpreter empties a module that is still referred to. Without this, a function which is known to an
        # untouched one would keep what is global beside it: a file that nobody has closed would not be written.
        self.late = [module for name, module in found.items() if name not in self.modules]
        for name, module in found.items():
            if self.modules.get(name) is module:
                # As the interpreter does with all of them next.
                sys.modules[name] = None


def installed():
    """What changes when a package is installed, upgraded or removed."""
    return [(place, modified(place)) for place in [*sys.path, SCRIPT]]


def modified(place):
    try:
        return os.stat(place).st_mtime_ns
    except OSError:
        return None


def prepare():
    with Reads() as reads, Deferred() as deferred:
        for name in NEEDED:
            importlib.import_module(name)
        for name in USEFUL:
            try:
                importlib.import_module(name)
            except Exception:
                # What cannot be imported is missed by whoever needs it.
                pass
    if reads.readers_of_all:
        raise Unfit(f"{sorted(reads.readers_of_all)} read the whole environment when imported")
    if threading.active_count() != 1 or len(os.listdir("/proc/self/task")) != 1:
        raise Unfit("importing what the script needs starts threads, which a fork would lose")
    code = compiled(SCRIPT)
    CERTIFICATES.prepare()
    UNTOUCHED.keep()
    gc.collect()
    gc.freeze()
    return code, reads.values, deferred


def shadows(place):
    """Whether a directory, searched earlier by a fresh interpreter, has a module that is imported here from elsewhere."""
    try:
        names = {name.split(".", 1)[0] for name in os.listdir(place)}
    except OSError:
        return False
    loaded = {name.split(".", 1)[0] for name in sys.modules}
    return not names.isdisjoint(loaded | {"sitecustomize", "usercustomize"})


def search_path(environment):
    """The path of a fresh interpreter with this PYTHONPATH, None if it cannot be had here."""
    value = environment.get("PYTHONPATH", "")
    if value == AT_EXEC.get("PYTHONPATH", ""):
        return list(sys.path)
    places = [os.path.abspath(place) for place in value.split(os.pathsep)] if value else []
    if AT_EXEC.get("PYTHONPATH") or any(map(shadows, places)):
        return None
    first, rest = sys.path[:1], sys.path[1:]
    return first + list(dict.fromkeys(places + rest))


def must_be_fresh(environment):
    """The first reason for which this process cannot pass for a fresh one, if any."""
    for name in environment.keys() | AT_EXEC.keys():
        if name.startswith(EARLY) and name != "PYTHONPATH" and environment.get(name) != AT_EXEC.get(name):
            return name
    for name, value in READ.items():
        expected = environment.get(name, COERCED.get(name))
        if value != (None if expected is None else os.fsencode(expected)):
            return name
    if shadows(os.getcwd()):
        return "a module in the working directory"
    return differs(environment, AT_EXEC)


def answer(message):
    try:
        channel.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        # The server is gone. The children are not.
        os._exit(0)


class Server:
    def __init__(self):
        self.children = {}
        self.wakeup, self.wake = os.pipe()
        for end in (self.wakeup, self.wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)

    def run(self):
        """Serves until the server is gone. Returns in each child, with what it is to be."""
        ready = select.poll()
        ready.register(channel, select.POLLIN)
        ready.register(self.wakeup, select.POLLIN)
        received, searched, closing = bytearray(), 0, False
        while True:
            for fd, event in ready.poll():
                if fd == self.wakeup:
                    os.read(self.wakeup, 4096)
                    self.reap()
                elif event & select.POLLHUP:
                    os._exit(0)
                else:
                    data = channel.recv(1 << 20)
                    if not data:
                        # No more requests, but the server still wants to know how the children end.
                        closing = True
                        ready.modify(channel, 0)
                    received += data
            while (end := received.find(b"\n", searched)) >= 0:
                request = json.loads(received[:end])
                del received[: end + 1]
                searched = 0
                if self.serve(request):
                    return request
            searched = len(received)
            if closing and not self.children:
                os._exit(0)

    def reap(self):
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            # The zombie keeps its number while what is left of its group is killed.
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                pass
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            report = {"code": status} if status >= 0 else {"signal": -status}
            answer({"id": self.children.pop(pid, 0), **report})

    def serve(self, request):
        """Answers a request. True in the child."""
        number = request["id"]
        if installed() != INSTALLED:
            answer({"id": number, "stale": True})
            return False
        opened = []
        try:
            opened.append(os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666))
            opened.append(os.open(request["directory"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            opened.extend(os.pipe())
            pid = os.fork()
        except OSError as error:
            answer({"id": number, "refused": str(error)})
            for fd in opened:
                os.close(fd)
            return False
        log, directory, wait, go = opened
        if pid == 0:
            os.close(go)
            become_child(self, log, directory, wait, request["claim"])
            return True
        os.setpgid(pid, pid)
        self.children[pid] = number
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = int(file.read().rpartition(b")")[2].split()[19])
        # The child goes on only after this: a start that the server does not hear of did not happen.
        answer({"id": number, "pid": pid, "started": started})
        os.write(go, b"g")
        for fd in opened:
            os.close(fd)
        return False


def become_child(server, log, directory, wait, claim):
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    if os.read(wait, 1) != b"g" or not make_claim(claim):
        os._exit(125)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.fchdir(directory)
    for fd in (log, directory, wait, server.wakeup, server.wake):
        os.close(fd)
    channel.close()


def make_claim(path):
    """False if somebody else has the attempt. The same text as a cold process writes."""
    if path is None:
        return True
    with open("/proc/sys/kernel/random/boot_id") as boot, open("/proc/self/stat") as stat:
        text = boot.readline() + stat.readline()
    try:
        with open(path, "x") as file:
            file.write(text)
    except OSError:
        return False
    return True


def mark(environment):
    """Writes the attempt's mark over that of the fork server, where the system shows the environment of the process and of
    those that it forks."""
    value = environment.get("SPANWISE_ATTEMPT", "").encode()
    if MARK and len(value) == len(AT_EXEC["SPANWISE_ATTEMPT"]):
        ctypes.memmove(MARK, value, len(value))


def address_of_mark():
    getenv = ctypes.CDLL(None).getenv
    getenv.restype, getenv.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    return getenv(b"SPANWISE_ATTEMPT")


def become(request):
    """Makes this process what a fresh one is when its first line runs: as it is, or by exec."""
    if request["umask"] is not None:
        os.umask(request["umask"])
    if not join(request["group"]) and request["data"] is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (request["data"],) * 2)
    arguments, environment = request["argv"], dict(request["env"])
    mark(environment)
    try:
        path = search_path(environment)
        if path is not None and must_be_fresh(environment) is None:
            return become_script(path, request["claim"], arguments, environment)
    except Exception:
        # Nothing of the task has run: what this version of a module or of Python does not allow costs time and no more.
        pass
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        start_anew(request["claim"], arguments, environment)
    except OSError as problem:
        # As a cold process notes it: the code alone could be one of the program's own.
        code = 127 if problem.errno == errno.ENOENT else 126
        os.write(2, f"{INTERPRETER[0]}: {problem.strerror}\n".encode())
        if request["claim"] is not None:
            with open(request["claim"], "a") as claim:
                claim.write(f"not started: {code}\n")
        os._exit(code)


def join(group):
    """True if this process is in the control group that counts its memory."""
    if group is None:
        return False
    try:
        with open(group, "w") as file:
            file.write(str(os.getpid()))
    except OSError:
        return False
    return True


def become_script(path, claim, arguments, environment):
    sys.path[:] = path
    os.environ.clear()
    os.environ.update({**COERCED, **environment})
    time.tzset()
    refresh()
    DEFERRED.start()
    CERTIFICATES.give()
    script = as_script(SCRIPT, arguments)
    begin(claim, arguments)
    return script


SCRIPT = sys.argv[1]
AT_EXEC = environment_at_exec()
MARK = address_of_mark()
UNTOUCHED, CERTIFICATES = Untouched(), Certificates()
AT_LAST.append(UNTOUCHED.spare)
# What the interpreter has added by itself: the C locale becomes C.UTF-8.
COERCED = {name: value for name, value in os.environ.items() if name not in AT_EXEC and name.startswith("LC_")}
try:
    sys.path[0] = os.path.dirname(os.path.realpath(SCRIPT)) if sys.path[0] == "" else sys.path[0]
    INSTALLED = installed()
    CODE, READ, DEFERRED = prepare()
except BaseException as problem:
    answer({"unfit": f"{type(problem).__name__}: {problem}"})
    os._exit(1)
answer({"ready": True})
run(CODE, become(Server().run()))
