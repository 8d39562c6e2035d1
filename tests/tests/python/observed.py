"""A program that makes spans of its tasks and steps itself, by Flyte's OpenTelemetry plugin."""

import os

import flyte
import session
from flyteplugins import otel

otel.init(service_name="observed")

# The variable takes the exporter's address into the processes of the tasks.
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]}
env = flyte.TaskEnvironment(name="observed", env_vars=ENDPOINT)


@flyte.trace
async def step(number: int) -> int:
    return number + 1


@env.task
async def steps() -> int:
    return await step(1)


def traced(**labels):
    run = session.start(steps, options={"labels": {"spanwise.trace": "lifecycle", **labels}})
    assert session.output(run) == 2
    return run.name


@session.remote_case
def steps_of(_scratch):
    off, on = traced(**{"spanwise.steps": "off"}), traced()
    try:
        traced(**{"spanwise.steps": "perhaps"})
    except Exception as error:
        return {"off": off, "on": on, "refused": session.described(error)["message"]}
    raise AssertionError("it was to be refused")


if __name__ == "__main__":
    session.main()
