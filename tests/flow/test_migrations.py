"""Runs of older versions are read, and gone on with, as if this one had made them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import killable
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_run import make_run, manifest_of
from test_resume import assert_same_run, attacked

from brittle.errors import BrittleError
from brittle.measure import summaries
from brittle.records import (
    CERTIFIED,
    CRAFTED,
    FITTED,
    RECORD,
    SCHEMA_VERSION,
    TRAINED,
    TRANSFERRED,
    migrations,
    read_manifest,
    read_records,
    read_shard,
)
from brittle.records.migrations import Step
from brittle.records.seals import sealed, unsealed

FORMS = {4: "e6095976"}
"""The beginning of the digest of all schemas, by version."""


def aged(directory: Path, version: int, manifest: Any = None, table: Any = None) -> None:
    """Makes an older run of one: functions of its manifest and of its shards undo what has come since."""
    path = directory / "manifest.json"
    content = json.loads(path.read_text()) | {"schema_version": version}
    path.write_text(json.dumps(manifest(content) if manifest else content))
    for shard in (directory / "records").rglob("*.parquet"):
        made = pq.read_table(shard)
        seal = json.loads(made.schema.metadata[b"brittle_seal"])
        older = unsealed(made) if table is None else table(unsealed(made))
        again = sealed(older, seal["span"], seal["given"], seal["files"])
        said = {**again.schema.metadata, b"brittle_schema": str(version)}
        pq.write_table(again.replace_schema_metadata(said), shard)


def renamed(before: str, after: str) -> Any:
    return lambda table: table.rename_columns([after if name == before else name for name in table.column_names])


def test_a_training_of_version_3_has_the_columns_that_have_come_since(tmp_path: Path) -> None:
    facts = {field.name: pa.nulls(2, field.type) if field.nullable else ["3", "4"] for field in TRAINED}
    now = pa.table({field.name: pa.array(facts[field.name]).cast(field.type) for field in TRAINED}, schema=TRAINED)
    path = tmp_path / "records" / "net.parquet"
    path.parent.mkdir()
    pq.write_table(sealed(now, (0, 1), "given", {}), path)
    (tmp_path / "manifest.json").write_text(manifest_of(study="train", examples=1).model_dump_json())
    aged(tmp_path, 3, table=lambda table: table.drop_columns(["robust", "stopped"]))
    assert "robust" not in pq.read_schema(path).names
    assert read_manifest(tmp_path).schema_version == SCHEMA_VERSION
    assert unsealed(read_shard(path, TRAINED)).equals(now)


def test_a_run_of_version_3_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, older = tmp_path / "whole", tmp_path / "older"
    killable.small_run(whole)
    killable.stopped_after(older, 4)
    aged(older, 3)
    seen = attacked(monkeypatch)
    killable.small_run(older)
    assert len(seen) == 9 - 4  # what an older version has finished is not done again
    assert_same_run(older, whole)
    assert json.loads((older / "manifest.json").read_text())["schema_version"] == SCHEMA_VERSION


def test_steps_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two planted versions: what is called ``count`` and ``size`` in the first has another name in each."""
    made = make_run(tmp_path, n=40)
    (expected,) = summaries(made, read_records(tmp_path))

    def called(before: str, after: str) -> Any:
        return lambda content: {after if key == before else key: value for key, value in content.items()}

    planted = {
        1: Step(called("count", "images_in_all"), renamed("size", "length")),
        2: Step(called("images_in_all", "examples"), renamed("length", "l2")),
    }
    known = migrations.STEPS
    monkeypatch.setattr(migrations, "STEPS", {**planted, **known})
    aged(tmp_path, 1, called("examples", "count"), renamed("l2", "size"))
    (found,) = summaries(read_manifest(tmp_path), read_records(tmp_path))
    assert found == expected
    monkeypatch.setattr(migrations, "STEPS", {2: planted[2], **known})
    with pytest.raises(BrittleError, match="has schema version 1; this brittle reads versions 2 to 4; make it anew"):
        read_manifest(tmp_path)


def test_a_newer_shard_is_refused(tmp_path: Path) -> None:
    manifest = make_run(tmp_path, n=4)
    aged(tmp_path, 99)
    with pytest.raises(BrittleError, match=r"00000.parquet has schema version 99; .* a newer one made it: pip install"):
        read_records(tmp_path, manifest)


def test_there_is_a_step_from_every_version_and_a_version_for_every_form() -> None:
    """A schema that changes without a new number cannot be read again: here is where that shows."""
    assert sorted(migrations.STEPS) == list(range(3, SCHEMA_VERSION))
    schemas = (RECORD, CRAFTED, FITTED, TRAINED, TRANSFERRED, CERTIFIED)
    fields = [(one.name, str(one.type), one.nullable) for schema in schemas for one in schema]
    form = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:8]
    assert FORMS.get(SCHEMA_VERSION) == form, "raise SCHEMA_VERSION, add a step to migrations.py, and the new form here"
