"""The one door to a network: pixels in [0, 1] go in, logits come out, and every pass is counted."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Protocol, final

import torch
from torch import Tensor, nn

from brittle.catalog import Access
from brittle.errors import BrittleError, Unsupported
from brittle.goals import FLOAT32, Objective, Rounding, spread_of
from brittle.models.answers import as_logits
from brittle.models.classes import reject_of
from brittle.models.estimator import Estimator
from brittle.models.fast import FastPath
from brittle.models.precision import exact, float32_unit, rounding_of
from brittle.types import Images, Logits


class Pullback(Protocol):
    """Cotangents on the logits ``[B, K]`` -> gradient of ``sum(cotangents * logits)`` in the images, ``[B, C, H, W]``.

    more: another question will follow. Without, the graph is freed on the way, which is faster by a twentieth.
    """

    def __call__(self, cotangents: Tensor, *, more: bool = False) -> Images: ...


_CPU_BATCH, _GPU_BATCH, _ESTIMATOR_BATCH = 64, 512, 1024
_LOOKED_AT = 4  # images, before each attack


@final
class Classifier:
    """A network as attacks see it, or a fitted estimator.

    net: maps normalised images ``[B, C, H, W]`` to logits ``[B, K]`` (K >= 2), or to one logit ``[B]`` / ``[B, 1]``
    for two classes. Of any floating-point type: images are cast to its weights', logits come back as float32. It is run
    in eval mode and every module gets its own mode back; weights, hooks and ``requires_grad`` are left alone, and so
    are the images, whatever the network writes into its input.
    Or a fitted estimator of scikit-learn's kind (SVM, forest, nearest neighbours, a pipeline): see
    ``brittle.models.estimator``. It sees images flattened channel by channel, labels are indices into its ``classes_``,
    and there are no gradients. One fitted on pixels up to 255 gets ``mean=(0,), std=(1 / 255,)``.
    mean, std: per channel; pixels in [0, 1] are normalised with them here, so attacks never see it. Default: none.
    class_names: by index; default for an estimator: its ``classes_``. device: where to run; default: where the
    network's parameters are.
    batch_size: rows for one pass through the network; default 64 on a CPU (larger is slower there), 512 on a GPU, and
    1024 for an estimator.
    fast: fold batch norms and use channels_last where possible. Taken only after its logits have agreed with the plain
    network's on the first batch seen.
    steady: one image or three get company, so that on a CPU logits are as in larger batches; one takes twice the time.
    name: what reports call it; default: the network's class name.
    reject: the class, by name or index, with which the network refuses to answer: reaching it is no success for an
    untargeted attack, and it is no target. Default: none.

    ``access`` is the most that an attack may ask it for: "gradient", "score" (logits), or "decision" (one-hot logits).
    ``forwards`` and ``backwards`` count examples passed through the network in either direction.
    """

    def __init__(
        self,
        net: object,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        class_names: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        fast: bool = True,
        steady: bool = True,
        name: str | None = None,
        reject: str | int | None = None,
    ) -> None:
        if not isinstance(net, nn.Module):
            net = Estimator(net)
        if batch_size is not None and batch_size < 1:
            raise BrittleError(f"expected a batch size of at least 1, got {batch_size}")
        parameter = next(net.parameters(), None)
        own = parameter.device if parameter is not None else torch.device("cpu")
        self.device = torch.device(device) if device is not None else own
        self.net: nn.Module = net.to(self.device)
        self.mean = _per_channel("mean", mean)
        self.std = _per_channel("std", std)
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise BrittleError("expected mean and std together, one number per channel")
        if self.std is not None and min(self.std) <= 0:
            raise BrittleError(f"expected a positive std, got {self.std}")
        self.access: Access = "gradient"
        usual_batch, usual_name = _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH, type(net).__name__
        if isinstance(net, Estimator):
            self.access, usual_batch, usual_name = net.access, _ESTIMATOR_BATCH, type(net.estimator).__name__
            class_names = net.class_names if class_names is None else class_names
        self.class_names = None if class_names is None else tuple(class_names)
        self.reject = None if reject is None else reject_of(reject, self.class_names)
        self.batch_size = batch_size or usual_batch
        self.name = name or usual_name
        self.steady = steady
        self.forwards = 0
        self.backwards = 0
        self._num_classes: int | None = None
        self._fast_allowed = fast and self.access == "gradient"
        self._fast = FastPath(self._evaluated)

    def __repr__(self) -> str:
        return f"Classifier({self.name}, device={self.device}, batch_size={self.batch_size})"

    @property
    def num_classes(self) -> int:
        """K; known from the class names or after the first pass."""
        if self._num_classes is None:
            if self.class_names is None:
                raise BrittleError("the number of classes is known after the first pass through the network")
            return len(self.class_names)
        return self._num_classes

    @property
    def is_fast(self) -> bool:
        """Whether the last pass took the fast path."""
        return self._fast.copy is not None

    @property
    def fingerprint(self) -> str:
        """sha256 hex over architecture text, weights, buffers and normalisation: equal function, equal fingerprint."""
        digest = hashlib.sha256(f"{self.net}\0{self.mean}\0{self.std}\0".encode())
        for name, tensor in self.net.state_dict().items():
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        if isinstance(self.net, Estimator):
            digest.update(self.net.digest())
        return digest.hexdigest()

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        """Logits ``[B, K]`` of images ``[B, C, H, W]`` in [0, 1], without a graph, ``batch_size`` rows at a time.

        plain: by the user's network itself, never by the fast path; what graders ask.
        """
        with torch.no_grad(), exact() if plain else nullcontext():
            run = self._plain if plain else self._pass
            parts = [run(images[rows]) for rows in self.chunks(len(images))]
        self.forwards += len(images)
        return torch.cat(parts) if parts else images.new_zeros(0, self._known_classes())

    @contextmanager
    def settled(self, images: Images, logits: Logits) -> Iterator[Rounding]:
        """For the time of one attack on images ``[B, C, H, W]``, whose logits ``[B, K]`` are at hand: what is fast, and
        how finely logits can be told apart.

        A few of the images go through the plain network and its fast copy. Where they disagree, as after a change that
        PyTorch keeps no count of, the copy is made anew, and where that does not agree either, the plain network is
        taken. Inside, it is not asked again. These passes are not counted: no attack has asked for them.
        """
        if self.access != "gradient" or not len(images):
            yield FLOAT32
            return
        some = images[:: -(-len(images) // _LOOKED_AT)]
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            with exact():
                plain = self._plain(some)
                fast = self._fast.settle(self.net, some, plain) if self._may_be_fast(some) else None
            others = [] if fast is None else [fast]
            unit = float32_unit(self.device)
            if unit > FLOAT32.eps:  # attacks see what is rounded more than in ``plain``
                others.append(self._pass(some))
            rounding = rounding_of(self.net, self._evaluated, some, plain, others, unit)
        with self._fast.held():
            yield replace(rounding, least=spread_of(logits))

    def gradient(self, images: Images, goal: Objective) -> tuple[Logits, Images]:
        """Logits and the gradient of ``goal.loss`` in the images, ``batch_size`` rows at a time."""
        self._require_gradients()
        logits, gradients = [], []
        for rows in self.chunks(len(images)):
            part, pullback = self.linearize(images[rows])
            with torch.inference_mode(False), torch.enable_grad():
                leaf = part.clone().requires_grad_()
                (cotangent,) = torch.autograd.grad(goal[rows].loss(leaf).sum(), leaf)
            logits.append(part)
            gradients.append(pullback(cotangent))
        if not logits:
            return images.new_zeros(0, self._known_classes()), torch.zeros_like(images)
        return torch.cat(logits), torch.cat(gradients)

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        """Logits of one batch and the pull-back that differentiates any combination of them, as often as needed.

        One forward pass; each call of the pull-back is one backward pass for the rows whose cotangents are not all
        zero. Memory is that of one pass over all rows: callers keep to ``batch_size`` rows.
        """
        self._require_gradients()
        self.forwards += len(images)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = (images.clone() if images.is_inference() else images.detach()).requires_grad_()
            logits = self._pass(leaf)

        def pullback(cotangents: Tensor, *, more: bool = False) -> Images:
            self.backwards += int((cotangents != 0).any(1).sum())
            if not logits.requires_grad:
                return torch.zeros_like(images)
            with torch.inference_mode(False):
                given = cotangents.clone() if cotangents.is_inference() else cotangents
                (gradient,) = torch.autograd.grad(logits, leaf, given, retain_graph=more, allow_unused=True)
            return torch.zeros_like(images) if gradient is None else gradient.contiguous()

        return logits.detach(), pullback

    def chunks(self, count: int) -> Iterator[slice]:
        """Slices that cover ``count`` rows, as few as ``batch_size`` allows and of equal size, as nearly as can be."""
        parts = -(-count // self.batch_size)
        for part in range(parts):
            yield slice(count * part // parts, count * (part + 1) // parts)

    def _require_gradients(self) -> None:
        if self.access != "gradient":
            raise Unsupported(
                f"{self.name} has no gradients, only {self.access}s: expected an attack that asks for no more;"
                " `brittle attacks` says what each asks for"
            )

    def _known_classes(self) -> int:
        return self._num_classes or len(self.class_names or ()) or 1

    def _pass(self, images: Images) -> Logits:
        """One pass; with a graph when grad is enabled and the images require it."""
        # A CPU convolves one row, or three, by other kernels than larger batches, which round differently.
        padding = 1 if self.steady and self.device.type == "cpu" and len(images) in (1, 3) else 0
        batch = torch.cat([images, images[-1:].expand(padding, *images.shape[1:])]) if padding else images
        copy = self._fast.of(self.net, batch) if self._may_be_fast(batch) else None
        logits = self._plain(batch) if copy is None else self._run(copy, batch)
        return logits[: len(images)] if padding else logits

    def _run(self, net: nn.Module, images: Images) -> Logits:
        if self.mean is not None and self.std is not None:
            mean = torch.tensor(self.mean, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
            std = torch.tensor(self.std, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
            if images.shape[1] != len(self.mean):
                raise BrittleError(
                    f"expected images with {len(self.mean)} channels (mean and std have as many), got {images.shape[1]}"
                )
            inputs = (images - mean) / std
        else:
            inputs = images.clone()  # a network may write into what it is given, and these are the caller's
        weight = next((one for one in net.parameters() if one.is_floating_point()), images)
        inputs = inputs.to(weight.dtype)
        if net is not self.net:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return self._checked(as_logits(net(inputs), len(images)))

    def _plain(self, images: Images) -> Logits:
        return self._evaluated(self.net, images)

    def _evaluated(self, net: nn.Module, images: Images) -> Logits:
        with _evaluating(net):
            return self._run(net, images)

    def _may_be_fast(self, images: Images) -> bool:
        return self._fast_allowed and images.ndim == 4 and len(images) > 0

    def _checked(self, logits: Logits) -> Logits:
        classes = logits.shape[1]
        if self.class_names is not None and len(self.class_names) != classes:
            raise BrittleError(f"expected one class name per logit ({classes}), got {len(self.class_names)}")
        if self.reject is not None and not (self.reject < classes >= 3):
            raise BrittleError(f"expected a reject class among 3 classes or more, got class {self.reject} of {classes}")
        self._num_classes = classes
        return logits


def _per_channel(name: str, values: Sequence[float] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise BrittleError(f"expected {name} as one number per channel, got {values!r}") from None
    if not numbers or not all(torch.isfinite(torch.tensor(numbers))):
        raise BrittleError(f"expected {name} as one finite number per channel, got {values!r}")
    return numbers


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every module has its own mode back."""
    training = [module for module in net.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
