"""Apps: deployed and served by the SDK, asked through the server, scaled to zero, killed, stopped and deleted."""

import concurrent.futures
import hashlib
import http.client
import http.server
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

import flyte
import flyte.app
import flyte.remote
import session

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


STUBBORN = """
import http.server, os, signal
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


TALKER = """
import http.server, os, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
def talk():
    while True:
        print("it is", os.environ["SAID"], flush=True)
        time.sleep(0.05)
threading.Thread(target=talk, daemon=True).start()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Says what it was asked for, and by whom."""

    protocol_version = "HTTP/1.1"

    def log_message(self, text, *values):
        print(text % values, flush=True)

    def answer(self, found, status=200, **headers):
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/die":
            os.kill(os.getpid(), 9)
        elif path == "/moved":
            self.answer({}, status=302, location="/landed")
        elif path == "/stream":
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in range(3):
                self.wfile.write(b"2\r\n%d\n\r\n" % piece)
                time.sleep(0.05)
            self.wfile.write(b"0\r\n\r\n")
        elif path == "/ws":
            self.send_response(101)
            self.send_header("connection", "Upgrade")
            self.send_header("upgrade", "echo")
            self.end_headers()
            self.wfile.write(b"hello " + self.rfile.readline())
            self.close_connection = True
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.answer({"pid": os.getpid(), "path": self.path, "headers": headers, "color": os.environ.get("COLOR")})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.answer({"bytes": len(body), "digest": hashlib.sha256(body).hexdigest()})


def listen(environment):
    port = environment.get_port().port
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


web = flyte.app.AppEnvironment(name="web", env_vars={"COLOR": "blue \U0001f680"})
sleepy = flyte.app.AppEnvironment(name="sleepy", scaling=flyte.app.Scaling(replicas=(0, 1), scaledown_after=1))
steady = flyte.app.AppEnvironment(name="steady", scaling=flyte.app.Scaling(replicas=1), requires_auth=False)
broken = flyte.app.AppEnvironment(name="broken", command=["python3", "-c", "print('no model here'); raise SystemExit(3)"])
plain = flyte.app.AppEnvironment(
    name="plain",
    command=["python3", "-m", "http.server", "--bind", "127.0.0.1", "8080"],
    scaling=flyte.app.Scaling(replicas=(0, 1), scaledown_after=1),
)
# It does not end when it is told to.
stubborn = flyte.app.AppEnvironment(
    name="stubborn", command=["python3", "-c", f"{STUBBORN}"], scaling=flyte.app.Scaling(replicas=1)
)
talker = flyte.app.AppEnvironment(
    name="talker",
    command=["python3", "-c", f"{TALKER}"],
    secrets=[flyte.Secret("said-by-an-app", as_env_var="SAID")],
    scaling=flyte.app.Scaling(replicas=1),
)
friend = flyte.app.AppEnvironment(
    name="friend",
    parameters=[flyte.app.Parameter(name="other", value=flyte.app.AppEndpoint(app_name="web"), env_var="OTHER")],
)
env = flyte.TaskEnvironment(name="apps", depends_on=[web])


@web.server
def serve_web():
    listen(web)


@sleepy.server
def serve_sleepy():
    listen(sleepy)


@steady.server
async def serve_steady():
    import asyncio

    await asyncio.to_thread(listen, steady)


@friend.server
def serve_friend(other: str):
    class Friend(Handler):
        def do_GET(self):
            self.answer({"other": other, "variable": os.environ["OTHER"], "found": get(other + "/from-friend")["path"]})

    http.server.ThreadingHTTPServer(("127.0.0.1", friend.get_port().port), Friend).serve_forever()


@env.task
async def ask() -> str:
    """Asks the app in the trace of the run."""
    context = flyte.ctx().custom_context
    return json.dumps(get(web.endpoint + "/from-a-task?a=1", traceparent=context["traceparent"]))


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=session.PATIENCE) as answer:
        return json.load(answer)


def status_of(url, **headers):
    """The status of a GET that is not followed, and what came with it."""
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(target.netloc, timeout=session.PATIENCE)
    connection.request("GET", target.path, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.headers), answer.read().decode()


def serve(environment):
    return flyte.with_servecontext(mode="remote").serve(environment)


def remote(name):
    return flyte.remote.App.get(name=name)


def substate(name):
    return remote(name).pb2.status.conditions[-1].substate


def by_host(app, path="/", **headers):
    """A request that a browser would send to the app's own host, whose name this system may not find."""
    host = urllib.parse.urlsplit(app.pb2.status.ingress.cname_url).netloc
    server = os.environ["SPANWISE_ENDPOINT"]
    return status_of(f"http://{server}{path}", host=host, **headers)


