"""The one door to a network: what goes in, what comes out, what is counted and what is left alone."""

import copy
from collections.abc import Callable

import pytest
import torch
from sklearn.dummy import DummyClassifier
from torch import Tensor, nn

import brittle
from brittle.errors import BrittleError
from brittle.goals import Targeted, Untargeted
from brittle.models.architectures.cifar_resnet import CifarResNet
from brittle.models.black_box import BlackBox
from brittle.models.network import Network
from laws.worlds import Deaf

MEAN, STD = (0.2, 0.4, 0.6), (0.5, 0.25, 0.125)


pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network with random weights and random batch-norm statistics, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = make()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


def images_of(count: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(count, *(shape or (3, 8, 8)), generator=torch.Generator().manual_seed(seed))


class Small(nn.Module):
    """Two convolutions with batch norm, dropout and a linear layer; ``calls`` counts passes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.relu, self.dropout, self.linear = nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(images)))
        hidden = self.relu(self.bn2(self.conv2(hidden)) + hidden[:, :, 1:-1:2, 1:-1:2])
        logits: Tensor = self.linear(self.dropout(hidden.mean((2, 3))))
        return logits


class Branching(Small):
    """Looks at its data: torch.fx cannot trace it."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.mean() > 0 else -images)


def normalised(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def plainly(net: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = net(images)
    return logits


# ---- pixels to logits


def test_normalisation_is_inside() -> None:
    net, images = seeded(Small), images_of(6)
    expected = plainly(net, normalised(images))
    for fast in (True, False):
        classifier = Network(net, mean=MEAN, std=STD, fast=fast)
        torch.testing.assert_close(classifier.logits(images), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(classifier.logits(images, plain=True), expected)
    assert torch.equal(Network(net, fast=False).logits(images), plainly(net, images))


def test_gradient_is_that_of_the_goal_in_the_pixels() -> None:
    net, images, labels = seeded(Small).double(), images_of(6).double(), torch.arange(6) % 5
    for goal in (Untargeted(labels), Targeted(labels)):
        leaf = images.clone().requires_grad_()
        (expected,) = torch.autograd.grad(goal.loss(net(normalised(leaf)).float()).sum(), leaf)
        for fast in (True, False):
            logits, gradient = Network(net, mean=MEAN, std=STD, fast=fast, batch_size=4).gradient(images, goal.loss)
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)
            torch.testing.assert_close(logits, net(normalised(images)).float(), rtol=1e-4, atol=1e-6)
            assert not logits.requires_grad
            assert not gradient.requires_grad


def test_pullback_differentiates_any_combination_as_often_as_needed() -> None:
    net, images = seeded(Small), images_of(5)
    logits, pullback = Network(net).linearize(images)
    for k in (3, 0, 3):
        cotangents = torch.zeros_like(logits)
        cotangents[:, k] = 2
        leaf = images.clone().requires_grad_()
        (expected,) = torch.autograd.grad(2 * net(leaf)[:, k].sum(), leaf)
        torch.testing.assert_close(pullback(cotangents, more=True), expected, rtol=1e-4, atol=1e-6)


def test_single_logit_is_two_classes() -> None:
    images = images_of(4)
    flat, column = nn.Sequential(nn.Flatten(), nn.Linear(192, 1), nn.Flatten(0)), nn.Sequential()
    column.extend(list(flat)[:2])
    for net in (flat, column):
        classifier = Network(net)
        logits = classifier.logits(images)
        assert logits.shape == (4, 2)
        assert not logits[:, 0].any()
        torch.testing.assert_close(logits[:, 1], plainly(column, images)[:, 0])
        torch.testing.assert_close(logits.softmax(1)[:, 1], plainly(column, images)[:, 0].sigmoid())
        assert classifier.num_classes == 2


def test_half_precision_logits_come_back_as_float() -> None:
    class Half(Small):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).to(torch.bfloat16)

    assert Network(seeded(Half)).logits(images_of(4)).dtype == torch.float32


# ---- the fast path


@pytest.mark.parametrize("make", [CifarResNet, Small])
def test_fast_path_is_taken_and_equals_the_plain_network(make: Callable[[], nn.Module]) -> None:
    net, images = seeded(make), images_of(8, 3, 32, 32)
    classifier = Network(net, mean=MEAN, std=STD)
    assert not classifier.is_fast  # nothing seen yet
    fast, plain = classifier.logits(images), plainly(net, normalised(images))
    assert classifier.is_fast
    assert float((fast - plain).abs().max()) <= 1e-4 * float(plain.abs().max())
    assert float(plain.std(0).max()) > 0.01  # the network does look at its input
    goal = Untargeted(torch.zeros(8, dtype=torch.int64))
    _, gradient = classifier.gradient(images, goal.loss)
    _, expected = Network(net, mean=MEAN, std=STD, fast=False).gradient(images, goal.loss)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast_copy(classifier).modules())


def fast_copy(classifier: Network) -> nn.Module:
    taken = classifier._fast.taken("fp32")
    assert taken is not None
    return taken


def test_fast_path_can_be_declined() -> None:
    classifier = Network(seeded(Small), fast=False)
    classifier.logits(images_of(4))
    assert not classifier.is_fast


def add_one(net: Small) -> None:
    with torch.no_grad():
        net.linear.weight.add_(1)


def shift_statistics(net: Small) -> None:
    assert net.bn1.running_mean is not None
    net.bn1.running_mean.add_(1)


def load_others(net: Small) -> None:
    net.load_state_dict(seeded(Small, seed=9).state_dict())


def train_a_step(net: Small) -> None:
    optimiser = torch.optim.SGD(net.parameters(), lr=10.0)
    torch.autograd.backward(net(images_of(4)).square().sum())
    optimiser.step()
    optimiser.zero_grad()


@pytest.mark.parametrize("change", [add_one, shift_statistics, load_others, train_a_step])
def test_changed_weights_are_never_served_from_a_stale_copy(change: Callable[[Small], None]) -> None:
    net, images = seeded(Small), images_of(6)
    assert isinstance(net, Small)
    classifier = Network(net)
    before = classifier.logits(images)
    assert classifier.is_fast
    change(net)
    after = classifier.logits(images)
    assert classifier.is_fast
    torch.testing.assert_close(after, plainly(net, images), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after, before, rtol=1e-2)


def test_network_that_cannot_be_traced_works_plainly() -> None:
    net, images = seeded(Branching), images_of(6)
    classifier = Network(net)
    assert torch.equal(classifier.logits(images), plainly(net, images))
    assert not classifier.is_fast
    _, gradient = classifier.gradient(images, Untargeted(torch.zeros(6, dtype=torch.int64)).loss)
    assert gradient.any()


def test_hooks_are_called() -> None:
    net, images, seen = seeded(Small), images_of(6), []
    net.conv2.register_forward_hook(lambda module, given, output: seen.append(len(output)))  # type: ignore[union-attr]
    classifier = Network(net)
    classifier.logits(images)
    assert not classifier.is_fast
    assert seen == [6]


def test_copy_that_computes_something_else_is_not_used() -> None:
    class TwoFaced(Small):
        """Answers differently while it is traced."""

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) + (0.0 if isinstance(images, Tensor) else 0.5)

    net, images = seeded(TwoFaced), images_of(6)
    classifier = Network(net)
    assert torch.equal(classifier.logits(images), plainly(net, images))
    assert not classifier.is_fast


