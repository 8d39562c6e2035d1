"""The triggers of `tests/src/bin/trigger_tasks.rs`, said in Python: both are deployed, and what was deployed is compared."""

from datetime import datetime, timezone

import flyte
import flyte.remote
import session
from google.protobuf.json_format import MessageToDict

LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)

daily = flyte.Trigger(
    name="daily",
    automation=flyte.Cron("0 9 * * *", timezone="Europe/Berlin"),
    description="Every day.",
    inputs={"at": flyte.TriggerTime, "factor": 3},
    custom_context={"who": "trigger"},
    labels={"team": "a"},
    env_vars={"FIRED": "by trigger"},
    queue="gpu",
    max_action_concurrency=2,
)

rate = flyte.Trigger(
    name="rate",
    automation=flyte.FixedRate(90, start_time=LONG_AGO),
    auto_activate=False,
    inputs={"at": flyte.TriggerTime, "factor": 4},
)

by_hand = flyte.Trigger(name="by_hand", inputs={"at": LONG_AGO, "factor": 5})

env = flyte.TaskEnvironment(name="python_triggers")


@env.task(triggers=(daily, rate, by_hand))
async def report(at: datetime, factor: int) -> str:
    return f"{at} {factor}"


def said(task):
    """What a server has of the triggers of a task, without what differs by nature: the version, and the SDK's own mark in the context."""
    found = {}
    for listed in flyte.remote.Trigger.listall(task_name=task):
        details = flyte.remote.Trigger.get(name=listed.name, task_name=task)
        spec = MessageToDict(details.pb2.spec)
        inputs = spec.get("inputs", {})
        spec.pop("taskVersion")
        context = [pair for pair in inputs.get("context", []) if not pair["key"].startswith("_u_")]
        spec["inputs"] = {
            "literals": sorted(inputs.get("literals", []), key=lambda literal: literal["name"]),
            "context": context,
        }
        found[listed.name] = {"spec": spec, "automation": MessageToDict(details.pb2.automation_spec)}
    return found


@session.remote_case
def same(_scratch):
    flyte.deploy(env, version="v1")
    return {"python": said("python_triggers.report"), "rust": said("rust_triggers.report")}


@session.remote_case
def nothing(_scratch):
    return [task.name for task in flyte.remote.Task.listall()]


@session.remote_case
def fired(_scratch):
    outputs = {}
    for name in ("by_hand", "daily"):
        run = flyte.run(flyte.remote.Trigger.get(name=name, task_name="rust_triggers.report"))
        outputs[name] = session.output(run)
    return outputs


if __name__ == "__main__":
    session.main()
