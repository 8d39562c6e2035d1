"""What a task does with the store by libraries that know nothing of Flyte. Run by the task in `storage.py`, with the variables of the task."""

import json
import os
import sys
import tempfile
from pathlib import Path

BUCKET = "spanwise"


def boto(prefix):
    import boto3

    client = boto3.client("s3")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/a \U0001f680.txt", Body=b"words")
    with tempfile.TemporaryDirectory() as scratch:
        big, back = Path(scratch) / "big", Path(scratch) / "back"
        # Enough for an upload in parts.
        big.write_bytes(os.urandom(20_000_000))
        client.upload_file(str(big), BUCKET, f"{prefix}/big")
        client.download_file(BUCKET, f"{prefix}/big", str(back))
        assert big.read_bytes() == back.read_bytes()
    listed = [found["Key"].removeprefix(prefix) for found in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    return listed


def pyarrow(prefix):
    import pyarrow
    import pyarrow.dataset
    import pyarrow.parquet

    table = pyarrow.table({"number": [1, 2, 3], "word": ["a", "b", "c"]})
    pyarrow.parquet.write_table(table, f"s3://{BUCKET}/{prefix}/table.parquet")
    pyarrow.dataset.write_dataset(table, f"s3://{BUCKET}/{prefix}/parts", format="parquet", partitioning=["number"])
    assert pyarrow.parquet.read_table(f"s3://{BUCKET}/{prefix}/table.parquet").equals(table)
    return pyarrow.dataset.dataset(f"s3://{BUCKET}/{prefix}/parts", partitioning=["number"]).to_table().num_rows


def deltalake(prefix):
    import deltalake
    import pyarrow

    uri = f"s3://{BUCKET}/{prefix}/delta"
    deltalake.write_deltalake(uri, pyarrow.table({"number": [1, 2]}))
    deltalake.write_deltalake(uri, pyarrow.table({"number": [3]}), mode="append")
    return deltalake.DeltaTable(uri).to_pyarrow_table().num_rows


def pyiceberg(prefix):
    import pyarrow
    from pyiceberg.catalog.sql import SqlCatalog

    with tempfile.TemporaryDirectory() as scratch:
        # It asks no variable of AWS where S3 is.
        place = {"s3.endpoint": os.environ["AWS_ENDPOINT_URL"], "s3.region": os.environ["AWS_REGION"]}
        catalog = SqlCatalog("c", uri=f"sqlite:///{scratch}/c.db", warehouse=f"s3://{BUCKET}/{prefix}/iceberg", **place)
        catalog.create_namespace("n")
        rows = pyarrow.table({"number": [1, 2]})
        table = catalog.create_table("n.t", schema=rows.schema)
        table.append(rows)
        table.append(rows)
        return catalog.load_table("n.t").scan().to_arrow().num_rows


if __name__ == "__main__":
    print(json.dumps({client.__name__: client(f"{sys.argv[1]}/{client.__name__}") for client in (boto, pyarrow, deltalake, pyiceberg)}))
