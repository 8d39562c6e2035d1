"""Projects, as the stock command line and stock programs register, change and list them."""

import cli
import flyte
import flyte.remote
import session
from flyte.remote import Project

env = flyte.TaskEnvironment(name="projects")


@env.task
async def double(x: int) -> int:
    return 2 * x


def ids(**options):
    return [project.pb2.id for project in Project.listall(**options)]


def described(project):
    pb2 = project.pb2
    return {"name": pb2.name, "description": pb2.description, "labels": dict(pb2.labels.values), "state": pb2.state, "domains": len(pb2.domains)}


def refused(call):
    try:
        call()
    except Exception as error:
        return str(error)
    raise AssertionError("it was accepted")


@session.remote_case
def registered(_scratch):
    """Created, changed piece by piece, archived; one in which something runs is there without."""
    cli.flyte("create", "project", "--id", "ml", "--name", "Models \N{ROCKET}", "--description", "of ours", "-l", "team=ml")
    created = described(Project.get("ml"))
    again = cli.flyte("create", "project", "--id", "ml", "--name", "Other", fails=True)
    cli.flyte("update", "project", "ml", "--description", "größer", "--label", "team=ai", "--label", "stage=dev")
    changed = described(Project.get("ml"))
    listed = [project["id"] for project in cli.listed("get", "project")]
    cli.flyte("update", "project", "ml", "--archive")
    archived = [project["id"] for project in cli.listed("get", "project", "--archived")]
    # A project of another name is there because something runs in it, and can be given one.
    run = flyte.with_runcontext(project="other", domain="development").run(double, x=2)
    assert session.output(run) == 4
    before = described(Project.get("other"))
    Project.update("other", name="The other")
    after = described(Project.get("other"))
    # Its runs go on.
    in_archived = session.output(flyte.with_runcontext(project="ml", domain="development").run(double, x=3))
    return {
        "created": created,
        "again": again,
        "changed": changed,
        "listed": listed,
        "archived": archived,
        "active": ids(),
        "before": before,
        "after": after,
        "in_archived": in_archived,
        "bad": refused(lambda: Project.create("a b", "x")),
        "long": refused(lambda: Project.create("long", "x" * 65)),
        "unknown": refused(lambda: Project.get("nobody")),
    }


@session.remote_case
def after_a_restart(_scratch):
    found = {"project": described(Project.get("ml")), "archived": ids(archived=True)}
    cli.flyte("update", "project", "ml", "--unarchive")
    return found | {"active": ids(), "shown": cli.flyte("get", "project", "ml")}


if __name__ == "__main__":
    session.main()
