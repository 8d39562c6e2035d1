"""An image whose packages do not go together with those of the SDK: apps run in it as programs of their own, tasks say why they do not."""

import shlex
import urllib.request

import flyte
import flyte.app
import session

# The SDK needs a later one.
PACKAGE, VERSION = "protobuf", "5.29.5"

image = flyte.Image.from_debian_base().with_pip_packages(f"{PACKAGE}=={VERSION}")

SAYS = f"""
import http.server, importlib.metadata, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = importlib.metadata.version("{PACKAGE}").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

# One is started by the SDK's entry point, which has a shell read its words, and one by itself.
served = flyte.app.AppEnvironment(name="served", image=image, args=["python", "-c", shlex.quote(SAYS)])
alone = flyte.app.AppEnvironment(name="alone", image=image, command=["python", "-c", SAYS])
env = flyte.TaskEnvironment(name="without_sdk", image=image)


@env.task
def never() -> str:
    return "ran"


def asked(app):
    with urllib.request.urlopen(app.endpoint, timeout=session.PATIENCE) as answer:
        return answer.read().decode()


@session.remote_case
def runs(_scratch):
    found = {}
    for app in (served, alone):
        deployed = flyte.serve(app)
        found[app.name] = asked(deployed)
    found["version"] = VERSION
    found["failed"] = session.failure(session.start(never))
    return found


if __name__ == "__main__":
    session.main()
