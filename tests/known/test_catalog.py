"""The registry: from text to attacks and back, with every mistake answered in one line."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from brittle.attacks import FGSM, FMN, PGD, BestOf, DeepFool, Expectation, Restarts
from brittle.catalog import ATTACKS, attacks_from, build, config_of, entry_of, label_of, option, register
from brittle.errors import BrittleError
from brittle.geometry.norms import L1, L2, LINF, Lp, NormLike


@pytest.fixture
def registry() -> Iterator[dict[str, Any]]:
    """The registry, put back as it was afterwards."""
    before = dict(ATTACKS)
    yield ATTACKS
    ATTACKS.clear()
    ATTACKS.update(before)


# ---- from text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("deepfool", [DeepFool()]),
        ("deepfool,norm=linf", [DeepFool(norm=LINF)]),
        ("deepfool, norm = l1.5".replace(" = ", "="), [DeepFool(norm=Lp(1.5))]),
        ("deepfool,box=false,max_steps=7", [DeepFool(box=False, max_steps=7)]),
        ("deepfool,box=no", [DeepFool(box=False)]),
        ("fgsm,eps=8/255", [FGSM(eps=8 / 255)]),
        ("fgsm,eps=0.5/255", [FGSM(eps=0.5 / 255)]),
        ("fgsm,eps=1", [FGSM(eps=1.0)]),
        ("fgsm,eps=1e-2", [FGSM(eps=0.01)]),
        ("fgsm,eps=0.01:0.02:4/255", [FGSM(eps=0.01), FGSM(eps=0.02), FGSM(eps=4 / 255)]),
        ("fgsm,norm=l1:l2", [FGSM(norm=L1), FGSM(norm=L2)]),
        (
            "pgd,eps=0.1:0.2,steps=1:2",
            [PGD(eps=0.1, steps=1), PGD(eps=0.1, steps=2), PGD(eps=0.2, steps=1), PGD(eps=0.2, steps=2)],
        ),
        ("pgd,random_start=true,step_size=0.1", [PGD(random_start=True, step_size=0.1)]),
        ("pgd,step_size=none", [PGD(step_size=None)]),
        ("pgd,step_size=None:0.1", [PGD(step_size=None), PGD(step_size=0.1)]),
        ("pgd()", [PGD()]),
        (" pgd( eps=0.1 , norm=l2 ) ", [PGD(eps=0.1, norm=L2)]),
        ("pgd(eps=0.1:0.2)", [PGD(eps=0.1), PGD(eps=0.2)]),
        ("restarts(attack=pgd(eps=0.1), times=3)", [Restarts(attack=PGD(eps=0.1), times=3)]),
        ("restarts,attack=pgd(eps=0.1,norm=l2),times=3", [Restarts(attack=PGD(eps=0.1, norm=L2), times=3)]),
        ("restarts(attack=fgsm)", [Restarts(attack=FGSM())]),
        (
            "restarts(attack=pgd(eps=0.1):fgsm,times=2:3)",
            [Restarts(attack=attack, times=times) for attack in (PGD(eps=0.1), FGSM()) for times in (2, 3)],
        ),
        ("best-of(attacks=deepfool + fmn(steps=50))", [BestOf(attacks=(DeepFool(), FMN(steps=50)))]),
        (
            "best-of,attacks=fgsm(eps=0.1)+pgd(eps=0.1, steps=3)",
            [BestOf(attacks=(FGSM(eps=0.1), PGD(eps=0.1, steps=3)))],
        ),
        ("best-of(attacks=fmn)", [BestOf(attacks=(FMN(),))]),
        (
            "best-of(attacks=fgsm+pgd:fmn)",
            [BestOf(attacks=(FGSM(), PGD())), BestOf(attacks=(FMN(),))],
        ),
        (
            "expectation(attack=restarts(attack=best-of(attacks=fgsm + pgd), times=2), samples=4, noise=0.1)",
            [Expectation(attack=Restarts(attack=BestOf(attacks=(FGSM(), PGD())), times=2), samples=4, noise=0.1)],
        ),
    ],
)
def test_attacks_from_text(text: str, expected: list[Any]) -> None:
    assert attacks_from(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deepfol", "unknown attack 'deepfol'; did you mean 'deepfool'?"),
        ("DEEPFOOL", "unknown attack 'DEEPFOOL'; did you mean 'deepfool'?"),
        ("", "unknown attack ''; known: "),
        ("deepfool,overshot=0.1", "attack 'deepfool' has no option 'overshot'; did you mean 'overshoot'?"),
        ("fgsm,epsilon=0.1", "attack 'fgsm' has no option 'epsilon'; did you mean 'eps'?"),
        ("fgsm,zzz=0.1", "attack 'fgsm' has no option 'zzz'; known: box, eps, norm"),
        ("fgsm,norm=l_inf", "unknown norm 'l_inf'; did you mean 'linf'?"),
        ("fgsm,norm=l0", "expected norm l1, l2, linf or lP, got l0"),
        ("fgsm,eps", "expected field=value after the attack's name, got 'eps' in 'fgsm,eps'"),
        ("fgsm,eps=", "expected field=value after the attack's name, got 'eps=' in 'fgsm,eps='"),
        ("fgsm,=1", "expected field=value after the attack's name, got '=1' in 'fgsm,=1'"),
        ("fgsm,eps=1,eps=2", "option 'eps' is given twice in 'fgsm,eps=1,eps=2'"),
        ("fgsm,eps=-1", "expected a finite eps >= 0, got -1.0"),
        ("fgsm,eps=8", "expected eps <= 1 in linf, as pixels are in [0, 1] (8 grey levels are 8/255), got 8"),
        ("fgsm,eps=-8/255", "expected a finite eps >= 0, got -0.03"),
        ("fgsm,eps=nan", "expected a finite eps >= 0, got nan"),
        ("fgsm,eps=much", "option 'eps' of attack 'fgsm': got 'much'; Input should be a valid number"),
        ("fgsm,eps=8/0", "option 'eps' of attack 'fgsm': got '8/0'; Input should be a valid number"),
        ("fgsm,eps=1.2.3/4", "option 'eps' of attack 'fgsm': got '1.2.3/4'; Input should be a valid number"),
        ("fgsm,eps=none", "option 'eps' of attack 'fgsm': got 'none'; Input should be a valid number"),
        ("fgsm,eps=0.1:", "option 'eps' of attack 'fgsm': got ''; Input should be a valid number"),
        ("pgd,steps=1.5", "option 'steps' of attack 'pgd': got '1.5'; Input should be a valid integer"),
        ("pgd,steps=0", "expected steps >= 1, got 0"),
        ("pgd,random_start=maybe", "option 'random_start' of attack 'pgd': got 'maybe'; Input should be a valid bool"),
        ("pgd(eps=0.1", "expected as many closing as opening parentheses, got 'pgd(eps=0.1'"),
        ("pgd(eps=0.1))", "expected as many closing as opening parentheses, got 'pgd(eps=0.1))'"),
        ("pgd)eps=0.1(", "expected as many closing as opening parentheses, got 'pgd)eps=0.1('"),
        ("restarts(attack=pgd(eps=0.1), times=3", "expected as many closing as opening parentheses, got 'restarts("),
        ("pgd(0.1)", "expected field=value after the attack's name, got '0.1' in 'pgd(0.1)'"),
        ("restarts(pgd)", "expected field=value after the attack's name, got 'pgd' in 'restarts(pgd)'"),
        ("restarts(attack=)", "expected field=value after the attack's name, got 'attack=' in 'restarts(attack=)'"),
        ("restarts(attack=pdg)", "unknown attack 'pdg'; did you mean 'pgd'?"),
        ("restarts(attack=pgd(epsilon=0.1))", "attack 'pgd' has no option 'epsilon'; did you mean 'eps'?"),
        ("restarts(attack=pgd(eps=-1))", "expected a finite eps >= 0, got -1"),
        ("restarts(attack=pgd,times=0)", "expected times >= 1, got 0"),
        (
            "restarts(attack=pgd(eps=0.1:0.2))",
            "option 'attack' of attack 'restarts' holds one attack, not a sweep; got 'pgd(eps=0.1:0.2)'",
        ),
        (
            "best-of(attacks=fgsm + pgd(eps=0.1:0.2))",
            "option 'attacks' of attack 'best-of' holds one attack, not a sweep; got 'pgd(eps=0.1:0.2)'",
        ),
        ("best-of(attacks=fgsm +)", "unknown attack ''; known: "),
        (
            "best-of(attacks=fgsm + deepfool)",
            "expected attacks of one kind, norm and eps (fgsm is budget linf with eps ",
        ),
        ("restarts(attack=fgsm + pgd)", "unknown attack 'fgsm + pgd'; did you mean 'fgsm'?"),
        ("restarts(attack=universal-sgd)", "expected an attack on single examples in Restarts, got universal-sgd"),
        ("deepfool(norm=l1)(norm=l2)", "unknown norm 'l1)(norm=l2'; "),
    ],
)
def test_mistakes_are_answered_in_one_line(text: str, message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        attacks_from(text)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_build_takes_values_of_python_too() -> None:
    assert build("pgd", {"norm": L2, "eps": 1, "steps": 3, "random_start": True, "step_size": None}) == PGD(
        norm=L2, eps=1.0, steps=3, random_start=True
    )
    assert build("pgd", {"norm": "l2"}) == build("pgd", {"norm": 2}) == PGD(norm=L2)
    with pytest.raises(BrittleError, match=r"option 'eps' of attack 'fgsm': got \[1\]"):
        build("fgsm", {"eps": [1]})


# ---- back to text


@pytest.mark.parametrize(
    ("attack", "label"),
    [
        (DeepFool(), "deepfool"),
        (DeepFool(norm=LINF), "deepfool(norm=linf)"),
        (DeepFool(norm="linf"), "deepfool(norm=linf)"),
        (DeepFool(norm=L2, overshoot=0.02), "deepfool"),
        (FGSM(eps=8 / 255), "fgsm"),
        (FGSM(eps=1 / 255, box=False), "fgsm(eps=0.00392157, box=False)"),
        (PGD(norm=Lp(1.5), step_size=0.25, random_start=True), "pgd(norm=l1.5, step_size=0.25, random_start=True)"),
        (Restarts(), "restarts"),
        (Restarts(attack=FGSM(), times=3), "restarts(attack=fgsm, times=3)"),
        (BestOf(attacks=(DeepFool(), FMN(steps=50))), "best-of(attacks=deepfool + fmn(steps=50))"),
        (
            Restarts(attack=BestOf(attacks=(FGSM(eps=0.1), PGD(eps=0.1)))),
            "restarts(attack=best-of(attacks=fgsm(eps=0.1) + pgd(eps=0.1)))",
        ),
    ],
)
def test_label_names_what_differs_from_the_defaults(attack: Any, label: str) -> None:
    assert label_of(attack) == label


@pytest.mark.parametrize(
    "attack",
    [
        DeepFool(norm=Lp(1.5), box=False),
        Restarts(attack=PGD(eps=0.125, step_size=None), times=2),
        BestOf(attacks=(FGSM(eps=0.25), PGD(eps=0.25, steps=3))),
        Expectation(attack=Restarts(attack=BestOf(attacks=(DeepFool(norm=L1), FMN(norm=L1)))), noise=0.5),
    ],
)
def test_a_label_is_text_that_makes_the_attack(attack: Any) -> None:
    assert attacks_from(label_of(attack)) == [attack]


@pytest.mark.parametrize("attack", [DeepFool(norm=Lp(1.5)), FGSM(eps=0.3), PGD(step_size=0.1, random_start=True)])
def test_config_is_plain_and_rebuilds_the_attack(attack: Any) -> None:
    config = json.loads(json.dumps(config_of(attack)))
    assert set(config) == {field.name for field in dataclasses.fields(attack)}
    assert build(entry_of(attack).name, config) == attack


def test_config_of_a_wrapper_has_the_names_and_options_of_what_it_holds() -> None:
    both = BestOf(attacks=(FGSM(norm=L2, eps=0.5), PGD(norm=L2, eps=0.5)))
    config = json.loads(json.dumps(config_of(Restarts(attack=both, times=2))))
    assert config["times"] == 2
    assert config["attack"]["name"] == "best-of"
    held = config["attack"]["attacks"]
    assert [one["name"] for one in held] == ["fgsm", "pgd"]
    assert held[0] == {"name": "fgsm", "norm": "l2", "eps": 0.5, "box": True}
    assert set(held[1]) == {"name", *(field.name for field in dataclasses.fields(PGD))}


@pytest.mark.parametrize("thing", ["deepfool", DeepFool, None])
def test_only_instances_of_registered_attacks_are_attacks(thing: Any) -> None:
    with pytest.raises(BrittleError, match=r"expected a registered attack such as DeepFool\(\), got "):
        label_of(thing)


# ---- registering


def test_entries_say_what_their_classes_say() -> None:
    for name, entry in ATTACKS.items():
        assert entry.name == name == name.lower()
        assert entry.kind in ("budget", "minimal", None)
        assert entry.access in ("gradient", "score", "decision")
        assert entry.paper
        assert bool(entry.norms) == (entry.kind is not None)  # a wrapper has the norms of what it holds
        assert entry.goals
        assert entry.summary.endswith(".")
        for key, (_, default, explanation) in entry.fields().items():
            assert default is not dataclasses.MISSING, f"{name} cannot be made without {key}"
            assert explanation, f"no help for {key} of {name}"
        assert "eps" in entry.fields() or entry.kind != "budget"


def test_fields_are_those_of_the_dataclass() -> None:
    fields = ATTACKS["pgd"].fields()
    assert list(fields) == ["norm", "eps", "steps", "step_size", "random_start", "momentum"]
    assert fields["steps"] == (int, 10, "gradient steps at the most; an image leaves the loop at its first success")
    assert fields["step_size"][:2] == (float | None, None)


def test_registering_makes_a_name_and_two_of_one_name_collide(registry: dict[str, Any]) -> None:
    def enrol(name: str) -> type:
        @dataclass(frozen=True, kw_only=True)
        class Fresh:
            """Does nothing.

            At length.
            """

            norm: NormLike = option(L2, "norm")
            tries: int = option(3, "tries")

        return register(
            name, paper="none", kind="minimal", norms=("l2",), goals=("untargeted",), access="score", cost="F"
        )(Fresh)

    made = enrol("fresh")
    entry = registry["fresh"]
    assert (entry.attack, entry.summary, entry.access) == (made, "Does nothing.", "score")
    assert attacks_from("fresh,tries=4") == [made(tries=4)]
    assert label_of(made(tries=4)) == "fresh(tries=4)"
    with pytest.raises(ValueError, match="two attacks are called 'fresh'"):
        enrol("fresh")
    assert registry["fresh"].attack is made
