"""Tasks of types that plugins bring (`flyte.extend`), and those that no process can be: as roots, as children, in runs of runs, deployed."""

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import flyte
import flyte.errors
import flyte.remote
import session
from flyte.extend import AsyncFunctionTaskTemplate, TaskPluginRegistry


@dataclass
class Pool:
    size: int


@dataclass(kw_only=True)
class PooledTask(AsyncFunctionTaskTemplate):
    """What a plugin of somebody's own is: a type, settings for a cluster, and something before the body."""

    plugin_config: Pool
    task_type: str = "team-pool"

    async def pre(self, *args, **kwargs):
        os.environ["POOL"] = "prepared"
        return {}

    def custom_config(self, sctx):
        return {"pool": {"size": self.plugin_config.size}, "quiet": False}


TaskPluginRegistry.register(Pool, PooledTask)

pooled = flyte.TaskEnvironment(name="tasktypes_pooled", plugin_config=Pool(size=3))

# The parent makes its child's definition, so the file has one name everywhere.
MARK = Path(tempfile.gettempdir()) / "spanwise-test-what-no-process-can-be-ran"


@dataclass
class Warehouse:
    pass


@dataclass(kw_only=True)
class QueryTask(AsyncFunctionTaskTemplate):
    """A task that a connector would send to a service."""

    plugin_config: Warehouse
    task_type: str = "snowflake"


TaskPluginRegistry.register(Warehouse, QueryTask)

queries = flyte.TaskEnvironment(name="tasktypes_queries", plugin_config=Warehouse())
env = flyte.TaskEnvironment(name="tasktypes", depends_on=[pooled, queries])


@queries.task
async def query() -> str:
    MARK.touch()
    return "ran"


@pooled.task
async def add(left: int, right: int = 10) -> str:
    return f"{os.environ.get('POOL')} {left + right}"


@pooled.task
async def slow_add(left: int, log: str, go: str) -> str:
    session.mark(log, f"begun {os.getpid()}")
    while not os.path.exists(go):
        await asyncio.sleep(0.02)
    return f"{os.environ.get('POOL')} {left}"


@env.task
async def calls(left: int) -> str:
    return await add(left, 100)


@env.task
async def starts_a_run(left: int) -> str:
    run = await flyte.run.aio(add, left=left, right=1000)
    await run.wait.aio(quiet=True)
    outputs = await run.outputs.aio()
    return outputs[0]


@env.task
async def calls_slowly(left: int, log: str, go: str) -> str:
    return await slow_add(left, log, go)


@env.task
async def calls_what_cannot_run() -> dict[str, str]:
    try:
        await query()
    except flyte.errors.RuntimeUserError as error:
        return {name: str(text) for name, text in session.described(error).items()}
    raise AssertionError("it ran")


@session.remote_case
def a_type_of_a_plugin(_scratch):
    root = session.start(add, left=1, right=2)
    parent = session.start(calls, left=1)
    flyte.deploy(pooled, version="v1")
    deployed = flyte.remote.Task.get("tasktypes_pooled.add", project="flytesnacks", domain="development", version="v1")
    found = {
        "root": session.output(root),
        "child": session.output(parent),
        "run of a run": session.call(starts_a_run, left=1),
        "deployed": session.call(deployed, left=5),
    }
    (child,) = session.by_task(parent)["add"]
    return {"found": found, "run": root.name, "parent": parent.name, "child": child.name}


def refused(task, **inputs):
    """What a run of it fails by."""
    return session.failure(session.start(task, **inputs))["message"]


@session.remote_case
def what_no_process_can_be(_scratch):
    version = "v1"
    MARK.unlink(missing_ok=True)
    flyte.deploy(env, version=version)
    get = lambda name: flyte.remote.Task.get(name, project="flytesnacks", domain="development", version=version)
    return {
        "root": refused(query),
        "child": session.call(calls_what_cannot_run)["message"],
        "deployed": refused(get("tasktypes_queries.query")),
        "ran": MARK.exists(),
    }


@session.remote_case
def across_a_restart(scratch):
    """The Rust side kills the server while the child runs."""
    log, go = scratch / "slow", scratch / "go"
    run = session.start(calls_slowly, left=7, log=str(log), go=str(go))
    deadline = time.monotonic() + session.PATIENCE
    while True:
        try:
            return {"value": session.output(flyte.remote.Run.get(name=run.name)), "log": session.marks(log)}
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@session.remote_case
def strict(_scratch):
    try:
        session.start(add, left=1)
    except Exception as error:
        root = str(error)
    try:
        flyte.deploy(pooled, version="strict")
    except Exception as error:
        deployed = str(error)
    child = session.failure(session.start(calls, left=1))
    return {"root": root, "child": child["message"], "deployed": deployed}


if __name__ == "__main__":
    session.main()
