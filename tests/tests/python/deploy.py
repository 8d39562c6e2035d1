"""Deployed tasks, and runs that are made from earlier runs."""

import os

import flyte
import flyte.errors
import flyte.remote
import session

inner = flyte.TaskEnvironment(name="deploy_inner")
env = flyte.TaskEnvironment(name="deploy", depends_on=[inner])


@inner.task
async def add(left: int, right: int = 10) -> int:
    return left + right


@env.task
async def add_twice(left: int) -> int:
    """Adds twice."""
    return await add(await add(left), 100)


@env.task
async def calls_by_name(left: int) -> int:
    task = flyte.remote.Task.get("deploy_inner.add", project=None, domain=None, auto_version="latest")
    return await task(left=left, right=1)


def deployed(name, **options):
    return flyte.remote.Task.get(name, project="flytesnacks", domain="development", **options)


@session.remote_case
def deploy_and_run(_scratch):
    (first,) = flyte.deploy(env, version="v1")
    flyte.deploy(env, version="v1")
    flyte.deploy(env, version="v2")
    versions = lambda **sorted_by: [task.version for task in flyte.remote.Task.listall(by_task_name="deploy.add_twice", **sorted_by)]
    found = {
        "latest": deployed("deploy.add_twice", auto_version="latest").fetch().version,
        "by_latest": session.call(deployed("deploy.add_twice", auto_version="latest"), left=1),
        "by_version": session.call(deployed("deploy_inner.add", version="v1"), left=1),
        "from_a_task": session.call(calls_by_name, left=1),
        "tasks": sorted({task.name for task in flyte.remote.Task.listall()}),
        "versions": versions(),
        "newest_first": versions(sort_by=("created_at", "desc")),
    }
    for name, version in [("deploy.nothing", "v1"), ("deploy.add_twice", "v3")]:
        try:
            deployed(name, version=version).fetch()
        except flyte.errors.RemoteTaskNotFoundError:
            continue
        raise AssertionError(f"{name} {version} was found")
    return found


@inner.task
async def expensive(log: str, number: int) -> int:
    session.mark(log, f"expensive {number}")
    return number * 10


@inner.task
async def broken_at_first(log: str, number: int) -> int:
    session.mark(log, "broken_at_first")
    if not os.path.exists(log + ".repaired"):
        raise RuntimeError("not repaired yet")
    return number + 1


@env.task
async def pipeline(log: str, number: int) -> int:
    first = await expensive(log, number)
    return await broken_at_first(log, first)


@session.remote_case
def rerun(scratch):
    log = scratch / "rerun"
    (scratch / "rerun.repaired").touch()
    source = session.start(pipeline, log=str(log), number=1)
    assert session.output(source) == 11
    again = flyte.rerun(source.name)
    assert session.output(again) == 11 and again.name != source.name
    changed = flyte.rerun(source.name, number=2)
    assert session.output(changed) == 21
    return {"log": session.marks(log)}


@session.remote_case
def recover(scratch):
    log = scratch / "recover"
    source = session.start(pipeline, log=str(log), number=1)
    failed = session.failure(source)
    (scratch / "recover.repaired").touch()
    recovered = flyte.rerun(source.name, recover=True)
    assert session.output(recovered) == 11
    return {"failed": failed, "log": session.marks(log), "phases": session.phases(recovered)}


@env.task
async def copied_whole(left: int) -> int:
    return left


@session.remote_case
def ways_to_ship_code(_scratch):
    """All files of the folder, and a pickle as notebooks send it."""
    return {
        "all": session.call(copied_whole, left=1, options={"copy_style": "all"}),
        "pickle": session.call(add_twice, left=1, options={"interactive_mode": True}),
    }


if __name__ == "__main__":
    session.main()
