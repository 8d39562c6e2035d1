"""Settings of an organisation, a domain and a project, as the stock command line and stock programs read and change them."""

import os
import time

import cli
import flyte
import flyte.errors
import session
from flyte.remote import Settings

env = flyte.TaskEnvironment(name="settings", env_vars={"BY_TASK": "task", "BY_RUN": "task"})

NAMES = ("BY_ORG", "BY_DOMAIN", "BY_PROJECT", "BY_TASK", "BY_RUN")


@env.task
async def inner() -> dict[str, str]:
    return {name: os.environ.get(name, "") for name in NAMES}


@env.task
async def outer() -> dict[str, str]:
    return await inner()


@env.task
async def waits(marks: str) -> dict[str, str]:
    """Two children, one before and one after a server was away."""
    before = await inner()
    session.mark(f"{marks}/settings", "first")
    while "go" not in session.marks(f"{marks}/settings"):
        time.sleep(0.02)
    after = await inner.override(short_name="again")()
    return {"before": before["BY_PROJECT"], "after": after["BY_PROJECT"]}


@env.task
async def greedy() -> int:
    return len(bytearray(700 << 20))


limited = flyte.TaskEnvironment(name="limited", resources=flyte.Resources(memory="2Gi"))


@limited.task
async def says_so() -> int:
    return len(bytearray(700 << 20))


def edit(body, *scope, fails=False):
    file = session.scratch() / "settings.yaml"
    file.write_text(body)
    return cli.flyte("edit", "settings", *scope, "--from-file", file, fails=fails)


DOMAIN = ("--domain", "development")
PROJECT = (*DOMAIN, "--project", "flytesnacks")


def labels(run):
    found = flyte.remote.Run.listall(task_name="settings.outer", limit=20)
    return next(dict(one.pb2.labels) for one in found if one.name == run.name)


@session.remote_case
def inherited(_scratch):
    """What is said more narrowly counts, and what task and run say above all."""
    before = session.call(outer)
    edit(
        "environment_variables: {BY_ORG: org, BY_DOMAIN: org, BY_PROJECT: org, BY_TASK: org, BY_RUN: org}\n"
        "labels: {team: org, of_org: 'yes'}\nsecurity.service_account: sa\n"
    )
    edit("environment_variables: {BY_DOMAIN: domain, BY_PROJECT: domain}\nrun.max_action_concurrency: 3\n", *DOMAIN)
    edit("environment_variables: {BY_PROJECT: project}\nlabels: {team: project}\ntask_resource.max.memory: 512Mi\n", *PROJECT)
    run = session.start(outer, options={"env_vars": {"BY_RUN": "run"}, "labels": {"own": "run"}})
    output = session.output(run)
    other = session.output(flyte.with_runcontext(project="other", domain="development").run(outer))
    elsewhere = session.output(flyte.with_runcontext(project="other", domain="staging").run(outer))
    found = Settings.get_settings_for_edit(domain="development", project="flytesnacks")
    failed = session.failure(session.start(greedy))
    again = session.output(flyte.rerun(run.name))
    return {
        "before": before,
        "run": output,
        "again": again,
        "labels": labels(run),
        "other": other,
        "elsewhere": elsewhere,
        "effective": found.effective_values(),
        "origins": {one.key: str(one.origin) for one in found.effective_settings},
        "local": sorted(found.local_overrides()),
        "version": found._version,
        "greedy": failed,
        "says_so": session.call(says_so),
        "name": run.name,
        "shown": cli.flyte("get", "settings", *PROJECT),
    }


@session.remote_case
def changed(_scratch):
    """Who has read an old version is told so; unset values hide those of wider scopes."""
    first = Settings.get_settings_for_edit(domain="development", project="flytesnacks")
    second = Settings.get_settings_for_edit(domain="development", project="flytesnacks")
    first.update_settings({"labels": {"team": "first"}})
    try:
        second.update_settings({"labels": {"team": "second"}})
        raise AssertionError("it was accepted")
    except Exception as error:
        conflict = str(error)
        code = getattr(error, "code", None)
    twice = Settings(effective_settings=[], local_settings=[], domain="development", project="flytesnacks")
    try:
        twice.update_settings({"labels": {"team": "second"}})
        raise AssertionError("it was accepted")
    except Exception as error:
        exists = str(error)
    edit("environment_variables: ~unset\n", *PROJECT)
    unset = session.call(outer)
    refused = edit("run.max_action_concurrency: 1\n", *PROJECT, fails=True)
    edit("", *PROJECT)
    return {
        "conflict": conflict,
        "code": str(code),
        "exists": exists,
        "unset": unset,
        "refused": refused,
        "cleared": session.call(outer),
        "version": Settings.get_settings_for_edit(domain="development", project="flytesnacks")._version,
    }


@session.remote_case
def begins(scratch):
    """A run that begins with one setting."""
    edit("environment_variables: {BY_PROJECT: old}\n", *PROJECT)
    run = session.start(waits, str(scratch))
    session.wait_until("the first child", lambda: session.marks(scratch / "settings"))
    edit("environment_variables: {BY_PROJECT: new}\n", *PROJECT)
    return {"run": run.name}


@session.remote_case
def goes_on(scratch):
    """It ends with the same, after the server was killed and the setting changed; a new run has the new one."""
    session.mark(scratch / "settings", "go")
    run = next(one for one in flyte.remote.Run.listall(task_name="settings.waits", limit=5))
    return {"old": session.output(run), "new": session.call(outer)["BY_PROJECT"]}


if __name__ == "__main__":
    session.main()
