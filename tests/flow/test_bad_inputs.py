"""Every mistake on the command line: exit code 2, one line that helps, and nothing written or lost."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from kit import jpeg, make_kit, photos

import brittle.attacks  # noqa: F401 - importing it registers them
from brittle.catalog import ATTACKS
from brittle.data.limit import chosen
from brittle.data.signs import signs_train
from brittle.models import zoo
from conftest import Cli

NET = "--model digits-cnn --weights good.safetensors"
DIGITS = "--data digits --limit 8"
RGB = "--model resnet20 --weights resnet20.safetensors"
OUT = "--out out"
FGSM = "--attack fgsm"


def audit(*parts: str) -> str:
    """A good audit of which the parts replace what they name: ``audit("--seed -1")``."""
    given = " ".join(parts)
    whole = [NET if "--model" not in given else "", DIGITS if "--data" not in given else ""]
    whole += [FGSM if "--attack" not in given else "", OUT if "--out" not in given else ""]
    return " ".join(["audit", *whole, given])


def attack(text: str) -> str:
    return audit(f"--attack {shlex.quote(text)}")


def weights(file: str) -> str:
    return audit(f"--model digits-cnn --weights {file}")


def python(target: str) -> str:
    return audit(f"--model python:{target}")


def rgb(data: str) -> str:
    return audit(RGB, f"--data {data}")


# command line -> what its one line must say
CASES: dict[str, list[str]] = {
    # the command line itself
    "adit": ["unknown command 'adit'", "did you mean 'audit'?"],
    "--verbose": ["no such option: --verbose", "--version"],
    audit("--atack fgsm"): ["no such option: --atack", "did you mean --attack?", "brittle audit --help"],
    audit("--zzz"): ["no such option: --zzz", "known: --model, --data"],
    "check nothing.toml": ["cannot read 'nothing.toml'"],
    attack("foolbx:LinfPGD,eps=0.1"): ["unknown attack 'foolbx:LinfPGD'", "did you mean 'foolbox'?"],
    audit("--model robustbench:Standard --weights good.safetensors"): ["expected no --weights", "RobustBench has"],
    f"audit {NET} {FGSM} {OUT}": ["Missing option", "--data"],
    f"audit {NET} {DIGITS} {FGSM}": ["expected --out DIR", "--dry-run"],
    f"audit {NET} {DIGITS} {FGSM} --out": ["--out", "argument"],
    "report": ["Missing argument"],
    "report run run": ["extra argument"],
    audit("--limit 0"): ["--limit", "expected a whole number of at least 1, got '0'"],
    audit("--limit -5"): ["--limit", "got '-5'"],
    audit("--limit many"): ["--limit", "expected a whole number of at least 1, got 'many'"],
    audit("--seed -1"): ["--seed", "expected a whole number of at least 0, got '-1'"],
    audit("--seed 1.5"): ["--seed", "got '1.5'"],
    audit("--batch-size 0"): ["--batch-size", "at least 1, or auto, got '0'"],
    audit("--batch-size abc"): ["--batch-size", "at least 1, or auto, got 'abc'"],
    audit("--device gpu"): ["--device auto, cpu or cuda, got 'gpu'"],
    audit("--device cude"): ["--device auto, cpu or cuda, got 'cude'"],
    # normalisation
    audit(RGB, "--data photos --mean 0.5,0.5 --std 0.5,0.5"): ["expected images with 2 channels", "got 3"],
    audit("--mean 0.5"): ["expected mean and std together"],
    audit("--mean 0.5 --std 0"): ["expected a positive std, got (0.0,)"],
    audit("--mean a,b,c --std 1,1,1"): ["expected --mean as numbers such as 0.5,0.5,0.5, got 'a,b,c'"],
    audit("--mean nan --std 1"): ["expected mean as one finite number per channel"],
    audit("--reject gibberish"): ["no class is called 'gibberish'", "there are 10, also known by index"],
    audit("--reject 10"): ["expected a class index below 10, got 10"],
    audit("--model python:mynets:grey --reject none"): ["expected the reject class as an index from 0, got 'none'"],
    audit("--model python:mynets:grey --reject 10"): ["expected a reject class among 3 classes or more, got class 10"],
    # attacks
    attack("deepfol"): ["unknown attack 'deepfol'", "did you mean 'deepfool'?"],
    attack("xyzzy"): ["unknown attack 'xyzzy'; known: ", *ATTACKS],
    attack(""): ["unknown attack ''", "known: "],
    attack("fgsm,epz=0.1"): ["attack 'fgsm' has no option 'epz'", "did you mean 'eps'?"],
    attack("fgsm,eps"): ["expected field=value after the attack's name, got 'eps'"],
    attack("fgsm,eps="): ["expected field=value after the attack's name, got 'eps='"],
    attack("fgsm,eps=0.1,eps=0.2"): ["option 'eps' is given twice"],
    attack("fgsm,eps=-0.1"): ["expected a finite eps", "got -0.1"],
    attack("fgsm,eps=nan"): ["eps", "nan"],
    attack("fgsm,eps=inf"): ["eps", "inf"],
    attack("fgsm,eps=large"): ["expected eps as a number >= 0, got 'large'", "number"],
    attack("fgsm,eps=8/0"): ["expected eps as a number >= 0, got '8/0'"],
    attack("fgsm,eps=0.1:"): ["expected eps as a number >= 0, got ''"],
    attack("pgd,steps=0"): ["expected steps >= 1, got 0"],
    attack("pgd,steps=2.5"): ["expected steps as a whole number >= 1, got '2.5'"],
    attack("pgd,random_start=perhaps"): ["expected random_start as true or false, got 'perhaps'"],
    attack("pgd,step_size=0"): ["expected a finite step_size > 0, got 0"],
    attack("deepfool,norm=lnif"): ["unknown norm 'lnif'", "did you mean 'linf'?"],
    attack("deepfool,norm=l0"): ["norm l1, l2, linf or lP", "l0 is a norm of minimal, pixel-greedy, sigma-zero"],
    attack("autoattack"): ["unknown attack 'autoattack'; here it is standard (AutoAttack's ensemble"],
    attack("pgd,alpha=2/255"): ["attack 'pgd' has no option 'alpha'; step_size is what you mean"],
    "attacks cw": ["unknown attack 'cw'; here it is minimal,norm=l2 ("],
    # levels
    audit("--level fast"): ["expected a level of quick, standard, thorough, got 'fast'"],
    audit("--level quik"): ["got 'quik'; did you mean 'quick'?"],
    audit("--level quick --norm l1.5"): ["expected a level's norm as linf, l2, l1 or l0, got l1.5"],
    audit("--level quick --norm l2 --norm 2"): ["a budget for each of some different norms", "norms l2, 2"],
    audit("--level quick --norm l2 --norm l1 --eps 1"): ["a budget for each of some different norms", "eps 1"],
    audit("--level quick --norm linf --eps 8"): ["expected eps <= 1 in linf"],
    audit("--norm l2"): ["expected norms and eps with a level; an attack has its own: pgd,norm=l2,eps=0.5"],
    attack("deepfool,norm=l0.5"): ["expected a norm lP with P >= 1", "0.5"],
    attack("deepfool,overshoot=-1"): ["expected a finite overshoot >= 0, got -1"],
    attack("deepfool,candidates=0"): ["expected candidates >= 1, got 0"],
    audit("--attack fgsm --attack fgsm"): ["expected different attacks, got 'fgsm(eps=8/255)' 2 times"],
    audit("--attack fgsm,eps=0.1:0.1"): ["expected different attacks, got 'fgsm(eps=0.1)' 2 times"],
    "attacks deepfol": ["unknown attack 'deepfol'", "did you mean 'deepfool'?"],
    # models
    audit("--model digit-cnn"): ["unknown model 'digit-cnn'", "did you mean 'digits-cnn'?"],
    audit("--model ''"): ["unknown model ''", "known: "],
    audit("--model resnet20:x"): ["unknown model 'resnet20:x'", "did you mean 'resnet20'?"],
    audit("--model torchvison:resnet18"): ["unknown model 'torchvison:resnet18'", "did you mean 'torchvision:NAME'?"],
    audit("--model torchvision:resnet81"): ["no image classifier 'resnet81'", "did you mean 'resnet"],
    audit("--model resnet20"): ["resnet20 comes without weights", "--weights FILE"],
    python("mynets"): ["expected python:package.module:factory, got 'python:mynets'"],
    python("mynest:grey"): ["no module 'mynest'", "expected python:package.module:factory"],
    python("mynets:gray"): ["module 'mynets' has no 'gray'", "did you mean 'grey'?"],
    python("mynets:number"): ["function without arguments", "got int"],
    python("mynets:needs_argument"): ["python:mynets:needs_argument raised TypeError"],
    python("mynets:fails"): ["python:mynets:fails raised RuntimeError: no such dataset in the cupboard"],
    python("mynets:returns_number"): ["a torch.nn.Module, a fitted estimator or a classifier of brittle, got int"],
    python("mynets:four_dimensional"): ["expected logits [8, K] from the network, got shape (8, 4, 6, 6)"],
    python("mynets:not_finite"): ["expected finite logits, got NaN or infinity on 8 of 8 images"],
    python("mynets:three_classes"): ["expected labels from 0 to 2, as the network has 3 classes, got"],
    python("broken_net:net"): ["importing broken_net failed", "'no_such_library_at_all'"],
    # weights
    weights("goood.safetensors"): ["no weights file goood.safetensors", "did you mean 'good.safetensors'?"],
    weights("truncated.safetensors"): ["expected a whole safetensors file", "truncated.safetensors"],
    weights("empty.safetensors"): ["empty.safetensors is empty (0 bytes)"],
    weights("text.safetensors"): ["text.safetensors is a text file, not weights", "expected .safetensors"],
    weights("page.pth"): ["page.pth is a saved web page (HTML), not weights"],
    weights("weights"): ["expected a weights file, got the directory weights"],
    weights("evil.pth"): ["refused to unpickle evil.pth", "can run any code"],
    weights("keys.pth"): ["another model's", "tensors are missing"],
    weights("seven.safetensors"): ["seven.safetensors has 7 classes, the model 10"],
    weights("nan.safetensors"): ["expected finite weights in nan.safetensors", "'head.1.weight'"],
    weights("resnet20.safetensors"): ["resnet20.safetensors", "another model's"],
    # data
    audit("--data digit"): ["unknown data 'digit'", "did you mean 'digits'?"],
    audit("--data planted:line"): ["expected planted:PLANT:DATA", "got 'planted:line'"],
    audit("--data planted:lime:digits"): ["unknown plant 'lime'", "did you mean 'line'?"],
    audit("--data planted:line,lable=2:digits"): ["plant 'line' has no option 'lable'", "did you mean 'label'?"],
    audit("--data planted:colours:signs"): ["expected grey images to colour, got 3 channels"],
    audit("--data planted:colours:digits"): ["expected images (1, 8, 8) for the network, got (3, 4, 4)"],
    audit(RGB, "--data tenn.parquet"): ["no file or folder is called 'tenn.parquet'", "did you mean 'ten.parquet'?"],
    audit(RGB, "--data notes.txt"): ["expected data as digits, ", "got the file 'notes.txt'"],
    audit(RGB, "--data photos/00.jpg"): ["got the file 'photos/00.jpg'", "give the folder 'photos'"],
    audit(RGB, "--data 'hf:a b'"): ["expected hf:REPO[:SPLIT]", "got 'hf:a b'"],
    audit(RGB, "--data digits"): ["digits are grey images of 8 x 8 pixels", "3 x 32 x 32"],
    rgb("grey"): ["expected colour images for a network of 3 channels, got grey ones only (4 of 4 in grey)"],
    rgb("tiny"): ["'tiny/0.jpg' is too small: 8 x 8 pixels", "32 x 32"],
    rgb("liar"): ["'liar/1.png' is not an image or is truncated"],
    rgb("cut"): ["'cut/1.jpg' is not an image or is truncated"],
    rgb("nothing"): ["no images in 'nothing'", "expected files such as photo.jpg"],
    rgb("unknown"): [
        "the data has 3 (car, trcuk, zebra), the network 10 (airplane, automobile, bird, ...)",
        "no 'car'",
    ],
    rgb("swapped"): ["'airplane' as class 1 of the data and class 0 of the network", "no 'aardvark'"],
    rgb("eleven.parquet"): ["expected labels from 0 to 9, as the network has 10 classes, got 10"],
    rgb("negative.parquet"): ["expected labels from 0 on", "got -7 in row 1"],
    rgb("gaps.parquet"): ["1 of 3 labels are missing", "row 1"],
    rgb("columns.parquet"): ["expected one image column", "picture_of_it"],
    rgb("rows.parquet"): ["'rows.parquet' has no rows"],
    rgb("cut.parquet"): ["'cut.parquet' is a truncated or damaged Parquet file"],
    rgb("empty.parquet"): ["'empty.parquet' is empty (0 bytes)"],
    rgb("text.parquet"): ["'text.parquet' is not a Parquet file"],
    audit("--model python:mynets:grey --data photos"): ["the network does not run on images of 3 x 32 x 32"],
    # where to write
    audit("--out notes.txt"): ["expected a directory for --out, got the file 'notes.txt'"],
    audit("--out notes.txt/run"): ["cannot", "'notes.txt/run'", "choose another --out"],
    audit("--out foreign"): ["'foreign' is not empty and not a run directory (it has 'thesis.tex')"],
    audit("--out run"): [
        "the run that is to grow is of other data (cifar/test.parquet; now digits",
        "choose another --out",
    ],
    audit("--out /proc/brittle/run"): ["cannot", "'/proc/brittle/run'", "choose another --out"],
    audit(f"--out {'x' * 300}"): ["cannot", "File name too long", "choose another --out"],
    audit("--out corrupt"): [
        "corrupt/manifest.json is not a manifest",
        "or delete 'corrupt' and run the same command again",
    ],
    audit("--images some"): ["expected images as all, fooled, 8bit or none, got 'some'"],
    audit("--out newer"): [
        "newer/manifest.json has schema version 99; this brittle reads versions 3 to 4; a newer one made it: pip"
    ],
    "demo --out notes.txt": ["expected a directory for --out, got the file 'notes.txt'"],
    "demo --out run": ["the run that is to grow is of other data"],
    # what has been written
    "report nowhere": ["expected a run directory with manifest.json, got 'nowhere'"],
    "report notes.txt": ["expected a run directory with manifest.json, got 'notes.txt'"],
    "summary foreign": ["expected a run directory with manifest.json, got 'foreign'"],
    "summary corrupt": ["corrupt/manifest.json is not a manifest"],
    "summary list --json": ["list/manifest.json has schema version None; this brittle reads", "make it anew"],
    "summary missing": ["missing/manifest.json is not a manifest: seed: Field required"],
    "report newer": [
        "newer/manifest.json has schema version 99; this brittle reads versions 3 to 4; a newer one made it: pip"
    ],
    "summary cutshard": ["untargeted/deepfool/00000.parquet is not a record shard", "same command again"],
    "report cutshard": ["untargeted/deepfool/00000.parquet is not a record shard", "same command again"],
}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit")
    make_kit(folder)
    return folder


@pytest.fixture(scope="module")
def as_it_was(kit: Path) -> dict[str, str]:
    return contents(kit)


def contents(folder: Path) -> dict[str, str]:
    """Every path below a folder, with the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize("line", CASES)
