"""Nothing is allowed to who has not the pair of the server."""

import os

import obstore
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import S3Store

config = {"endpoint": os.environ["FLYTE_AWS_ENDPOINT"], "skip_signature": "FLYTE_AWS_ACCESS_KEY_ID" not in os.environ}
if not config["skip_signature"]:
    config["access_key_id"] = os.environ["FLYTE_AWS_ACCESS_KEY_ID"]
    config["secret_access_key"] = os.environ["FLYTE_AWS_SECRET_ACCESS_KEY"]
store = S3Store("spanwise", config=config, client_options={"allow_http": True}, retry_config={"max_retries": 0})

calls = [
    lambda: obstore.put(store, "denied", b"", use_multipart=False),
    lambda: obstore.get(store, "denied"),
    lambda: obstore.delete(store, "denied"),
    lambda: list(obstore.list(store)),
]
for number, call in enumerate(calls):
    try:
        call()
    except PermissionDeniedError:
        continue
    except GenericError as error:
        # What obstore makes of it when it lists.
        assert "403 Forbidden" in str(error), error
        continue
    raise AssertionError(f"call {number} was allowed")
