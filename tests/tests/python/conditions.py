"""Conditions: an action that waits for a word from outside."""

import os

import flyte
import flyte.errors
import flyte.remote
import session
from flyteidl2.common.phase_pb2 import ActionPhase
from flyteidl2.workflow.run_service_connect import RunServiceClientSync
from flyteidl2.workflow.run_service_pb2 import WatchRunDetailsRequest

env = flyte.TaskEnvironment(name="conditions")


@env.task
async def asks() -> dict[str, str]:
    answers = {}
    for name, kind in [("may i", bool), ("how many", int), ("how much", float), ("who \N{ROCKET}", str)]:
        condition = await flyte.new_condition.aio(name, prompt=f"{name}?", data_type=kind, description="a question")
        answer = await condition.wait.aio()
        assert type(answer) is kind, answer
        answers[name] = str(answer)
    return answers


def waiting(run):
    """The condition of the run that waits, once there is one."""
    return session.wait_until(
        "a condition", lambda: [found for found in flyte.remote.Condition.listall(run_name=run.name) if found.phase.endswith("PAUSED")]
    )[0]


@session.remote_case
def signals(_scratch):
    run = session.start(asks)
    refused, phases = [], []
    for answer in [True, 42, 0.5, "Ada \N{ROCKET}"]:
        condition = waiting(run)
        phases.append((condition.name, condition.expected_type.__name__ if condition.expected_type else None))
        try:
            condition.signal("no" if answer is True else True)
        except Exception as error:
            refused.append(session.described(error)["message"])
        condition.signal(answer)
        session.wait_until("the answer's effect", lambda: not still_waits(run, condition.action_name))
    return {"answers": session.output(run), "refused": len(refused), "phases": phases}


def still_waits(run, action):
    found = flyte.remote.Condition.listall(run_name=run.name)
    return any(condition.action_name == action and condition.phase.endswith("PAUSED") for condition in found)


@env.task
async def asks_in_vain() -> dict[str, str]:
    condition = await flyte.new_condition.aio("anybody", timeout=2)
    try:
        await condition.wait.aio()
    except Exception as error:
        return {name: str(text) for name, text in session.described(error).items()}
    raise AssertionError("nobody answered")


@session.remote_case
def timeout(_scratch):
    run = session.start(asks_in_vain)
    return {**session.output(run), "phases": sorted(action.phase.value for action in session.actions(run))}


@session.remote_case
def abort_while_it_waits(_scratch):
    run = session.start(asks)
    waiting(run)
    run.abort(reason="no answer")
    found = session.failure(run)
    session.wait_until("the end of the actions", lambda: all(action.done() for action in session.actions(run)))
    return {**found, "phases": sorted(action.phase.value for action in session.actions(run))}


@env.task
async def one_question() -> bool:
    condition = await flyte.new_condition.aio("yes or no", data_type=bool)
    return await condition.wait.aio()


@session.remote_case
def watched_as_a_run(_scratch):
    """Consoles watch the details of a run, which the SDK does not: it watches its root action."""
    run = session.start(one_question)
    request = WatchRunDetailsRequest(run_id=run.action.action_id.run)
    client = RunServiceClientSync("http://" + os.environ["SPANWISE_ENDPOINT"])
    phases = []
    for answer in client.watch_run_details(request):
        details = answer.details
        assert details.run_spec.HasField("run_start_time"), details
        phase = ActionPhase.Name(details.action.status.phase)
        if phase not in phases:
            phases.append(phase)
            if phase == "ACTION_PHASE_RUNNING":
                waiting(run).signal(True)
    return {"output": session.output(run), "phases": phases}


if __name__ == "__main__":
    session.main()
