"""Data by name: digits, Parquet, folders, the hub; limits, ids, fingerprints, and every way to get it wrong."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

from brittle.data import DATA_SOURCES, Fit, digits_split, encoded, hub, load_data
from brittle.data.decode import decoded
from brittle.data.folder import load_folder
from brittle.data.limit import ALL
from brittle.errors import BrittleError

SHARED = Path(os.environ.get("BRITTLE_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
CIFAR = SHARED / "cifar10-jpeg" / "test.parquet"
MNIST = SHARED / "mnist" / "test.parquet"
PHOTOS = SHARED / "imagenet-photos"
CIFAR_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
needs_data = pytest.mark.skipif(not CIFAR.exists(), reason=f"no real data in {SHARED}; set BRITTLE_DATA")


def picture(seed: int, *, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> Image.Image:
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode)


def png(seed: int, **kwargs: object) -> bytes:
    buffer = io.BytesIO()
    picture(seed, **kwargs).save(buffer, "PNG")  # type: ignore[arg-type]
    return buffer.getvalue()


def pixels(data: bytes) -> torch.Tensor:
    array = np.asarray(Image.open(io.BytesIO(data)))
    return torch.from_numpy(array.reshape(*array.shape[:2], -1).copy()).permute(2, 0, 1).float() / 255


def write_parquet(
    path: Path,
    images: Sequence[bytes],
    labels: object,
    *,
    names: tuple[str, str] = ("image", "label"),
    features: dict[str, object] | None = None,
    rows_per_group: int | None = None,
) -> str:
    stored = pa.array(
        [{"bytes": data, "path": None} for data in images],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    table = pa.table(dict(zip(names, (stored, labels), strict=True)))
    if features:
        info = {"info": {"features": features}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, path, row_group_size=rows_per_group)
    return str(path)


@pytest.fixture
def ten(tmp_path: Path) -> str:
    """Ten rows in row groups of three, labels 0 to 9."""
    return write_parquet(tmp_path / "ten.parquet", [png(i) for i in range(10)], list(range(10)), rows_per_group=3)


def class_folder(root: Path, classes: dict[str, int]) -> str:
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i}.png").write_bytes(png(i + 100 * len(name)))
    return str(root)


class TestRealData:
    @needs_data
    def test_cifar(self) -> None:
        found = load_data(str(CIFAR))
        assert len(found) == 10_000
        assert found.labels is not None and found.labels.dtype == torch.int64
        assert found.labels[:3].tolist() == [9, 3, 7] and found.labels.bincount().tolist() == [1000] * 10
        assert found.class_names == CIFAR_NAMES
        assert found.ids[0] == "0000" and found.ids[-1] == "9999" and len(set(found.ids)) == 10_000
        stored = pq.read_table(CIFAR).column("img").to_pylist()
        assert [row["path"].split("/")[0] for row in stored] == [CIFAR_NAMES[label] for label in found.labels]
        rows = stored[7000:7003]
        images = found.images(7000, 7003)
        assert images.shape == (3, 3, 32, 32) and images.dtype == torch.float32 and images.is_contiguous()
        assert torch.equal(images, torch.stack([pixels(row["bytes"]) for row in rows]))
        assert images.min() >= 0 and images.max() <= 1

    @needs_data
    def test_mnist_is_grey_and_refused_by_a_colour_network(self) -> None:
        found = load_data(str(MNIST), limit=100)
        assert found.images(0, 2).shape == (2, 1, 28, 28)
        assert found.class_names == tuple("0123456789")
        assert found.labels is not None and found.labels[0] == 7
        with pytest.raises(
            BrittleError, match=r"expected colour images for a network of 3 channels, got grey ones only"
        ):
            load_data(str(MNIST), limit=10, fit=Fit(channels=3, height=28, width=28))

    @needs_data
    def test_photos_fit_a_network(self) -> None:
        found = load_data(str(PHOTOS), fit=Fit(channels=3, height=224, width=224, resize=256))
        assert len(found) == 12 and found.labels is None and found.class_names is None
        assert found.ids[0] == "imagenet_00_243.jpg"
        assert found.read([11, 0]).shape == (2, 3, 224, 224)
        with pytest.raises(BrittleError, match=r"images of one size, got .*00_243.* of 512 x 512 .* of 1024 x 683"):
            load_data(str(PHOTOS))


class TestDigits:
    def test_split_is_fixed_stratified_and_without_overlap(self) -> None:
        train, test = digits_split()
        assert (len(train), len(test)) == (1297, 500)
        assert set(train.ids).isdisjoint(test.ids)
        assert test.labels is not None
        assert test.labels.bincount().tolist() == [50, 51, 49, 51, 50, 51, 50, 50, 48, 50]
        assert test.images(0, 500).shape == (500, 1, 8, 8) and test.class_names == tuple("0123456789")
        assert sorted(set(test.images(0, 500).flatten().tolist())) == [i / 16 for i in range(17)]
        assert digits_split()[1].fingerprint == test.fingerprint

    def test_the_spec_is_the_test_part(self) -> None:
        test = digits_split()[1]
        found = load_data("digits")
        assert found.ids == test.ids and found.fingerprint == test.fingerprint and "test part" in found.source
        few = load_data("digits", limit=4, fit=Fit(channels=1, height=8, width=8))
        assert few.ids == tuple(test.ids[i] for i in (0, 256, 128, 384))
        assert torch.equal(few.images(0, 4), test.read([0, 256, 128, 384]))
        assert few.ids[0].startswith("digits-") and len(few.ids[0]) == len("digits-0123")

    def test_another_size_is_refused(self) -> None:
        with pytest.raises(BrittleError, match=r"8 x 8 pixels, not resized; the network wants 3 x 32 x 32"):
            load_data("digits", fit=Fit(channels=3, height=32, width=32))


class TestLimit:
    @pytest.mark.parametrize(
        ("limit", "rows"),
        [
            (1, [0]),
            (3, [0, 8, 4]),
            (4, [0, 8, 4, 2]),
            (9, [0, 8, 4, 2, 6, 1, 9, 5, 3]),
            (10, [0, 8, 4, 2, 6, 1, 9, 5, 3, 7]),
            (ALL, [0, 8, 4, 2, 6, 1, 9, 5, 3, 7]),
        ],
    )
    def test_is_spread_over_row_groups_and_a_lower_one_comes_first(self, ten: str, limit: int, rows: list[int]) -> None:
        found, everything = load_data(ten, limit=limit), load_data(ten)
        assert found.ids == tuple(str(row) for row in rows)
        assert found.labels is not None and found.labels.tolist() == rows
        assert torch.equal(found.images(0, len(rows)), everything.read(rows))

    def test_changes_no_id(self, tmp_path: Path) -> None:
        spec = write_parquet(tmp_path / "a.parquet", [png(i) for i in range(11)], list(range(11)))
        assert load_data(spec, limit=2).ids == ("00", "08")

    def test_takes_all_classes_of_a_sorted_folder(self, tmp_path: Path) -> None:
        spec = class_folder(tmp_path / "d", {"a": 4, "bb": 4, "ccc": 4})
        found = load_data(spec, limit=3)
        assert found.ids == ("a/0.png", "ccc/0.png", "bb/0.png")

    @pytest.mark.parametrize("spec", ["digits", "hf:some/where", "absent"])
    @pytest.mark.parametrize("limit", [0, -1])
    def test_below_one_is_refused_before_anything_opens(self, spec: str, limit: int) -> None:
        with pytest.raises(BrittleError, match=rf"a limit as a whole number of at least 1, got {limit}"):
            load_data(spec, limit=limit)


class TestParquet:
    def test_names_and_labels_come_from_the_features(self, tmp_path: Path) -> None:
        kinds = {"photo": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["<b>", "cat"]}}
        spec = write_parquet(tmp_path / "a.parquet", [png(0), png(1)], [1, 0], names=("photo", "kind"), features=kinds)
        found = load_data(spec)
        assert found.class_names == ("<b>", "cat") and found.labels is not None and found.labels.tolist() == [1, 0]
        assert torch.equal(found.images(0, 2), torch.stack([pixels(png(0)), pixels(png(1))]))
        assert found.source == spec and found.read([]).shape == (0, 3, 4, 6)

    def test_of_several_label_columns_the_fine_one(self, tmp_path: Path) -> None:
        table = pq.read_table(write_parquet(tmp_path / "a.parquet", [png(0)], [3], names=("img", "fine_label")))
        pq.write_table(table.append_column("coarse_label", pa.array([7])), tmp_path / "b.parquet")
        found = load_data(str(tmp_path / "b.parquet"))
        assert found.labels is not None and found.labels.tolist() == [3] and found.class_names is None

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("photo", "label"), r"one image column \(image or img\) in .*, got photo \(dict\), label \(int64\)"),
            (("img", "kind"), r"one label column \(label or labels or fine_label\) in .*, got img \(dict\), kind"),
        ],
    )
    def test_missing_columns_are_listed(self, tmp_path: Path, names: tuple[str, str], message: str) -> None:
        with pytest.raises(BrittleError, match=message):
            load_data(write_parquet(tmp_path / "a.parquet", [png(0)], [0], names=names))

    def test_images_must_be_encoded(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"image": ["cat.png"], "label": [0]}), tmp_path / "a.parquet")
        with pytest.raises(BrittleError, match=r"expected encoded images in column 'image' of .*, got string"):
            load_data(str(tmp_path / "a.parquet"))

    def test_no_path_in_a_table_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(png(0))
        table = pa.table({"image": [{"bytes": None, "path": str(tmp_path / "a.png")}], "label": [0]})
        table = table.set_column(
            0, "image", table["image"].cast(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        )
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(BrittleError, match=r"a\.parquet' row 0 has no image bytes"):
            load_data(str(tmp_path / "a.parquet"))

    @pytest.mark.parametrize("labels", [[-1, -1], pa.array([None, None], pa.int64()), pa.nulls(2)])
    def test_all_labels_missing_is_unlabelled(self, tmp_path: Path, labels: object) -> None:
        assert load_data(write_parquet(tmp_path / "a.parquet", [png(0), png(1)], labels)).labels is None

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, -1, -1], r"2 of 3 labels are missing in column 'label' of .* \(row 1 is the first\)"),
            (pa.array([0, 1, None], pa.uint8()), r"1 of 3 labels are missing .* \(row 2 is the first\)"),
            ([0, -7, 1], r"labels from 0 on in column 'label' of .*, got -7 in row 1"),
            (pa.array([0, 1, 2**63], pa.uint64()), r"labels from 0 on .*, got 9223372036854775808 in row 2"),
            ([0.0, 1.0, 2.0], r"expected integer labels in column 'label' of .*, got double"),
            (["cat", "dog", "cat"], r"expected integer labels in column 'label' of .*, got string"),
        ],
    )
    def test_bad_labels(self, tmp_path: Path, labels: object, message: str) -> None:
        with pytest.raises(BrittleError, match=message):
            load_data(write_parquet(tmp_path / "a.parquet", [png(i) for i in range(3)], labels))

    def test_a_row_that_is_no_image_is_named(self, tmp_path: Path) -> None:
        spec = write_parquet(tmp_path / "a.parquet", [png(0), b"hello"], [0, 1])
        with pytest.raises(BrittleError, match=r"a\.parquet' row 1 is not an image or is truncated$"):
            load_data(spec)

    def test_files_that_are_no_parquet(self, tmp_path: Path, ten: str) -> None:
        whole = Path(ten).read_bytes()
        cases = {
            b"": r"is empty \(0 bytes\)",
            b"just some text, no table\n": "is not a Parquet file: ",
            whole[:200]: "is a truncated or damaged Parquet file: ",
            whole[:4] + bytes(100) + whole[104:]: "is a truncated or damaged Parquet file: ",
        }
        for data, message in cases.items():
            (tmp_path / "bad.parquet").write_bytes(data)
            with pytest.raises(BrittleError, match=message) as caught:
                load_data(str(tmp_path / "bad.parquet"))
            assert "\n" not in str(caught.value)

    def test_no_rows(self, tmp_path: Path) -> None:
        with pytest.raises(BrittleError, match=r"none\.parquet' has no rows"):
            load_data(write_parquet(tmp_path / "none.parquet", [], pa.array([], pa.int64())))

    def test_damaged_features(self, tmp_path: Path) -> None:
        spec = write_parquet(tmp_path / "a.parquet", [png(0)], [0], features={"image": {"_type": "Nonsense"}})
        with pytest.raises(BrittleError, match="column types that the datasets library cannot read: "):
            load_data(spec)

    def test_permission_denied(self, ten: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(pq, "ParquetFile", refuse)
        with pytest.raises(BrittleError, match=r"cannot read '.*ten\.parquet': Permission denied"):
            load_data(ten)


class TestFolder:
    def test_class_folders(self, tmp_path: Path) -> None:
        spec = class_folder(tmp_path / "d", {"zebra": 1, "cat": 2, ".cache": 1})
        (tmp_path / "d" / "cat" / "notes.txt").write_text("not an image")
        (tmp_path / "d" / "cat" / ".hidden.png").write_text("not an image")
        found = load_data(spec)
        assert found.ids == ("cat/0.png", "cat/1.png", "zebra/0.png") and found.class_names == ("cat", "zebra")
        assert found.labels is not None and found.labels.tolist() == [0, 0, 1]
        assert torch.equal(found.images(2, 3)[0], pixels(png(500)))

    def test_loose_images_are_unlabelled(self, tmp_path: Path) -> None:
        name = "<script>alert(1)\u202f\u4f60.PNG"
        (tmp_path / name.replace("/", "")).write_bytes(png(0))
        (tmp_path / "b.txt").write_text("a note")
        (tmp_path / "notes").mkdir()
        found = load_data(str(tmp_path))
        assert found.ids == (name,) and found.labels is None and found.class_names is None

    def test_the_word_wins_over_a_folder_of_that_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class_folder(tmp_path / "digits", {"a": 1})
        monkeypatch.chdir(tmp_path)
        assert len(load_data("digits")) == 500
        assert len(load_data("./digits")) == 1

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ([], r"no images in '.*d': expected files such as photo\.jpg or photo\.png"),
            (["a.txt", "b.json", "sub/c.txt"], r"no images in '.*d'"),
            (["x.parquet"], r"no images in '.*d': .*; did you mean '.*d/x\.parquet'\?"),
            (["a.png", "cat/b.png"], r"1 loose images beside class folders such as 'cat'"),
            (["cat/a.png", "dog/b.txt"], r"class folder 'dog' in '.*d' holds no images itself"),
            (
                ["test/cat/a.png", "val/a.png"],
                r"class folder 'test' in '.*d' holds no images itself; .* name the folder",
            ),
        ],
    )
    def test_layouts_that_are_refused(self, tmp_path: Path, files: list[str], message: str) -> None:
        (tmp_path / "d").mkdir()
        for name in files:
            (tmp_path / "d" / name).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / "d" / name).write_bytes(png(0))
        with pytest.raises(BrittleError, match=message):
            load_data(str(tmp_path / "d"))

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda file: file.write_text("hello"), r"'.*b\.jpg' is not an image or is truncated$"),
            (lambda file: file.write_bytes(b""), r"'.*b\.jpg' is not an image or is truncated: it is empty$"),
            (lambda file: file.symlink_to("nowhere"), r"cannot read '.*b\.jpg': No such file or directory$"),
            (os.mkfifo, r"'.*b\.jpg' is not an image: it is no regular file$"),
        ],
    )
    def test_a_bad_file_is_named(self, tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
        (tmp_path / "a.png").write_bytes(png(0))
        make(tmp_path / "b.jpg")
        with pytest.raises(BrittleError, match=message):
            load_data(str(tmp_path))

    def test_a_name_that_is_not_utf8(self, tmp_path: Path) -> None:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(png(0))
        with pytest.raises(BrittleError, match=r"file 'caf\\udce9\.png' in .* has a name that is not UTF-8; rename it"):
            load_data(str(tmp_path))

    def test_permission_denied(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: str, *_: int) -> None:
            raise PermissionError(13, "Permission denied", path)

        (tmp_path / "a.png").write_bytes(png(0))
        for call, message in (("scandir", r"the folder '.*': Permission"), ("open", r"read '.*a\.png': Permission")):
            with monkeypatch.context() as patch:
                patch.setattr(f"brittle.data.folder.os.{call}", refuse)
                with pytest.raises(BrittleError, match=message):
                    load_data(str(tmp_path))

    @pytest.mark.parametrize("under", ["", "cat/"])
    def test_a_limit_asks_nothing_of_the_files_it_leaves_out(
        self, under: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each folder is listed, each chosen file is opened; no other file is looked up, be it a link or not."""
        (tmp_path / "d" / under).mkdir(parents=True)
        (tmp_path / "one.png").write_bytes(png(0))
        for k in range(40):
            (tmp_path / "d" / under / f"{k:02d}.png").symlink_to(tmp_path / "one.png")
        asked: list[tuple[str, str]] = []

        def watch(patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
            real = getattr(module, name)

            def call(path: Any, *rest: Any, **named: Any) -> Any:
                asked.append((name, os.path.relpath(path, tmp_path / "d")))
                return real(path, *rest, **named)

            patch.setattr(module, name, call)

        class Entry:
            def __init__(self, entry: "os.DirEntry[str]") -> None:
                self.name, self.entry = entry.name, entry

            def is_dir(self, *, follow_symlinks: bool = True) -> bool:
                if follow_symlinks and self.entry.is_symlink():
                    asked.append(("stat", self.name))
                return self.entry.is_dir(follow_symlinks=follow_symlinks)

        def scandir(path: str) -> Any:
            asked.append(("scandir", os.path.relpath(path, tmp_path / "d")))
            return contextlib.nullcontext(list(map(Entry, list(real_scandir(path)))))

        real_scandir = os.scandir
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", scandir)
            for module, name in ((os, "open"), (os, "stat"), (os, "lstat"), (io, "open")):
                watch(patch, module, name)
            found = load_folder(str(tmp_path / "d"), limit=4, fit=None)
        folders = [("scandir", one) for one in (".", "cat")[: 1 + bool(under)]]
        assert asked == [*folders, *(("open", name) for name in found.ids)]
        assert found.ids == tuple(f"{under}{k:02d}.png" for k in (0, 32, 16, 8))

    def test_a_class_folder_may_be_a_link(self, tmp_path: Path) -> None:
        class_folder(tmp_path / "elsewhere", {"cat": 2})
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "animal").symlink_to(tmp_path / "elsewhere" / "cat")
        assert load_data(str(tmp_path / "d")).ids == ("animal/0.png", "animal/1.png")


