"""The registry: from text to attacks and back, with every mistake answered in one line."""

import dataclasses
import json
import pickle
import re
from dataclasses import dataclass
from typing import Any

import numpy
import pytest

from brittle.attacks import FGSM, FMN, PGD, BestOf, DeepFool, Expectation, Restarts, Square, Universal
from brittle.catalog import (
    ATTACKS,
    FITTERS,
    Option,
    attacks_from,
    config_of,
    entry_of,
    label_of,
    option,
    options_of,
    register,
)
from brittle.catalog.describe import schema_of
from brittle.catalog.foreign import attack_here
from brittle.catalog.foreign_attacks import ATTACKS_THERE
from brittle.catalog.foreign_options import OPTIONS_THERE
from brittle.errors import BrittleError
from brittle.geometry.norms import L1, L2, LINF, Lp, NormLike
from brittle.visibility.spaces import SPACES, Where

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
        ("fgsm,epsilon=0.1", "attack 'fgsm' has no option 'epsilon'; eps is what you mean"),
        ("fgsm,zzz=0.1", "attack 'fgsm' has no option 'zzz'; known: box, eps, loss, norm"),
        ("fgsm,norm=lnif", "unknown norm 'lnif'; did you mean 'linf'?"),
        (
            "fgsm,norm=l0",
            "expected norm l1, l2, linf or lP, got l0; l0 is a norm of few-pixel, pixel-search, sparse-rs, standard",
        ),
        (
            "deepfool,norm=0",
            "expected norm l1, l2, linf or lP, got l0; l0 is a norm of minimal, pixel-greedy, sigma-zero",
        ),
        ("AutoAttack", "unknown attack 'AutoAttack'; here it is standard (AutoAttack's ensemble"),
        ("c&w", "unknown attack 'c&w'; here it is minimal,norm=l2 ("),
        ("boundary-attack", "unknown attack 'boundary-attack'; here it is hopskipjump ("),
        ("patch", "unknown attack 'patch'; there is none here: "),
        ("pgd,alpha=2/255", "attack 'pgd' has no option 'alpha'; step_size is what you mean"),
        ("penalised,max_iter=3", "attack 'penalised' has no option 'max_iter'; steps is what you mean"),
        ("square,p_init=1", "attack 'square' has no option 'p_init'; p is what you mean"),
        ("pgd,p=2", "attack 'pgd' has no option 'p'; norm is what you mean"),
        ("pgd,targeted=yes", "attack 'pgd' has no option 'targeted'; the goal says it: --target CLASS"),
        ("minimal,eps=1", "attack 'minimal' has no option 'eps'; it has norm; eps belongs to apgd, "),
        (
            "fgsm,num_steps=1",
            "attack 'fgsm' has no option 'num_steps'; it has box, eps, loss, norm; steps belongs to apgd",
        ),
        ("fgsm,eps", "expected field=value after the attack's name, got 'eps' in 'fgsm,eps'"),
        ("fgsm,eps=", "expected field=value after the attack's name, got 'eps=' in 'fgsm,eps='"),
        ("fgsm,=1", "expected field=value after the attack's name, got '=1' in 'fgsm,=1'"),
        ("fgsm,eps=1,eps=2", "option 'eps' is given twice in 'fgsm,eps=1,eps=2'"),
        ("fgsm,eps=-1", "expected a finite eps >= 0, got -1.0"),
        ("fgsm,eps=8", "expected eps <= 1 in linf, as pixels are in [0, 1] (8 grey levels are 8/255), got 8"),
        ("fgsm,eps=-8/255", "expected a finite eps >= 0, got -0.03"),
        ("fgsm,eps=nan", "expected a finite eps >= 0, got nan"),
        ("fgsm,eps=much", "expected eps as a number >= 0, got 'much'"),
        ("fgsm,eps=8/0", "expected eps as a number >= 0, got '8/0'"),
        ("fgsm,eps=1.2.3/4", "expected eps as a number >= 0, got '1.2.3/4'"),
        ("fgsm,eps=none", "expected eps as a number >= 0, got 'none'"),
        ("fgsm,eps=0.1:", "expected eps as a number >= 0, got ''"),
        ("pgd,steps=1.5", "expected steps as a whole number >= 1, got '1.5'"),
        ("pgd,step_size=short", "expected step_size as a number > 0, or none, got 'short'"),
        ("penalised,optimiser=adm", "expected optimiser sgd, adam or lbfgs, got 'adm'; did you mean 'adam'?"),
        ("craft,space=drak", "unknown space 'drak'; did you mean 'dark'?"),
        ("craft,space=dark(2)", "expected threshold from 0 to 1, got 2.0"),
        ("craft,space=band(0.3)", "expected band(low, high) with low < high, got band(0.3, 0.25)"),
        ("craft,space=dark(0.1,0.2)", "expected at most 1 values for dark, got 2"),
        ("perturbation", "expected perturbation,file=..., got no file"),
        ("pgd,steps=0", "expected steps >= 1, got 0"),
        ("pgd,random_start=maybe", "expected random_start as true or false, got 'maybe'"),
        ("pgd(eps=0.1", "expected as many closing as opening parentheses, got 'pgd(eps=0.1'"),
        ("pgd(eps=0.1))", "expected as many closing as opening parentheses, got 'pgd(eps=0.1))'"),
        ("pgd)eps=0.1(", "expected as many closing as opening parentheses, got 'pgd)eps=0.1('"),
        ("restarts(attack=pgd(eps=0.1), times=3", "expected as many closing as opening parentheses, got 'restarts("),
        ("pgd(0.1)", "expected field=value after the attack's name, got '0.1' in 'pgd(0.1)'"),
        ("restarts(pgd)", "expected field=value after the attack's name, got 'pgd' in 'restarts(pgd)'"),
        ("restarts(attack=)", "expected field=value after the attack's name, got 'attack=' in 'restarts(attack=)'"),
        ("restarts(attack=pdg)", "unknown attack 'pdg'; did you mean 'pgd'?"),
        ("restarts(attack=pgd(epsilon=0.1))", "attack 'pgd' has no option 'epsilon'; eps is what you mean"),
        ("restarts(attack=pgd(eps=-1))", "expected a finite eps >= 0, got -1"),
        ("restarts(attack=pgd,times=0)", "expected times >= 1, got 0"),
        (
            "restarts(attack=pgd(eps=0.1:0.2))",
            "expected one attack, not a sweep; got 'pgd(eps=0.1:0.2)'",
        ),
        (
            "best-of(attacks=fgsm + pgd(eps=0.1:0.2))",
            "expected one attack, not a sweep; got 'pgd(eps=0.1:0.2)'",
        ),
        ("best-of(attacks=fgsm +)", "unknown attack ''; known: "),
        (
            "best-of(attacks=fgsm + deepfool)",
            "expected attacks of one kind, norm and eps (fgsm(eps=8/255) is budget linf with eps ",
        ),
        ("restarts(attack=fgsm + pgd)", "unknown attack 'fgsm + pgd'; did you mean 'fgsm'?"),
        (
            "restarts(attack=universal-sgd)",
            "expected an attack, got the fitter universal-sgd; it fits one perturbation",
        ),
        (
            "universal",
            "expected an attack, got the fitter universal; it fits one perturbation to many images: run `brittle",
        ),
        ("deepfool(norm=l1)(norm=l2)", "unknown norm 'l1)(norm=l2'; "),
    ],
)
def test_mistakes_are_answered_in_one_line(text: str, message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        attacks_from(text)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_build_takes_values_of_python_too() -> None:
    assert ATTACKS.build("pgd", {"norm": L2, "eps": 1, "steps": 3, "random_start": True, "step_size": None}) == PGD(
        norm=L2, eps=1.0, steps=3, random_start=True
    )
    assert ATTACKS.build("pgd", {"norm": "l2"}) == PGD(norm=L2)
    with pytest.raises(BrittleError, match=r"expected eps as a number >= 0, got \[1\]"):
        ATTACKS.build("fgsm", {"eps": [1]})


# ---- names of elsewhere


@pytest.mark.parametrize("row", ATTACKS_THERE, ids=lambda row: row.field or row.here)
def test_what_a_foreign_name_leads_to_can_be_made(row: Any) -> None:
    """As typed, so that a table of names cannot outlive an attack or an option."""
    names = [*row.field.split(), *(name for names in row.by_library.values() for name in names)]
    assert names
    if row.here:
        registry = FITTERS if row.here in FITTERS else ATTACKS
        assert registry.holds(registry.one(row.here))
    for name in names:
        if name.lower() in ATTACKS:
            continue
        said = attack_here(name)
        assert said is not None
        with pytest.raises(BrittleError, match=re.escape(f"unknown attack {name!r}; {said}")):
            attacks_from(name)


def test_what_a_foreign_option_leads_to_is_an_option() -> None:
    known = {key for entry in EVERYTHING for key in options_of(entry.type)}
    for row in OPTIONS_THERE:
        assert row.here or row.why
        assert set(row.here.split()) <= known


# ---- back to text


@pytest.mark.parametrize(
    ("attack", "label"),
    [
        (DeepFool(), "deepfool"),
        (DeepFool(norm=LINF), "deepfool(norm=linf)"),
        (DeepFool(norm="linf"), "deepfool(norm=linf)"),
        (DeepFool(norm=L2, overshoot=0.02), "deepfool"),
        (FGSM(), "fgsm(eps=8/255)"),
        (FGSM(eps=0.0314), "fgsm(eps=0.0314)"),
        (Square(norm=L1, eps=1200), "square(eps=1200, norm=l1)"),
        (FGSM(eps=1 / 255, box=False), "fgsm(eps=1/255, box=False)"),
        (
            PGD(norm=Lp(1.5), step_size=0.25, random_start=True),
            "pgd(eps=8/255, norm=l1.5, step_size=0.25, random_start=True)",
        ),
        (PGD(step_size=2 / 255), "pgd(eps=8/255, step_size=2/255)"),
        (Restarts(), "restarts(attack=pgd(eps=8/255, random_start=True))"),
        (Restarts(attack=FGSM(), times=3), "restarts(attack=fgsm(eps=8/255), times=3)"),
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
    assert ATTACKS.build(entry_of(attack).name, config) == attack


def test_config_of_a_wrapper_has_the_names_and_options_of_what_it_holds() -> None:
    both = BestOf(attacks=(FGSM(norm=L2, eps=0.5), PGD(norm=L2, eps=0.5)))
    config = json.loads(json.dumps(config_of(Restarts(attack=both, times=2))))
    assert config["times"] == 2
    assert config["attack"]["name"] == "best-of"
    held = config["attack"]["attacks"]
    assert [one["name"] for one in held] == ["fgsm", "pgd"]
    assert held[0] == {"name": "fgsm", "norm": "l2", "eps": 0.5, "box": True, "loss": "log-odds"}
    assert set(held[1]) == {"name", *(field.name for field in dataclasses.fields(PGD))}


@pytest.mark.parametrize("thing", ["deepfool", DeepFool, None])
def test_only_instances_of_registered_attacks_are_attacks(thing: Any) -> None:
    with pytest.raises(BrittleError, match=r"expected a registered attack such as DeepFool\(\), got "):
        label_of(thing)


# ---- registering


def test_entries_say_what_their_classes_say() -> None:
    for name, entry in ATTACKS.items():
        assert entry.name == name == name.lower()
        assert entry.kind in ("budget", "minimal", "faint", "wrapper")
        assert entry.access in ("gradient", "score", "decision")
        assert entry.paper
        assert bool(entry.norms) == (entry.kind in ("budget", "minimal"))  # a wrapper has the norms of what it holds
        assert entry.goals
        assert entry.summary.endswith(".")
        for key, one in entry.fields().items():
            assert one.help, f"no help for {key} of {name}"
        assert "eps" in entry.fields() or entry.kind != "budget"


def test_fields_are_those_of_the_dataclass() -> None:
    fields = ATTACKS["pgd"].fields()
    assert list(fields) == ["norm", "eps", "steps", "step_size", "random_start", "momentum"]
    assert (fields["steps"].hint, fields["steps"].default, fields["steps"].at_least) == (int, 10, 1)
    assert fields["steps"].help == "gradient steps at the most; an image leaves the loop at its first success"
    assert (fields["step_size"].hint, fields["step_size"].default, fields["step_size"].above) == (float | None, None, 0)


def test_registering_makes_a_name_and_two_of_one_name_collide(registry: Any) -> None:
    def enrol(name: str) -> type:
        @dataclass(frozen=True, kw_only=True)
        class Fresh:
            """Does nothing.

            At length.
            """

            norm: NormLike = option(L2, "norm", among=(L2, LINF))
            tries: int = option(3, "tries")

            def __call__(self) -> None: ...

        return register(name, paper="none", kind="minimal", goals=("untargeted",), access="score", cost="F")(Fresh)

    made = enrol("fresh")
    entry = registry["fresh"]
    assert (entry.type, entry.summary, entry.access, entry.norms) == (made, "Does nothing.", "score", ("l2", "linf"))
    assert attacks_from("fresh,tries=4") == [made(tries=4)]
    assert label_of(made(tries=4)) == "fresh(tries=4)"
    with pytest.raises(ValueError, match="two attacks are called 'fresh'"):
        enrol("fresh")
    assert registry["fresh"].type is made


# ---- options: what each says holds, by registration


def _samples(one: Option) -> tuple[list[Any], list[Any]]:
    """Values at the edges that an option allows, and those just beyond, or of another type, that it does not."""
    if one.type not in (int, float):
        wrong: list[Any] = [[], 1j] if one.of or one.is_norm or one.type is bool else [1j]
        return list(one.choices), [*wrong, *(["nothing of this name"] if one.choices or one.of or one.is_norm else [])]
    step = 1 if one.type is int else 1e-9
    good = [edge for edge in (one.at_least, one.at_most) if edge is not None]
    good += [edge + sign * step for edge, sign in ((one.above, 1), (one.below, -1)) if edge is not None]
    bad = [edge + sign * step for edge, sign in ((one.at_least, -1), (one.at_most, 1)) if edge is not None]
    bad += [edge for edge in (one.above, one.below) if edge is not None]
    never = ["1", True, 1j, None] if not one.optional else ["1", True]
    return [one.type(value) for value in good], [*bad, *never, float("nan"), float("inf")]


EVERYTHING: list[Any] = [*ATTACKS.values(), *FITTERS.values(), *SPACES.values()]


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.name)
def test_each_option_takes_what_it_says_and_refuses_the_rest(entry: Any) -> None:
    """In one line, which says what was expected; whole ones are made with each, wherever fields do not depend."""
    for name, one in options_of(entry.type).items():
        good, bad = _samples(one)
        assert one.bounds or one.type not in (int, float) or name == "clamp", f"{name} may be any number"
        for value in good:
            assert one.accept(value) == value
        for value in bad:
            with pytest.raises(BrittleError) as refused:
                entry.type(**{name: value})
            assert "\n" not in str(refused.value)
            assert str(refused.value).startswith(("expected", "unknown"))


def test_values_become_what_the_option_holds() -> None:
    made = PGD(norm="l2", eps=1, step_size=numpy.float32(0.5), steps=numpy.int64(3))
    assert (made.norm, repr(made.eps), repr(made.step_size), repr(made.steps)) == (L2, "1.0", "0.5", "3")
    assert dataclasses.replace(made, norm="linf").norm == LINF
    assert pickle.loads(pickle.dumps(made)) == made
    text: Any = "pgd(eps=0.1)"
    assert Restarts(attack=text) == Restarts(attack=PGD(eps=0.1))


def test_a_default_that_its_option_refuses_is_no_default(registry: Any) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wrong:
        """Wrong."""

        tries: int = option(0, "tries", at_least=1)

    with pytest.raises(BrittleError, match="expected tries >= 1, got 0"):
        register("wrong", paper="none", kind="minimal", norms=("l2",), cost="F")(Wrong)
    assert "wrong" not in registry


def test_the_schema_says_what_the_options_say() -> None:
    properties = schema_of(ATTACKS["pgd"])["properties"]
    assert (properties["steps"]["type"], properties["steps"]["minimum"], properties["steps"]["default"]) == (
        "integer",
        1,
        10,
    )
    assert properties["step_size"] == {
        "description": "size of one step; default 2.5 * eps / steps",
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "default": None,
    }
    assert schema_of(ATTACKS["penalised"])["properties"]["optimiser"]["enum"] == ["sgd", "adam", "lbfgs"]
    assert schema_of(ATTACKS["perturbation"])["required"] == ["file"]
    for entry in EVERYTHING:
        json.dumps(schema_of(entry))


def test_registries_and_their_labels_go_round() -> None:
    where = Where.of("dark(0.4)+band(0, 0.3)+pixels")
    assert str(where) == "dark(0.4)+band(0, 0.3)+pixels"
    assert Where.of(str(where)) == where == Where.of("dark(threshold=0.4) + band(high=0.3) + pixels")
    assert FITTERS.one("universal,norm=linf,eps=8/255,attack=deepfool(overshoot=0)") == Universal(
        norm=LINF, eps=8 / 255, attack=DeepFool(overshoot=0.0)
    )
    with pytest.raises(BrittleError, match="expected a fitter, got the attack pgd; it attacks each image"):
        FITTERS.one("pgd")
