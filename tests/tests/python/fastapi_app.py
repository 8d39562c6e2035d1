"""A FastAPI app of the SDK's own kind: asked through the server, by a task in the trace of its caller, woken, killed, with the files of its image."""

import concurrent.futures
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import fastapi
import flyte
import flyte.app
import session
from flyte.app.extras import FastAPIAppEnvironment

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

image = flyte.Image.from_debian_base()
scratch = os.environ.get("SPANWISE_TEST_SCRATCH")
if scratch and not os.environ.get("SPANWISE_APP") and not os.environ.get("ACTION_NAME"):
    words = Path(scratch) / "words.txt"
    words.write_text("from the image")
    image = image.with_source_file(words)

app = fastapi.FastAPI()
api = FastAPIAppEnvironment(
    name="api", app=app, image=image, scaling=flyte.app.Scaling(replicas=(0, 1), scaledown_after=3)
)
env = flyte.TaskEnvironment(name="fastapi_tasks", depends_on=[api])


@app.get("/items/{item}")
async def item(item: int, request: fastapi.Request):
    return {
        "pid": os.getpid(),
        "item": item,
        "traceparent": request.headers.get("traceparent"),
        "words": Path("words.txt").read_text(),
    }


@app.post("/die")
async def die():
    os.kill(os.getpid(), 9)


@env.task
async def ask(number: int) -> str:
    """Asks the app in the trace of the run."""
    return json.dumps(get(f"{api.endpoint}/items/{number}", traceparent=flyte.ctx().custom_context["traceparent"]))


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=session.PATIENCE) as answer:
        return json.load(answer)


def status_of(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=session.PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def woken(last):
    """Waits until the process `last` is gone, and asks twenty times at once: which process answers, and after how long all have answers."""
    session.wait_until("the app has no process", lambda: not session.is_alive(last))
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: get(f"{api.endpoint}/items/{number}"), range(20)))
    woken_in = time.monotonic() - begun
    pids = {found["pid"] for found in answers}
    assert len(pids) == 1 and [found["item"] for found in answers] == list(range(20)), answers
    return pids.pop(), woken_in


@session.remote_case
def lives(_scratch):
    flyte.deploy(env, version="v1")
    asked = json.loads(session.call(ask, 7, options={"custom_context": {"traceparent": TRACEPARENT}}))
    first = asked["pid"]
    times = []
    # The best of three: what is measured is the start, not what else the machine does meanwhile.
    for _ in range(3):
        pid, woken_in = woken(first)
        assert pid != first
        first = pid
        times.append(woken_in)
    killed = status_of(api.endpoint + "/die", "POST")
    return {
        "asked": asked,
        "refused": status_of(api.endpoint + "/items/none"),
        "documented": status_of(api.endpoint + "/docs"),
        "killed": killed,
        "woken_in": min(times),
    }


@session.remote_case
def pid(_scratch):
    return {"pid": get(f"{api.endpoint}/items/1")["pid"]}


if __name__ == "__main__":
    session.main()
