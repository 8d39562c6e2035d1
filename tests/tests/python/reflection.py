"""Each field by which something is asked for, one at a time: what the stock messages have, against what the documentation says becomes of it.

The fields are those of the installed wheel, not those that the server knows: one that is new to it has to be told too.
"""

import html
import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import unquote

import httpx
import session
from flyteidl2.app import app_definition_pb2, app_payload_pb2
from flyteidl2.common import phase_pb2
from flyteidl2.core import types_pb2
from flyteidl2.settings import settings_definition_pb2, settings_service_pb2
from flyteidl2.task import run_pb2, task_definition_pb2, task_service_pb2
from flyteidl2.trigger import trigger_definition_pb2, trigger_service_pb2
from flyteidl2.workflow import run_service_pb2
from google.protobuf.descriptor import FieldDescriptor

# Values, which have rules of their own, and who somebody is, which the server says itself.
WHOLE = {"flyteidl2.common.EnrichedIdentity", "flyteidl2.core.Literal", "flyteidl2.core.LiteralType"}

SCOPE = {"org": "local", "project": "reflection", "domain": "development"}

TEXT = "x1"


def table(name):
    """The rows of a table of the documentation: path to (state, what it is told as)."""
    text = Path(os.environ["SPANWISE_TEST_TABLES"]).read_text()
    section = text.split(f"<!-- table: {name} -->")[1].split("<!-- end of table")[0]
    rows = re.findall(r"^\| `([\w.]+)`(?: \(told as `([^`]+)`\))? \| (\w+)", section, re.M)
    return {path: (state, told or path) for path, told, state in rows}


def row_of(rows, path):
    """The row that speaks for a field: its own, or the nearest one of what it is in."""
    covering = [row for row in rows if path == row or path.startswith(f"{row}.")]
    return max(covering, key=len) if covering else None


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_whole(field):
    kind = field.message_type
    return kind is None or is_map(field) or kind.full_name in WHOLE or kind.full_name.startswith("google.")


def paths(descriptor, path=(), above=()):
    """Each field that is looked at as a whole, with the fields that lead to it."""
    for field in descriptor.fields:
        if field.enum_type is not None and all(value.number == 0 for value in field.enum_type.values):
            # There is nothing to be said by it.
            continue
        if is_whole(field):
            yield (*path, field)
        elif field.message_type.full_name in above:
            # What holds itself is looked at once.
            continue
        else:
            yield from paths(field.message_type, (*path, field), (*above, descriptor.full_name))


def scalar(field):
    if field.type == FieldDescriptor.TYPE_ENUM:
        return next(value.number for value in field.enum_type.values if value.number)
    if field.type == FieldDescriptor.TYPE_STRING:
        return TEXT
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"x1"
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    return 2


def fill(message, field):
    """Sets a field of a message to something that is not its default."""
    if is_map(field):
        value = field.message_type.fields_by_name["value"]
        if value.message_type is None:
            getattr(message, field.name)[TEXT] = scalar(value)
        else:
            getattr(message, field.name)[TEXT].SetInParent()
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner = inner.add() if field.is_repeated else inner
        inner.SetInParent()
        name = field.message_type.full_name
        if name in ("google.protobuf.Duration", "google.protobuf.Timestamp"):
            inner.seconds = 2
        elif name.endswith("Value") and name.startswith("google.protobuf.") and "value" in field.message_type.fields_by_name:
            inner.value = scalar(field.message_type.fields_by_name["value"])
        elif name == "google.protobuf.Struct":
            inner.update({TEXT: 2})
        elif name == "flyteidl2.core.LiteralType":
            inner.simple = types_pb2.INTEGER
        elif name == "flyteidl2.core.Literal":
            inner.scalar.primitive.integer = 2
    elif field.is_repeated:
        getattr(message, field.name).append(scalar(field))
    else:
        setattr(message, field.name, scalar(field))