# ---- batches and counts


def test_batch_size_does_not_matter() -> None:
    images, labels = images_of(11), torch.arange(11) % 5
    whole = Network(seeded(Small), batch_size=11)
    logits, gradient = whole.gradient(images, Untargeted(labels).loss)
    for size in (1, 2, 4, 5):
        parts = Network(seeded(Small), batch_size=size)
        chunks = [labels[rows] for rows in parts.chunks(11)]
        assert torch.equal(torch.cat(chunks), labels)
        assert len(chunks) == -(-11 // size)
        assert max(map(len, chunks)) <= size
        torch.testing.assert_close(parts.logits(images), logits)
        torch.testing.assert_close(parts.gradient(images, Untargeted(labels).loss)[1], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("make", [CifarResNet, Small])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_few_rows_get_bitwise_the_logits_of_a_larger_batch(
    make: Callable[[], nn.Module], fast: bool, threads: int
) -> None:
    torch.set_num_threads(threads)
    images = images_of(8, 3, 32, 32)
    classifier = Network(seeded(make), fast=fast)
    many = classifier.logits(images)
    for count in (1, 2, 3):
        assert torch.equal(classifier.logits(images[:count]), many[:count]), f"{count} rows"
        assert torch.equal(classifier.linearize(images[5 : 5 + count])[0], many[5 : 5 + count]), f"{count} rows"


def test_empty_batch() -> None:
    classifier = Network(seeded(Small), class_names=list("abcde"))
    empty = images_of(0)
    assert classifier.logits(empty).shape == (0, 5)
    logits, gradient = classifier.gradient(empty, Untargeted(torch.zeros(0, dtype=torch.int64)).loss)
    assert (logits.shape, gradient.shape) == ((0, 5), empty.shape)
    assert (classifier.forwards, classifier.backwards) == (0, 0)


def test_passes_are_counted_by_example() -> None:
    classifier, images = Network(seeded(Small), batch_size=4), images_of(6)
    labels = torch.zeros(6, dtype=torch.int64)
    counts = []

    def count() -> None:
        counts.append((classifier.forwards, classifier.backwards))

    classifier.logits(images)
    count()
    classifier.logits(images[:1], plain=True)  # padding is no pass of anyone's
    count()
    classifier.gradient(images, Untargeted(labels).loss)
    count()
    logits, pullback = classifier.linearize(images[:3])
    count()
    cotangents = torch.zeros_like(logits)
    cotangents[1] = 1
    pullback(cotangents, more=True)  # only one row asks
    count()
    pullback(torch.ones_like(logits))
    count()
    assert counts == [(6, 0), (7, 0), (13, 6), (16, 6), (16, 7), (16, 10)]


# ---- what is left alone


def test_every_module_gets_its_own_mode_back() -> None:
    net, images = seeded(Small), images_of(6)
    expected = plainly(net, images)
    net.train()
    net.bn1.eval()  # type: ignore[union-attr]
    before = {name: module.training for name, module in net.named_modules()}
    statistics = copy.deepcopy(net.state_dict())
    for fast in (True, False):
        torch.testing.assert_close(Network(net, fast=fast).logits(images), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(Network(net).logits(images, plain=True), expected)
    assert {name: module.training for name, module in net.named_modules()} == before
    assert all(torch.equal(value, statistics[name]) for name, value in net.state_dict().items())


def test_modes_come_back_after_an_error() -> None:
    class Failing(Small):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("out of order")

    net = Failing().train()
    with pytest.raises(RuntimeError, match="out of order"):
        Network(net).logits(images_of(4))
    assert all(module.training for module in net.modules())


def test_gradients_and_grad_mode_are_left_alone() -> None:
    net = seeded(Small)
    with torch.no_grad():
        _, gradient = Network(net).gradient(images_of(4), Untargeted(torch.zeros(4, dtype=torch.int64)).loss)
        assert not torch.is_grad_enabled()
    assert gradient.any()
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


# ---- facts and refusals


def test_fingerprint_is_that_of_the_function() -> None:
    def fingerprint(net: nn.Module, mean: tuple[float, ...] = MEAN) -> str:
        return Network(net, mean=mean, std=STD).fingerprint

    net = seeded(Small)
    same = fingerprint(net)
    assert fingerprint(copy.deepcopy(net)) == same
    assert fingerprint(net.train()) == same  # it is always run in eval mode
    assert len(same) == 64
    assert fingerprint(net, mean=(0.2, 0.4, 0.5)) != same
    assert fingerprint(seeded(Small, seed=1)) != same
    shift_statistics(net)  # type: ignore[arg-type]
    assert fingerprint(net) != same


def test_number_of_classes() -> None:
    assert Network(seeded(Small), class_names=list("abcde")).num_classes == 5
    classifier = Network(seeded(Small))
    with pytest.raises(BrittleError, match="known after the first pass"):
        _ = classifier.num_classes
    classifier.logits(images_of(4))
    assert classifier.num_classes == 5


class Answering(nn.Module):
    """Returns whatever ``answer`` makes of the images."""

    def __init__(self, answer: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> object:
        return self.answer(images)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda images: {"logits": images.flatten(1)},
            "expected the network to return logits [B, K], got dict; wrap it in a module that returns the logits alone",
        ),
        (
            lambda images: (images.flatten(1), None),
            "expected the network to return logits [B, K], got tuple; wrap it in a module that returns the logits"
            " alone",
        ),
        (lambda images: images, "expected logits [6, K] from the network, got shape (6, 3, 8, 8)"),
        (lambda images: images.flatten(1)[:2], "expected logits [6, K] from the network, got shape (2, 192)"),
        (lambda images: images.sum(), "expected logits [6, K] from the network, got shape ()"),
    ],
)
def test_output_that_is_not_logits_is_refused(answer: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        Network(Answering(answer)).logits(images_of(6))
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": (0.5,)}, "expected mean and std together, one number per channel"),
        ({"mean": (0.5,), "std": (1, 1)}, "expected mean and std together, one number per channel"),
        ({"mean": (0.5,), "std": (0.0,)}, "expected a positive std, got (0.0,)"),
        ({"mean": "abc", "std": (1,)}, "expected mean as one number per channel, got 'abc'"),
        ({"mean": (0.5,), "std": (float("nan"),)}, "expected std as one finite number per channel, got (nan,)"),
        ({"batch_size": 0}, "expected batch_size as a whole number of at least 1, got 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        Network(seeded(Small), **options)  # type: ignore[arg-type]
    assert str(refused.value) == message


def test_only_modules_are_networks() -> None:
    with pytest.raises(BrittleError, match=r"^expected a torch\.nn\.Module, got function$"):
        Network(images_of)  # type: ignore[arg-type]
    with pytest.raises(BrittleError, match=r"got DummyClassifier; brittle\.BlackBox takes it$"):
        Network(DummyClassifier())
    with pytest.raises(BrittleError, match=r"^Linear is a torch\.nn\.Module: brittle\.Network takes it$"):
        BlackBox(nn.Linear(2, 2))


def test_wrong_channels_and_class_names_are_refused() -> None:
    with pytest.raises(BrittleError, match=r"expected images with 3 channels \(mean and std have as many\), got 1"):
        Network(seeded(Small), mean=MEAN, std=STD).logits(images_of(4, 1, 8, 8))
    with pytest.raises(BrittleError, match=r"expected one class name per logit \(5\), got 2"):
        Network(seeded(Small), class_names=["cat", "dog"]).logits(images_of(4))


class _Small(nn.Module):
    """Convolution, batch norm, ReLU: what the fast path folds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.relu(self.bn(self.conv(images))).mean((2, 3)))
        return logits


class _ByKeyword(_Small):
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.bn(input=self.conv(input=images))).mean((2, 3)))
        return logits


class _SharedReLU(_Small):
    def forward(self, images: Tensor) -> Tensor:
        hidden = self.relu(self.bn(self.conv(images)))
        logits: Tensor = self.head(self.relu(torch.tanh(hidden - 0.5)).mean((2, 3)))
        return logits


def _weight_normed() -> nn.Module:
    net = _Small()
    net.conv = nn.utils.parametrizations.weight_norm(net.conv)
    return net


@pytest.mark.parametrize("make", [_Small, _ByKeyword, _SharedReLU, _weight_normed])
def test_networks_that_are_hard_to_fold_give_the_plain_gradient(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net, images = make().eval(), torch.rand(5, 1, 8, 8)
    goal = Untargeted(torch.zeros(5, dtype=torch.int64))
    fast, plain = Network(net).gradient(images, goal.loss), Network(net, fast=False).gradient(images, goal.loss)
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert plain[1].abs().max() > 0


def _write(net: _Small) -> None:
    with torch.no_grad():
        net.head.weight.add_(1)


def _exchange_module(net: _Small) -> None:
    net.head = nn.Linear(4, 3)


def _exchange_parameter(net: _Small) -> None:
    net.head.weight = nn.Parameter(torch.ones(3, 4))


def _exchange_storage(net: _Small) -> None:
    net.head.weight.data = torch.ones(3, 4)


def _assign(net: _Small) -> None:
    net.load_state_dict(_Small().state_dict(), assign=True)


def _hook(net: _Small) -> None:
    net.head.register_forward_hook(lambda module, arguments, output: output * 2)


@pytest.mark.parametrize("change", [_write, _exchange_module, _exchange_parameter, _exchange_storage, _assign, _hook])
def test_a_network_that_changes_after_a_pass_is_never_answered_for_by_a_stale_copy(
    change: Callable[[_Small], None],
) -> None:
    torch.manual_seed(0)
    net, images = _Small().eval(), torch.rand(5, 1, 8, 8)
    classifier = Network(net)
    before = classifier.logits(images)
    assert classifier.is_fast
    change(net)
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(images), net(images), rtol=1e-4, atol=1e-6)
    assert (classifier.logits(images) - before).abs().max() > 1e-3


def test_attacks_work_inside_inference_mode_and_on_images_that_require_grad() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    images = torch.rand(5, 1, 8, 8)
    labels = Network(net).logits(images).argmax(1)
    expected = brittle.attack(Network(net), images, labels, brittle.DeepFool())
    assert expected.fooled.all()
    with torch.inference_mode():
        inside = brittle.attack(Network(net), images.clone(), labels, brittle.DeepFool())
    assert torch.equal(inside.images, expected.images)
    grown = brittle.attack(Network(net), images.clone().requires_grad_(), labels, brittle.DeepFool())
    assert not grown.images.requires_grad
    assert torch.equal(grown.images, expected.images)


class _WritesIntoItsInput(_Small):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.sub_(0.5))


def test_a_network_that_writes_into_its_input_leaves_the_images_alone() -> None:
    torch.manual_seed(0)
    net, images = _WritesIntoItsInput().eval(), torch.rand(5, 1, 8, 8)
    kept = images.clone()
    for classifier in (Network(net), Network(net, fast=False)):
        logits, gradient = classifier.gradient(images, Untargeted(torch.zeros(5, dtype=torch.int64)).loss)
        torch.testing.assert_close(classifier.logits(images, plain=True), logits, rtol=1e-4, atol=1e-6)
        assert torch.equal(images, kept)
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_network_of_another_precision_takes_float32_images_and_gives_float32_logits(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net, images = _Small().eval(), torch.rand(5, 1, 8, 8)
    expected = Network(net).logits(images)
    logits, gradient = Network(copy.deepcopy(net).to(dtype)).gradient(
        images, Untargeted(torch.zeros(5, dtype=torch.int64)).loss
    )
    assert logits.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=0.02, atol=0.01)


def test_no_images_at_all_are_no_mistake_and_double_images_are_taken() -> None:
    torch.manual_seed(0)
    net, images = _Small().eval(), torch.rand(5, 1, 8, 8)
    labels = Network(net).logits(images).argmax(1)
    assert len(brittle.attack(Network(net), images[:0], labels[:0], brittle.PGD()).fooled) == 0
    assert brittle.attack(Network(net), images.double(), labels, brittle.PGD()).images.dtype == torch.float32


@pytest.mark.parametrize("fast", [False, True])
def test_the_gradient_is_zero_whether_or_not_the_graph_knows_of_the_images(fast: bool) -> None:
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    goal = Untargeted(torch.zeros(5, dtype=torch.int64))
    for connected in (False, True):
        logits, gradient = Network(Deaf([2.0, 1.0, 0.0], connected=connected), fast=fast).gradient(images, goal.loss)
        assert torch.equal(logits, torch.tensor([2.0, 1.0, 0.0]).expand(5, 3))
        assert torch.equal(gradient, torch.zeros_like(images))


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("plain", [True, False])
def test_wide_linear_layers_give_a_row_the_same_in_every_batch(fast: bool, plain: bool) -> None:
    """Processors with AVX-512 multiply fewer than 16 rows by another kernel, others fewer than four."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)).eval()
    classifier, images = Network(net, fast=fast), torch.rand(60, 1, 28, 28)
    together = classifier.logits(images, plain=plain)
    for count in (*range(1, 19), 27, 30):
        assert torch.equal(classifier.logits(images[:count], plain=plain), together[:count]), f"{count} rows"
