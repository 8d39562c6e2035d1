"""What obstore can do with an S3 store, with signed requests if there are keys and else without."""

import os
from concurrent.futures import ThreadPoolExecutor

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError, NotFoundError
from obstore.store import S3Store

config = {"endpoint": os.environ["FLYTE_AWS_ENDPOINT"]}
if "FLYTE_AWS_ACCESS_KEY_ID" in os.environ:
    config["access_key_id"] = os.environ["FLYTE_AWS_ACCESS_KEY_ID"]
    config["secret_access_key"] = os.environ["FLYTE_AWS_SECRET_ACCESS_KEY"]
else:
    config["skip_signature"] = True
options = {"client_options": {"allow_http": True, "timeout": "60s"}, "retry_config": {"max_retries": 0}}
store = S3Store("spanwise", config=config, **options)


def raises(kind, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except kind as error:
        return str(error)
    raise AssertionError(f"{call} raised no {kind}")


def read(key):
    return bytes(obstore.get(store, key).bytes())


def keys(prefix, **options):
    return [entry["path"] for batch in obstore.list(store, prefix, **options) for entry in batch]


# One object.
put = obstore.put(store, "one/a.txt", b"0123456789")
assert read("one/a.txt") == b"0123456789"
head = obstore.head(store, "one/a.txt")
assert head["size"] == 10 and head["e_tag"] == put["e_tag"], (head, put)
assert head["last_modified"].year >= 2024
assert obstore.get(store, "one/a.txt", options={"if_match": head["e_tag"]}).meta["size"] == 10
raises(Exception, obstore.get, store, "one/a.txt", options={"if_none_match": head["e_tag"]})
assert bytes(obstore.get_range(store, "one/a.txt", start=2, end=5)) == b"234"
assert [bytes(part) for part in obstore.get_ranges(store, "one/a.txt", starts=[0, 8], ends=[1, 10])] == [b"0", b"89"]
assert bytes(obstore.get(store, "one/a.txt", options={"range": {"suffix": 3}}).bytes()) == b"789"
assert bytes(obstore.get(store, "one/a.txt", options={"range": {"offset": 7}}).bytes()) == b"789"
raises(GenericError, obstore.get, store, "one/a.txt", options={"range": (20, 30)})
obstore.put(store, "one/empty", b"")
assert read("one/empty") == b""

# What is not there.
for call in (obstore.get, obstore.head):
    raises(FileNotFoundError, call, store, "one/none")
obstore.delete(store, "one/none")
other = S3Store("other", config=config, **options)
assert "NoSuchBucket" in raises((NotFoundError, FileNotFoundError, GenericError), obstore.put, other, "a", b"")

# Create, copy, rename, delete.
raises(AlreadyExistsError, obstore.put, store, "one/a.txt", b"x", mode="create", use_multipart=False)
obstore.put(store, "one/new", b"x", mode="create", use_multipart=False)
obstore.copy(store, "one/a.txt", "two/ü b%20#1.txt")
assert read("two/ü b%20#1.txt") == b"0123456789"
obstore.rename(store, "two/ü b%20#1.txt", "two/c")
assert keys("two") == ["two/c"]
raises(FileNotFoundError, obstore.copy, store, "one/none", "two/d")
obstore.delete(store, ["two/c", "one/new", "one/empty"])
assert keys("two") == [] and keys("one") == ["one/a.txt"]

# Names.
names = ["a b", "p%20q", "ü你😀", "x#1", "q?x=1&y+z=", "dot.", "(1)'!", "plus+", "equal=sign", "at@,;:$&"]
for name in names:
    obstore.put(store, f"names/{name}", name.encode())
for name in names:
    assert read(f"names/{name}") == name.encode(), name
assert sorted(keys("names")) == sorted(f"names/{name}" for name in names)
assert "KeyConflict" in raises(AlreadyExistsError, obstore.put, store, "names/a b/below", b"", use_multipart=False)

# Multipart.
content = os.urandom(20 * 2**20 + 12345)
parts = {"use_multipart": True, "chunk_size": 5 * 2**20, "max_concurrency": 4}
obstore.put(store, "big/object", content, **parts)
assert read("big/object") == content
assert bytes(obstore.get_range(store, "big/object", start=5 * 2**20 - 3, end=5 * 2**20 + 3)) == content[5 * 2**20 - 3 : 5 * 2**20 + 3]
with obstore.open_writer(store, "big/written", buffer_size=5 * 2**20) as writer:
    for start in range(0, len(content), 1_000_000):
        writer.write(content[start : start + 1_000_000])
assert read("big/written") == content
assert "KeyConflict" in raises(AlreadyExistsError, obstore.put, store, "big/object/below", content, **parts)

# Pages, and a delimiter.
with ThreadPoolExecutor(16) as pool:
    expected = [f"many/{number // 500}/{number:05}" for number in range(2500)]
    list(pool.map(lambda key: obstore.put(store, key, b"."), expected))
assert keys("many") == expected
assert keys("many", offset="many/3/01999") == expected[2000:]
folded = obstore.list_with_delimiter(store, "many")
assert folded["common_prefixes"] == [f"many/{number}" for number in range(5)] and not folded["objects"], folded
assert len(obstore.list_with_delimiter(store, "many/4")["objects"]) == 500
obstore.delete(store, expected)
assert keys("many") == []
