"""Tasks that say what they have been given, and one that reports."""

import os

import flyte
import flyte.report
import session

env = flyte.TaskEnvironment(name="doors")

REPORT = """
<h1>The report</h1><p id="drawn">not drawn</p>
<style>h1 { color: rgb(1, 2, 3) }</style>
<script>
  document.getElementById("drawn").textContent = "drawn in " + self.origin;
  for (const ask of [
    () => fetch("SERVER/", { mode: "no-cors" }),
    () => fetch("SERVER/s3/spanwise/victim", { method: "DELETE" }),
    () => fetch("SERVER/s3/spanwise?delete", { method: "POST", mode: "no-cors", body: "<Delete><Object><Key>victim</Key></Object></Delete>" }),
  ]) ask().catch(() => {});
</script>
"""


@env.task
async def environment() -> dict[str, str]:
    return dict(os.environ)


@env.task(report=True)
async def write(path: str) -> bool:
    with open(path, "w"):
        pass
    await flyte.report.replace.aio("written", do_flush=True)
    return True


@env.task(report=True)
async def report(server: str) -> bool:
    await flyte.report.replace.aio(REPORT.replace("SERVER", server), do_flush=True)
    return True


@session.case
def its_environment(_scratch):
    return {"environment": session.call(environment)}


@session.case
def a_file(_scratch):
    return {"written": session.call(write, os.environ["SPANWISE_TEST_FILE"])}


@session.case
def a_report(_scratch):
    run = session.start(report, "http://" + os.environ["SPANWISE_ENDPOINT"])
    session.output(run)
    return {"run": run.name}


if __name__ == "__main__":
    session.main()