def set_path(message, path):
    """Sets one field, and what leads to it."""
    names = [field.name for field in path]
    for field in path[:-1]:
        inner = getattr(message, field.name)
        message = inner.add() if field.is_repeated else inner
        message.SetInParent()
        if field.message_type.full_name == "flyteidl2.task.InlineRule" and path[-1].name != "on_phases":
            # A rule that is for no phase is refused before what it delivers is looked at.
            message.on_phases.append(phase_pb2.ACTION_PHASE_SUCCEEDED)
        if field.message_type.full_name == "flyteidl2.notification.EmailDeliveryTemplate" and "to" not in names:
            # Nor is a letter to nobody.
            message.to.add(address="a@example.org")
    fill(message, path[-1])


CLIENT = httpx.Client(base_url=f"http://{os.environ.get('SPANWISE_ENDPOINT', '')}", timeout=60)


def call(method, request):
    """The status of a call, what it says of errors, and its warnings."""
    answer = CLIENT.post(f"/{method}", content=request.SerializeToString(), headers={"content-type": "application/proto", "connect-protocol-version": "1"})
    said = "" if answer.status_code == 200 else json.loads(answer.content).get("message", "")
    warnings = [unquote(value) for name, value in answer.headers.multi_items() if name == "spanwise-warning"]
    return answer, said, warnings


def page(path):
    return html.unescape(CLIENT.get(path).text)


def task_spec():
    """A task that only waits: a run of it needs no process."""
    spec = task_definition_pb2.TaskSpec()
    template = spec.task_template
    template.id.name = "reflection.waits"
    template.type = "core-sleep"
    variable = template.interface.inputs.variables.add(key="length")
    variable.value.type.simple = types_pb2.DURATION
    template.container.image = "x"
    template.container.args.append("a0")
    return spec


def check(found, kind, path, rows, answer, said, warnings):
    """Compares an answer with what the documentation says of a field."""
    name = ".".join(field.name for field in path)
    row = row_of(rows, name)
    problem = None
    if answer.status_code >= 500 and "unimplemented" not in answer.text:
        problem = f"{answer.status_code}: {said}"
    elif row is None:
        problem = "has no row"
    else:
        state, told = rows[row]
        is_told = any(warning.split("settings: ")[-1].startswith(f"{told} is not honoured") for warning in warnings)
        if state == "warned":
            if answer.status_code == 200 and not is_told:
                problem = f"is not told as {told}: {warnings}"
            elif answer.status_code != 200 and path[-1].name not in said:
                problem = f"is refused without its name: {said}"
        elif is_told:
            problem = f"is {state}, and told: {warnings}"
        elif answer.status_code != 200 and not said:
            problem = f"is refused without a word: {answer.status_code}"
    count = found.setdefault(kind, {"fields": 0, "refused": 0, "warned": 0})
    count["fields"] += 1
    count["refused"] += answer.status_code != 200
    count["warned"] += bool(warnings)
    if problem:
        found.setdefault("problems", []).append(f"{kind}: `{name}` {problem}")


def runs(found):
    rows = table("run")
    for number, path in enumerate(paths(run_pb2.RunSpec.DESCRIPTOR)):
        request = run_service_pb2.CreateRunRequest(task_spec=task_spec())
        name = f"reflection-{number}"
        request.run_id.CopyFrom(type(request.run_id)(**SCOPE, name=name))
        literal = request.inputs.literals.add(name="length")
        literal.value.scalar.primitive.duration.seconds = 0
        set_path(request.run_spec, path)
        answer, said, _ = call("flyteidl2.workflow.RunService/CreateRun", request)
        warnings = []
        if answer.status_code == 200:
            text = page(f"/v2/domain/development/project/reflection/runs/{name}")
            warnings = re.findall(r'class="warning"[^>]*>([^<]+)<', text)
        check(found, "RunSpec", path, rows, answer, said, warnings)


def tasks(found):
    rows = table("task")
    for number, path in enumerate(paths(task_definition_pb2.TaskSpec.DESCRIPTOR)):
        request = task_service_pb2.DeployTaskRequest(spec=task_spec())
        request.spec.task_template.type = "python"
        request.task_id.CopyFrom(type(request.task_id)(**SCOPE, name="reflection.task", version=f"v{number}"))
        set_path(request.spec, path)
        answer, said, warnings = call("flyteidl2.task.TaskService/DeployTask", request)
        check(found, "TaskSpec", path, rows, answer, said, warnings)