class TestHub:
    @pytest.fixture
    def dataset(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> datasets.Dataset:
        (tmp_path / "2.png").write_bytes(png(2))
        stored: list[dict[str, object]] = [{"bytes": png(i), "path": None} for i in range(4)]
        stored[2] = {"bytes": None, "path": str(tmp_path / "2.png")}
        features = datasets.Features(
            {
                "image": datasets.Image(),
                "label": datasets.ClassLabel(names=["a", "b"]),
                "more": datasets.Value("string"),
            }
        )
        made = datasets.Dataset.from_dict(
            {"image": stored, "label": [0, 0, 1, 0], "more": ["x"] * 4}, features=features
        )
        monkeypatch.setattr(hub, "_ask_hub", lambda repository: None)
        monkeypatch.setattr(
            datasets, "load_dataset", lambda repository, split: {"who/what:validation": made}[f"{repository}:{split}"]
        )
        monkeypatch.setattr(datasets, "get_dataset_split_names", lambda repository: ["train", "validation", "extra"])
        return made

    @pytest.mark.parametrize("spec", ["hf:who/what", "hf:who/what:validation"])
    def test_rows(self, dataset: datasets.Dataset, spec: str) -> None:
        found = load_data(spec)
        assert found.source == "hf:who/what:validation" and found.class_names == ("a", "b")
        assert found.labels is not None and found.labels.tolist() == [0, 0, 1, 0] and found.ids == ("0", "1", "2", "3")
        assert torch.equal(found.images(0, 4), torch.stack([pixels(png(i)) for i in range(4)]))
        few = load_data(spec, limit=2)
        assert few.ids == ("0", "2") and torch.equal(few.images(0, 2), found.read([0, 2]))
        assert few.labels is not None and few.labels.tolist() == [0, 1]

    def test_no_usual_split(self, dataset: datasets.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(datasets, "get_dataset_split_names", lambda repository: ["eval", "dev"])
        with pytest.raises(
            BrittleError, match=r"none of the splits test, validation, train; .*: hf:w/w:eval, hf:w/w:dev"
        ):
            load_data("hf:w/w")

    def test_what_the_library_raises_is_one_line(self, dataset: datasets.Dataset) -> None:
        with pytest.raises(BrittleError, match=r"cannot load 'hf:who/what:tset': 'who/what:tset'$"):
            load_data("hf:who/what:tset")

    def test_out_of_reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_: object, **__: object) -> None:
            raise ConnectionError("Name or service\nnot known")

        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        with pytest.raises(
            BrittleError, match=r"out of reach for data set 'a/b' \(Name or service not known\); set HF_HUB"
        ):
            load_data("hf:a/b")

    def test_unknown_to_the_hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class NotFound(HfHubHTTPError):
            def __init__(self) -> None:
                self.response = SimpleNamespace(status_code=404)  # type: ignore[assignment]

        def refuse(*_: object, **__: object) -> None:
            raise NotFound

        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        with pytest.raises(BrittleError, match=r"hub gives no data set 'a/b' \(HTTP 404\); check its name, and log in"):
            load_data("hf:a/b")

    @pytest.mark.parametrize("spec", ["hf:", "hf::test", "hf:a/b/c", "hf:../../etc"])
    def test_malformed(self, spec: str) -> None:
        with pytest.raises(BrittleError, match=r"expected hf:REPO\[:SPLIT\] such as hf:uoft-cs/cifar10:test, got 'hf:"):
            load_data(spec)


class TestSpec:
    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("digts", r"unknown data 'digts'; did you mean 'digits'\?"),
            ("tne.parquet", r"no file or folder is called 'tne\.parquet'; did you mean 'ten\.parquet'\?"),
            ("./phots", r"no file or folder is called '\./phots'; did you mean 'photos'\?"),
            (
                "zzz",
                r"unknown data 'zzz'; expected digits, signs, planted:PLANT:DATA, hf:REPO\[:SPLIT\], few:N:SPEC, "
                r"FOLDER, FILE\.parquet$",
            ),
            ("", r"unknown data ''; expected digits, signs, planted:PLANT:DATA, hf:"),
            (
                "no/such/place",
                r"no file or folder is called 'no/such/place'; expected digits, signs, planted:PLANT:DATA, hf:",
            ),
            ("photos/a.jpg", r"got the file 'photos/a\.jpg'; give the folder 'photos'$"),
            ("list.csv", r"expected data as digits, .*, got the file 'list\.csv'$"),
            ("x" * 5000, r"cannot open data 'x{200}\.\.\.': File name too long$"),
        ],
    )
    def test_unknown(self, ten: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "a.jpg").write_bytes(png(0))
        (tmp_path / "list.csv").write_text("a,b\n")
        with pytest.raises(BrittleError, match=message) as caught:
            load_data(spec)
        assert "\n" not in str(caught.value)

    def test_registry_describes_every_source(self) -> None:
        assert [source.name for source in DATA_SOURCES] == [
            "digits",
            "signs",
            "planted",
            "hub",
            "few",
            "folder",
            "parquet",
        ]
        assert all(source.form and source.summary and "\n" not in source.summary for source in DATA_SOURCES)


