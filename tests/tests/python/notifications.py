"""Runs that notify of their ends, as stock programs ask for it. The receivers are those of the test."""

import os

import flyte
import session
from flyte import notify
from flyte.models import ActionPhase

RECEIVER = os.environ.get("RECEIVER", "http://127.0.0.1:9")
OTHER = os.environ.get("OTHER_RECEIVER", RECEIVER)

ENDS = (ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.ABORTED, ActionPhase.TIMED_OUT)

hook = flyte.Trigger(
    name="hook",
    notifications=notify.Webhook(on_phase=ActionPhase.SUCCEEDED, url=f"{RECEIVER}/trigger/s3cret"),
)

env = flyte.TaskEnvironment(name="notifications")


@env.task(triggers=(hook,))
async def work(fails: bool = False) -> str:
    if fails:
        raise ValueError('no such "größe" <!channel>\nsecond line')
    return "done"


def all_kinds(on_phase):
    return (
        notify.Webhook(
            on_phase=on_phase,
            url=f"{RECEIVER}/hook/s3cret?run={{{{.Run.Name}}}}",
            method="PUT",
            headers={"X-Api-Key": "k3y", "X-Phase": "{{.Phase}}"},
            body={"run": "{{.Run.Name}}", "where": "{{.Run.Project}}/{{.Run.Domain}}", "error": "{{.Error}}", "n": [1, "{task.name}"]},
        ),
        notify.Slack(on_phase=on_phase, webhook_url=f"{RECEIVER}/slack/s3cret", message="{{.Run.Name}}: {{.Error}}"),
        notify.Teams(on_phase=on_phase, webhook_url=f"{RECEIVER}/teams/s3cret"),
        notify.Email(
            on_phase=on_phase,
            recipients=("oncall@example.com", "b@example.com"),
            cc=("c@example.com",),
            bcc=("d@example.com",),
            subject="Task {task.name}: {{.Phase}}",
            html_body="<p>{{.Error}}</p>",
        ),
        notify.Webhook(on_phase=ActionPhase.ABORTED, url=f"{RECEIVER}/never"),
    )


@session.remote_case
def kinds(scratch):
    """Every kind, for a run that fails; one that succeeds tells nobody; a trigger has its own."""
    failed = session.start(work, True, options={"notifications": all_kinds(ActionPhase.FAILED)})
    failed.wait(quiet=True)
    succeeded = session.start(work, options={"notifications": all_kinds(ActionPhase.FAILED)})
    succeeded.wait(quiet=True)
    flyte.deploy(env)
    fired = flyte.run(flyte.remote.Trigger.get(name="hook", task_name="notifications.work"))
    fired.wait(quiet=True)
    return {"failed": failed.name, "succeeded": succeeded.name, "fired": fired.name}


@session.remote_case
def two_receivers(scratch):
    """Starts runs that tell two receivers of their ends, waits for these, and says their names."""
    rules = tuple(notify.Webhook(on_phase=ENDS, url=f"{url}/end/s3cret") for url in (RECEIVER, OTHER))
    runs = [session.start(work, number == 1, options={"notifications": rules}) for number in range(3)]
    for run in runs:
        run.wait(quiet=True)
    return {"runs": [run.name for run in runs]}


@session.remote_case
def what_nobody_can_follow(scratch):
    """Names that an administrator would have set up, mail of a server that sends none, and what is refused."""
    phase = ActionPhase.FAILED
    named = session.start(work, options={"notifications": notify.NamedRule("oncall")})
    delivery = session.start(work, options={"notifications": notify.NamedDelivery(on_phase=phase, name="slack-oncall")})
    mail = session.start(work, options={"notifications": notify.Email(on_phase=phase, recipients=("a@example.com",))})
    refused = {}
    for name, rule in {
        "template": notify.Slack(on_phase=phase, webhook_url="https://x/y", message="{{.Nobody}}"),
        "scheme": notify.Webhook(on_phase=phase, url="ftp://x/y"),
        "method": notify.Webhook(on_phase=phase, url="https://x/y", method="CONNECT"),
        "address": notify.Email(on_phase=phase, recipients=("nobody",)),
    }.items():
        try:
            session.start(work, options={"notifications": rule})
            refused[name] = None
        except Exception as error:
            refused[name] = str(error)
    return {"named": named.name, "delivery": delivery.name, "mail": mail.name, "refused": refused}


if __name__ == "__main__":
    session.main()