def test_one_line_says_what_is_wrong_and_nothing_is_written(
    line: str, kit: Path, as_it_was: dict[str, str], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--device" in line and "cuda" in line and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(kit)
    monkeypatch.setattr(zoo, "signs_train", partial(signs_train, 2))  # the demo's network need not know anything
    ran = cli(*shlex.split(line))
    assert ran.code == 2, ran
    assert ran.out == ""
    assert ran.err.startswith("brittle: "), ran.err
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.endswith("\n")
    assert "Traceback" not in ran.err
    for part in CASES[line]:
        assert part in ran.err
    assert contents(kit) == as_it_was


@pytest.mark.parametrize("line", [weights("evil.pth"), rgb("cut"), "adit"])
def test_as_a_user_sees_it(line: str, kit: Path, as_it_was: dict[str, str]) -> None:
    command = [sys.executable, "-c", "from brittle.cli import main; main()", *shlex.split(line)]
    done = subprocess.run(
        command, cwd=kit, capture_output=True, text=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    assert all(part in done.stderr for part in CASES[line])
    assert contents(kit) == as_it_was


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(kit: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kit)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    ran = cli(*shlex.split(audit(f"--out {closed}/run")))
    assert ran.code == 2
    assert "no permission" in ran.err


def test_faults_of_the_program_are_not_called_mistakes_of_the_user(
    kit: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("brittle.cli.listing.print_models", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli("models")


@pytest.mark.usefixtures("without_report")
def test_a_damaged_image_in_a_later_shard_keeps_what_is_done_and_mended_it_goes_on(
    kit: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_resume import assert_same_run  # the one way to compare runs

    monkeypatch.setattr("brittle.run.plan._SHARD_MOST", 8)
    monkeypatch.setattr("brittle.run.plan._SHARD_LEAST", 8)
    monkeypatch.setattr("brittle.run.sources._PROBE", 8)  # the damaged image is none that preflight looks at
    images = {f"{k:03d}.jpg": jpeg(k, side=32) for k in range(24)}
    early, late = (f"{chosen(24, 24)[k]:03d}.jpg" for k in (3, 18))
    photos(tmp_path / "data", images)
    monkeypatch.chdir(tmp_path)
    command = ["audit", *shlex.split(RGB.replace("resnet20.saf", f"{kit}/resnet20.saf")), "--data", "data"]
    command += ["--attack", "fgsm", "--attack", "pgd,steps=2"]
    assert cli(*command, "--out", "whole").code == 0

    (tmp_path / "data" / late).write_bytes(images[late][: len(images[late]) // 2])
    stopped = cli(*command, "--out", "run")
    assert stopped.code == 2
    said = stopped.err.splitlines()[-1]
    assert said.startswith(f"brittle: 'data/{late}' is not an image or is truncated")
    assert said.endswith("what is finished is kept in 'run', and the same command resumes")
    done = contents(tmp_path / "run")
    assert sum(name.endswith(".parquet") for name in done) == 4

    # Mended, but an image that was done has changed: what is recorded is not of this data.
    (tmp_path / "data" / late).write_bytes(images[late])
    (tmp_path / "data" / early).write_bytes(jpeg(1000))
    refused = cli(*command, "--out", "run")
    assert refused.code == 2
    assert "'run' holds a different run (data: there data (" in refused.err
    assert contents(tmp_path / "run") == done

    (tmp_path / "data" / early).write_bytes(images[early])
    assert cli(*command, "--out", "run").code == 0
    after = contents(tmp_path / "run")
    assert {name: content for name, content in after.items() if name in done and name != "manifest.json"} == {
        name: content for name, content in done.items() if name != "manifest.json"
    }
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.usefixtures("without_report")
def test_a_full_disk_is_told_in_one_line(kit: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.suffix == ".parquet":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.chdir(kit)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        ran = cli(*shlex.split(audit(f"--out {tmp_path}/run")))
    assert ran.code == 2
    said = ran.err.splitlines()[-1]
    assert said.startswith(
        f"brittle: cannot write '{tmp_path}/run/records/digits-cnn/untargeted/fgsm-eps-8-255/00000.parquet': No space"
    )
    assert not list((tmp_path / "run").rglob(".writing-*"))
    assert cli(*shlex.split(audit(f"--out {tmp_path}/run"))).code == 0
    shutil.rmtree(tmp_path / "run")