@session.remote_case
def answers(_scratch):
    app = serve(web)
    body = os.urandom(5_000_000)
    request = urllib.request.Request(app.endpoint + "/upload", data=body, method="POST")
    with urllib.request.urlopen(request) as answer:
        posted = json.load(answer)
    assert posted == {"bytes": len(body), "digest": hashlib.sha256(body).hexdigest()}, posted
    with urllib.request.urlopen(app.endpoint + "/stream") as answer:
        assert answer.read() == b"0\n1\n2\n"
    by_path = get(app.endpoint + "/x%20y?z=1")
    status, _, text = by_host(app, "/x")
    assert status == 200, text
    navigated = status_of(app.endpoint + "/page", **{"sec-fetch-mode": "navigate", "sec-fetch-site": "none"})
    fetched = status_of(app.endpoint + "/page", **{"sec-fetch-site": "same-origin"})
    foreign = by_host(app, "/x", origin="http://evil.example")
    own = by_host(app, "/x", origin=app.pb2.status.ingress.cname_url)
    assert by_host(app, "/x", **{"sec-fetch-site": "cross-site"})[0] == 403
    moved = status_of(app.endpoint + "/moved")
    again = serve(web)
    assert again.revision == app.revision, "nothing has changed: the SDK sends no other revision"
    return {
        "endpoint": app.endpoint,
        "host": app.pb2.status.ingress.cname_url,
        "active": app.is_active(),
        "by_path": by_path,
        "by_host": json.loads(text),
        "navigated": [navigated[0], navigated[1].get("location")],
        "fetched": fetched[0],
        "foreign": foreign[0],
        "own": own[0],
        "sealed": status_of(app.endpoint + "/x")[1].get("content-security-policy"),
        "moved": [moved[0], moved[1].get("location")],
        "listed": sorted(found.name for found in flyte.remote.App.listall(in_status=("active", "failed"))),
    }


@session.remote_case
def an_upgrade(_scratch):
    app = serve(web)
    target = urllib.parse.urlsplit(app.endpoint)
    import socket

    with socket.create_connection((target.hostname, target.port)) as connection:
        head = f"GET {target.path}/ws HTTP/1.1\r\nhost: {target.netloc}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
        connection.sendall(head.encode())
        with connection.makefile("rwb") as file:
            status = file.readline().decode()
            while file.readline().strip():
                pass
            file.write(b"you\n")
            file.flush()
            return {"status": status, "said": file.readline().decode()}


@session.remote_case
def from_a_task(_scratch):
    deployed = flyte.deploy(env, version="v1")
    found = session.call(ask, options={"custom_context": {"traceparent": TRACEPARENT}})
    return {"found": json.loads(found), "deployed": len(deployed)}


@session.remote_case
def parameters(_scratch):
    serve(web)
    return get(serve(friend).endpoint)


@session.remote_case
def scaled_to_zero(_scratch):
    app = serve(sleepy)
    first = get(app.endpoint)["pid"]
    # SCALED_TO_ZERO
    session.wait_until("the app has no process", lambda: substate("sleepy") == 9 and not session.is_alive(first))
    assert remote("sleepy").is_active() and remote("sleepy").pb2.status.current_replicas == 0
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        pids = set(pool.map(lambda _: get(app.endpoint)["pid"], range(20)))
    assert len(pids) == 1 and first not in pids, pids
    # One whose program is there at once.
    quick = serve(plain)
    session.wait_until("the other one has none", lambda: substate("plain") == 9)
    begun = time.monotonic()
    with urllib.request.urlopen(quick.endpoint) as answer:
        answer.read()
    return {"woken_in": time.monotonic() - begun}


@session.remote_case
def killed(_scratch):
    app = serve(steady)
    first = get(app.endpoint)["pid"]
    broken_off = status_of(app.endpoint + "/die")
    second = get(app.endpoint)["pid"]
    assert second != first
    return {"broken_off": [broken_off[0], broken_off[2]], "foreign": by_host(app, "/x", origin="http://a.example")[0]}


@session.remote_case
def pid(_scratch):
    return {"pid": get(remote("steady").endpoint)["pid"]}


@session.remote_case
def talks(_scratch):
    """An app that says its secret all the time."""
    flyte.remote.Secret.create(name="said-by-an-app", value="s3cret-value-of-the-test")
    return {"pid": get(serve(talker).endpoint)}


@session.remote_case
def fails(_scratch):
    try:
        serve(broken)
    except Exception as error:
        raised = str(error)
    app = remote("broken")
    lines = []
    from flyte.remote._logs import AppLogs

    for line in AppLogs.tail(app_id=app.pb2.metadata.id, follow=False):
        lines.append(line.message)
    return {
        "raised": raised,
        "message": app.pb2.status.conditions[-1].message,
        "asked": status_of(app.endpoint)[0],
        "lines": lines,
    }


@session.remote_case
def stopped_and_deleted(_scratch):
    app = serve(web)
    first = get(app.endpoint)["pid"]
    app.deactivate(wait=True)
    assert remote("web").is_deactivated() and not session.is_alive(first)
    told = status_of(app.endpoint)
    remote("web").activate(wait=True)
    started = remote("web")
    assert started.is_active() and get(app.endpoint)["pid"] != first
    last = get(app.endpoint)["pid"]
    flyte.remote.App.delete(name="web")
    session.wait_until("its process has ended", lambda: not session.is_alive(last))
    return {"stopped": [told[0], told[2]], "deleted": status_of(app.endpoint)[0], "revision": started.revision}


@session.remote_case
def made_again(_scratch):
    first = get(serve(stubborn).endpoint)
    flyte.remote.App.delete(name="stubborn")
    assert session.is_alive(first), "it takes its time"
    app = serve(stubborn)
    second = get(app.endpoint)
    # What was deleted is gone by now, and has taken nothing of the new one along.
    assert second != first and not session.is_alive(first) and session.is_alive(second)
    return {"revision": app.revision, "same": get(app.endpoint) == second}


if __name__ == "__main__":
    session.main()
