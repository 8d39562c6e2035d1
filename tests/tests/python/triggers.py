"""Triggers, as stock programs and the stock command line deploy, fire, change and delete them."""

import asyncio
import os
from datetime import datetime, timedelta, timezone

import cli
import flyte
import flyte.errors
import flyte.remote
import session

LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)

# A trace that every firing would share.
SHARED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

quick = flyte.Trigger(
    name="quick",
    automation=flyte.Cron("@every 2s"),
    description="Fires all the time.",
    inputs={"at": flyte.TriggerTime, "factor": 3},
    env_vars={"FIRED": "by trigger"},
    labels={"team": "a"},
    custom_context={"who": "trigger", "traceparent": SHARED},
)

on_demand = flyte.Trigger(name="on_demand", inputs={"factor": 5})

rate = flyte.Trigger(name="rate", automation=flyte.FixedRate(90, start_time=LONG_AGO), auto_activate=False)

env = flyte.TaskEnvironment(name="triggers")


@env.task(triggers=(quick, on_demand, rate, flyte.Trigger.daily("at")))
async def report(at: datetime = LONG_AGO, factor: int = 1) -> dict[str, str]:
    context = flyte.ctx().custom_context
    return {
        "at": at.isoformat(),
        "start": flyte.ctx().run_start_time.isoformat(),
        "factor": str(factor),
        "fired": os.environ.get("FIRED", ""),
        "who": context.get("who", ""),
        "traceparent": context.get("traceparent", ""),
    }


def trigger(name):
    return flyte.remote.Trigger.get(name=name, task_name="triggers.report")


def runs():
    """The runs of the task by the names of their triggers, and the slots of those that a schedule has fired."""
    found = {}
    for run in flyte.remote.Run.listall(task_name="triggers.report", limit=1000):
        metadata = run.pb2.action.metadata
        found.setdefault(metadata.trigger_name, []).append(run)
    return found


def slot_of(run):
    at = flyte.remote.RunDetails.get(name=run.name).pb2.run_spec.run_start_time
    return at.ToDatetime(tzinfo=timezone.utc)


def slots():
    return sorted(slot_of(run) for run in runs().get("quick", []))


@session.remote_case
def deployed(_scratch):
    """Deploys twice, as the SDK does when nothing has changed, and looks at what there is."""
    for _ in range(2):
        flyte.deploy(env, version="v1")
    listed = {one.name: one for one in flyte.remote.Trigger.listall(task_name="triggers.report")}
    details = trigger("quick")
    session.wait_until("a second firing", lambda: len(runs().get("quick", [])) >= 2)
    run = sorted(runs()["quick"], key=slot_of)[1]
    output = session.output(run)
    assert output["at"] == output["start"] == slot_of(run).isoformat(), (output, slot_of(run))
    # A run that repeats it is for the same time.
    again = session.output(flyte.rerun(run.name))
    assert again["at"] == again["start"] == output["at"], (again, output)
    metadata = run.pb2.action.metadata
    return {
        "names": sorted(listed),
        "active": {name: one.is_active for name, one in listed.items()},
        "everywhere": sorted(one.name for one in flyte.remote.Trigger.listall()),
        "of_version": sorted(one.name for one in flyte.remote.Trigger.listall(task_name="triggers.report", task_version="v2")),
        "description": details.pb2.spec.description,
        "version": details.pb2.spec.task_version,
        "revision": details.pb2.id.revision,
        "context": [pair.key for pair in details.pb2.spec.inputs.context],
        "output": {key: output[key] for key in ("factor", "fired", "who")},
        "own_trace": SHARED.split("-")[1] not in output["traceparent"],
        "labels": dict(run.pb2.labels),
        "source": metadata.source,
        "trigger_task": metadata.trigger_id.name.task_name,
        "run": run.name,
    }


@session.remote_case
def caught_up(_scratch):
    """After a server was away: no slot since the first one is missing, and none was fired twice."""

    def no_gap():
        found = slots()
        return found if found[-1] > datetime.now(timezone.utc) - timedelta(seconds=10) else None

    found = session.wait_until("the newest slot", no_gap)
    expected = [found[0] + timedelta(seconds=2 * index) for index in range(len(found))]
    assert found == expected, (found, expected)
    return {"slots": len(found)}


def count(name="quick"):
    return len(runs().get(name, []))


@session.remote_case
def changed(_scratch):
    """Paused, resumed, fired by request, deployed anew and deleted."""
    flyte.remote.Trigger.update("quick", "triggers.report", active=False)
    assert not trigger("quick").is_active
    before = count()
    plain = session.output(flyte.run(trigger("on_demand")))
    other = session.output(flyte.run(trigger("on_demand"), factor=7))
    listed = next(one for one in flyte.remote.Trigger.listall(task_name="triggers.report") if one.name == "quick")
    explicit = datetime(2020, 2, 2, tzinfo=timezone.utc)
    asked = flyte.with_runcontext(custom_context={"who": "me"}, env_vars={"FIRED": "by me"}).run(listed, at=explicit)
    asked_output = session.output(asked)
    unchanged = count() - before
    # Nobody has scheduled it: it is for the time at which it is asked for.
    now = session.output(flyte.run(listed))
    assert now["at"] == now["start"] > datetime(2026, 1, 1, tzinfo=timezone.utc).isoformat(), now
    assert runs()["on_demand"][0].pb2.action.metadata.source == 0
    flyte.remote.Trigger.update("quick", "triggers.report", active=True)
    resumed = session.wait_until("a firing after the pause", lambda: count() > before + 2)
    flyte.remote.Trigger.delete("quick", "triggers.report")
    try:
        trigger("quick")
        raise AssertionError("it is still there")
    except Exception as error:
        gone = str(error)
    return {
        "plain": plain["factor"],
        "other": other["factor"],
        "asked": {key: asked_output[key] for key in ("at", "factor", "fired", "who")},
        "unchanged": unchanged,
        "resumed": resumed,
        "gone": gone,
    }