class TestExamples:
    def test_only_asked_images_are_decoded(self, ten: str, monkeypatch: pytest.MonkeyPatch) -> None:
        names: list[str] = []

        def counting(data: bytes, name: str, channels: int) -> Image.Image:
            names.append(name)
            return decoded(data, name, channels)

        monkeypatch.setattr(encoded, "decoded", counting)
        found = load_data(ten)
        assert names == []
        found.read([7, 2])
        assert [name.rsplit(" ", 1)[1] for name in names] == ["7", "2"]

    def test_fingerprint_follows_bytes_labels_ids_and_fit(self, tmp_path: Path) -> None:
        images, fit = [png(0), png(1)], Fit(channels=3, height=4, width=4)

        def write(name: str, data: list[bytes], labels: list[int]) -> str:
            return write_parquet(tmp_path / name, data, labels)

        first = load_data(write("a.parquet", images, [0, 1])).fingerprint
        same = load_data(write("b.parquet", images, [0, 1])).fingerprint
        others = [
            load_data(write("c.parquet", images, [1, 0])).fingerprint,
            load_data(write("d.parquet", [png(0), png(2)], [0, 1])).fingerprint,
            load_data(str(tmp_path / "a.parquet"), limit=1).fingerprint,
            load_data(str(tmp_path / "a.parquet"), fit=fit).fingerprint,
            load_data(str(tmp_path / "a.parquet"), fit=Fit(channels=3, height=4, width=4, resize=4)).fingerprint,
        ]
        assert same == first and len({first, *others}) == 6

    def test_ids_differ_where_a_class_is_called_alike(self, tmp_path: Path) -> None:
        found = load_data(class_folder(tmp_path / "d", {"a": 11, "b": 11}))
        assert len(set(found.ids)) == 22

    def test_nothing_is_cached_on_disk(self, ten: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        before = sorted(tmp_path.rglob("*"))
        load_data(ten).images(0, 10)
        assert sorted(tmp_path.rglob("*")) == before