def triggers(found):
    rows = {f"run_spec.{path}": row for path, row in table("run").items()}
    # A trigger's own fields: all of them are honoured.
    own = {name: ("honoured", name) for name in trigger_definition_pb2.TriggerSpec.DESCRIPTOR.fields_by_name if name != "run_spec"}
    deployed = task_service_pb2.DeployTaskRequest(spec=task_spec())
    deployed.task_id.CopyFrom(type(deployed.task_id)(**SCOPE, name="reflection.waits", version="v1"))
    assert call("flyteidl2.task.TaskService/DeployTask", deployed)[0].status_code == 200
    for number, path in enumerate(paths(trigger_definition_pb2.TriggerSpec.DESCRIPTOR)):
        request = trigger_service_pb2.DeployTriggerRequest()
        request.name.CopyFrom(type(request.name)(**SCOPE, task_name="reflection.waits", name=f"t{number}"))
        literal = request.spec.inputs.literals.add(name="length")
        literal.value.scalar.primitive.duration.seconds = 0
        request.spec.task_version = "v1"
        request.automation_spec.type = 1
        set_path(request.spec, path)
        answer, said, warnings = call("flyteidl2.trigger.TriggerService/DeployTrigger", request)
        check(found, "TriggerSpec", path, rows | own, answer, said, warnings)


def apps(found):
    rows = table("app")
    for number, path in enumerate(paths(app_definition_pb2.Spec.DESCRIPTOR)):
        request = app_payload_pb2.CreateRequest()
        name = f"app-{number}"
        request.app.metadata.id.CopyFrom(type(request.app.metadata.id)(**SCOPE, name=name))
        spec = request.app.spec
        spec.desired_state = app_definition_pb2.Spec.DESIRED_STATE_STOPPED
        spec.container.image = "x"
        spec.container.args.extend(["fserve", "8080"])
        spec.container.ports.add(container_port=8080)
        set_path(spec, path)
        if path[-1].name == "desired_state":
            spec.desired_state = app_definition_pb2.Spec.DESIRED_STATE_STOPPED
        answer, said, _ = call("flyteidl2.app.AppService/Create", request)
        warnings = []
        if answer.status_code == 200:
            text = page(f"/v2/domain/development/project/reflection/apps/{name}")
            warnings = re.findall(r'class="warning"[^>]*>([^<]+)<', text)
        check(found, "app Spec", path, rows, answer, said, warnings)


def settings(found):
    rows = table("settings")
    version = 0
    for path in settings_paths(settings_definition_pb2.Settings.DESCRIPTOR):
        key = {"org": "reflection", "domain": "development"}
        create = settings_service_pb2.CreateSettingsRequest(key=key)
        update = settings_service_pb2.UpdateSettingsRequest(key=key, version=version)
        request = update if version else create
        message = request.settings
        for field in path:
            message = getattr(message, field.name)
        message.state = settings_definition_pb2.SETTING_STATE_VALUE
        value = next(field for field in message.DESCRIPTOR.fields if field.name not in ("state", "scope_level"))
        if value.name == "map_value":
            message.map_value.entries[TEXT] = TEXT
        elif value.name == "quantity_value":
            message.quantity_value = "2"
        else:
            fill(message, value) if value.message_type is None else message.accelerator_value.SetInParent()
        method = "UpdateSettings" if version else "CreateSettings"
        answer, said, warnings = call(f"flyteidl2.settings.SettingsService/{method}", request)
        version += answer.status_code == 200
        check(found, "Settings", path, rows, answer, said, warnings)


def settings_paths(descriptor, path=()):
    for field in descriptor.fields:
        if field.message_type.name.endswith("Setting"):
            yield (*path, field)
        else:
            yield from settings_paths(field.message_type, (*path, field))


@session.remote_case
def each_field(_scratch):
    found = {}
    for part in (runs, tasks, triggers, apps, settings):
        part(found)
    return found


if __name__ == "__main__":
    session.report(session.CASES[sys.argv[1]](session.scratch()))