@session.remote_case
def by_command_line(_scratch):
    """What `flyte get|create|update|delete trigger` say and do."""
    flyte.deploy(env, version="v3")
    listed = cli.listed("get", "trigger", "triggers.report")
    shown = cli.flyte("get", "trigger", "triggers.report", "daily")
    cli.flyte("update", "trigger", "daily", "triggers.report", "--deactivate")
    paused = trigger("daily").is_active
    cli.flyte("update", "trigger", "daily", "triggers.report", "--activate")
    active = trigger("daily").is_active
    cli.flyte("create", "trigger", "triggers.report", "mine", "--schedule", "0 5 * * 1-5", "--trigger-time-var", "at")
    created = trigger("mine").automation_spec.schedule.cron.expression
    refused = cli.flyte("create", "trigger", "triggers.report", "wrong", "--schedule", "61 * * * *", "--trigger-time-var", "at", fails=True)
    cli.flyte("delete", "trigger", "mine", "triggers.report")
    left = sorted(one.name for one in flyte.remote.Trigger.listall(task_name="triggers.report"))
    return {
        "listed": len(listed),
        "shown": "daily" in shown,
        "paused": not paused,
        "active": active,
        "created": created,
        "refused": refused,
        "left": left,
    }


moved = flyte.TaskEnvironment(name="triggers_moved")
extra = flyte.Trigger(name="extra", automation=flyte.FixedRate(1440), auto_activate=False)


@moved.task
async def stays(x: int = 1) -> int:
    return x


@session.remote_case
def redeployed(_scratch):
    """What becomes of triggers when versions of their task come and go."""

    def deploy(version, *triggers):
        stays.triggers = triggers
        flyte.deploy(moved, version=version)
        return {one.name: one.pb2 for one in flyte.remote.Trigger.listall(task_name="triggers_moved.stays")}

    def details(name):
        return flyte.remote.Trigger.get(name=name, task_name="triggers_moved.stays").pb2

    daily = flyte.Trigger.daily()
    first = deploy("v1", daily, extra)
    second = deploy("v2", daily)
    since = [found["daily"].status.updated_at.ToNanoseconds() for found in (first, second)]
    of_second = details("daily").spec.task_version
    flyte.remote.Trigger.update("daily", "triggers_moved.stays", active=False)
    reverted = deploy("v1", daily, extra)
    of_reverted = {name: details(name).spec.task_version for name in reverted}
    flyte.remote.Trigger.delete("extra", "triggers_moved.stays")
    deleted = deploy("v1", daily, extra)
    return {
        "first": sorted(first),
        "second": sorted(second),
        "goes_on": since[0] == since[1],
        "of_second": of_second,
        "reverted": of_reverted,
        "active": reverted["daily"].active,
        "deleted": sorted(deleted),
        "without_any": sorted(deploy("v3")),
    }


slow = flyte.TaskEnvironment(name="triggers_slow")


def every_second(name, overlap):
    return flyte.Trigger(name=name, automation=flyte.Cron("@every 1s"), labels={"spanwise.overlap": overlap})


@slow.task(triggers=(every_second("skips", "skip"), every_second("queues", "queue")))
async def rests() -> None:
    await asyncio.sleep(1.2)


@session.remote_case
def overlapping(_scratch):
    """The runs of a trigger that lets none overlap another, and the seconds between their slots."""
    flyte.deploy(slow, version="v1")

    def ended():
        found = {"skips": [], "queues": []}
        for run in flyte.remote.Run.listall(task_name="triggers_slow.rests", limit=1000):
            status = run.pb2.action.status
            if status.HasField("end_time"):
                found[run.pb2.action.metadata.trigger_name].append((slot_of(run), status.start_time.ToNanoseconds(), status.end_time.ToNanoseconds()))
        return found if all(len(runs) >= 3 for runs in found.values()) else None

    found = session.wait_until("three runs of each", ended)
    steps = {}
    for name, runs in found.items():
        flyte.remote.Trigger.update(name, "triggers_slow.rests", active=False)
        runs.sort()
        for (_, _, end), (_, start, _) in zip(runs, runs[1:]):
            assert start >= end, (name, runs)
        steps[name] = [(later - earlier).total_seconds() for (earlier, _, _), (later, _, _) in zip(runs, runs[1:])]
    return steps


watcher = flyte.TaskEnvironment(name="triggers_refused")


@watcher.task(triggers=flyte.Trigger(name="never", automation=flyte.Cron("61 * * * *"), inputs={"x": 1}))
async def retrain(x: int) -> int:
    return x


@session.remote_case
def refused(_scratch):
    try:
        flyte.deploy(watcher, version="v1")
    except Exception as error:
        tasks = [task.name for task in flyte.remote.Task.listall()]
        return {"message": str(error), "deployed": "triggers_refused.retrain" in tasks}
    raise AssertionError("it was deployed")


if __name__ == "__main__":
    session.main()
