"""Smoothing: exact bounds, and certificates where the truth is known."""

import math

import pytest
import torch

import brittle
from brittle.defend import Smoothed, Smoothing, defended
from brittle.defend.binomial import at_least, is_ahead, tail
from brittle.measure import Budget, every_sides, judge_defences
from laws.worlds import linear_world, trained_world


def test_bounds_of_shares_are_exact() -> None:
    assert at_least(100, 100, 0.001) == pytest.approx(0.001 ** (1 / 100))
    assert at_least(0, 50, 0.001) == 0
    for count, of, alpha in ((7, 10, 0.05), (90, 100, 0.001), (501, 1000, 0.01)):
        assert tail(count, of, at_least(count, of, alpha)) == pytest.approx(alpha, rel=1e-6)
    assert at_least(7, 10, 0.05) == pytest.approx(0.3934, abs=1e-4)  # Clopper and Pearson's tables
    assert tail(2, 3, 0.5) == pytest.approx(0.5)
    assert (is_ahead(10, 0, 0.002), is_ahead(9, 1, 0.002), is_ahead(5, 5, 0.9)) == (True, False, False)


def test_a_certificate_of_a_plane_is_its_distance_and_never_more() -> None:
    """Under noise a linear classifier's smoothed boundary is its own, and the certificate is tight (Cohen et al.)."""
    world, distance = linear_world(2)
    for sd in (distance, 2 * distance):
        smoothed = defended(world.classifier(), Smoothing(sd=sd, certify=4000, alpha=0.001))
        assert isinstance(smoothed, Smoothed)
        found = smoothed.certificate(world.images)
        assert torch.equal(found.prediction, world.labels)
        assert bool((found.radius <= distance).all())
        # At twice the distance the share is 0.69, its bound by 4,000 votes 0.67 and the radius 0.87 of the distance;
        # chance moves that by 0.02.
        assert bool((found.radius >= 0.75 * distance).all())


def test_a_radius_is_no_larger_than_so_many_votes_can_show() -> None:
    world, distance = linear_world(2)
    sure = defended(world.classifier(), Smoothing(sd=distance / 20, certify=200, alpha=0.01))
    assert isinstance(sure, Smoothed)
    most = distance / 20 * math.sqrt(2) * torch.erfinv(torch.tensor(2 * 0.01 ** (1 / 200) - 1, dtype=torch.float64))
    torch.testing.assert_close(sure.certificate(world.images).radius, most.expand(6), rtol=1e-6, atol=0)


def test_a_close_vote_is_no_answer() -> None:
    world, distance = linear_world(2)
    certain, torn = (defended(world.classifier(), Smoothing(sd=times * distance)) for times in (0.5, 50))
    assert torch.equal(certain.logits(world.images, plain=True).argmax(1), world.labels)
    assert torn.logits(world.images, plain=True).argmax(1).tolist().count(2) >= 3
    assert certain.reject == 2


@pytest.mark.usefixtures("without_report")
def test_no_attack_gets_inside_a_certified_radius(tmp_path: object) -> None:
    world = trained_world()
    data = (world.images[:20], world.labels[:20])
    attacks: list[brittle.attacks.Attack] = [brittle.APGD(norm="l2", eps=0.3, steps=20), brittle.Minimal(norm="l2")]
    how = Smoothing(sd=0.25, samples=50, certify=300, draws=8)
    made = brittle.audit({"net": world.classifier()}, data, attacks, out=str(tmp_path), defences=[how])
    certified = made.certificates
    assert len(certified) == 20
    assert (certified["radius"] > 0).mean() > 0.5
    at = [Budget(norm="l2", eps=eps) for eps in (0.1, 0.3, 5.0)]
    figures = judge_defences(every_sides(made.manifest, made.records, made.transfers), certified, at).defences
    for one in figures:
        assert one.inside == 0
        assert (one.certified.count or 0) <= (one.figure.count or 0)
    counts = [one.certified.count or 0 for one in figures]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 0 == counts[2]


@pytest.mark.usefixtures("without_report")
def test_what_is_not_answered_is_not_left_whatever_is_proven(tmp_path: object) -> None:
    """Three of four votes are enough for a certificate by 1,000, and not for an answer by 11."""
    world, distance = linear_world(2)
    how = Smoothing(sd=1.5 * distance, samples=11)
    data = (world.images, world.labels)
    made = brittle.audit({"net": world.classifier()}, data, [brittle.FGSM(eps=0.0)], out=str(tmp_path), defences=[how])
    assert (made.certificates["radius"] > 0).all()
    at = [Budget(norm="l2", eps=1e-6)]
    every = every_sides(made.manifest, made.records, made.transfers)
    (one,) = judge_defences(every, made.certificates, at).defences
    assert one.certified.count == one.clean.count != len(world.images)


@pytest.mark.parametrize(("few", "enough"), [({"samples": 10}, {"samples": 11}), ({"certify": 9}, {"certify": 10})])
def test_votes_that_can_never_be_enough_are_refused(few: dict[str, int], enough: dict[str, int]) -> None:
    Smoothing(**enough)
    with pytest.raises(brittle.BrittleError, match=r"they are too few for alpha=0\.001"):
        Smoothing(**few)
