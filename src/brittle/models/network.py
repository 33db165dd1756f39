"""A PyTorch network as a classifier: plainly for graders, by a folded copy for attacks."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from brittle.checks import brief, text, texts, whole
from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.goals import FLOAT32, Rounding, spread_of
from brittle.heap import keep_freed_memory
from brittle.models.answers import as_logits, check_classes, classes_known
from brittle.models.bfloat16 import checked_precision
from brittle.models.classes import reject_of
from brittle.models.classifier import Pullback, Score, Settings, asked_about, evenly_cut, gradient_by_chunks
from brittle.models.company import products_in_company, rows_short
from brittle.models.device import usable
from brittle.models.fast import FastPath
from brittle.models.modes import evaluating
from brittle.models.normalisation import Normalisation
from brittle.models.precision import exact, few_of, float32_unit, rounding_of
from brittle.types import Access, Images, Logits, Precision

_CPU_BATCH, _GPU_BATCH = {"fp32": 64, "bf16": 128}, 512


@final
class Network:
    """A ``Classifier`` of a torch.nn.Module.

    net: maps normalised images ``[B, C, H, W]`` to logits ``[B, K]`` (K >= 2), or to one logit ``[B]`` / ``[B, 1]``
    for two classes. Of any floating-point type: images are cast to its weights', logits come back as float32. It is run
    in eval mode and every module gets its own mode back; weights, hooks and ``requires_grad`` are left alone, and so
    are the images, whatever the network writes into its input.
    mean, std: per channel; pixels in [0, 1] are normalised with them here, so attacks never see it. Default: none.
    class_names: by index. device: where to run; default: where the network's parameters are.
    batch_size: rows for one pass through the network; default 64 on a CPU (larger is slower there), 128 with bf16, and
    512 on a GPU.
    fast: fold batch norms and use channels_last where possible. Taken only after its logits have agreed with the plain
    network's on the first batch seen.
    precision: bf16 lets attacks under a budget and searches see the fast copy in bfloat16, where the processor
    multiplies that itself; what cannot be folded runs under autocast. They claim only what goes beyond its rounding,
    grading is by the network itself in float32, and minimal attacks see float32 too. Without ``fast`` all do.
    steady: one image or three get company, so that on a CPU logits are as in larger batches; one takes twice the time.
    name: what reports call it; default: the network's class name.
    reject: the class, by name or index, with which the network refuses to answer: reaching it is no success for an
    untargeted attack, and it is no target. Default: none.
    fit: the image size that it wants, for whoever reads images for it. Default: any.

    ``forwards`` and ``backwards`` count examples passed through the network in either direction.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        class_names: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        fast: bool = True,
        precision: Precision = "fp32",
        steady: bool = True,
        name: str | None = None,
        reject: str | int | None = None,
        fit: Fit | None = None,
    ) -> None:
        if not isinstance(net, nn.Module):
            hint = "; brittle.BlackBox takes it" if callable(getattr(net, "predict", None)) else ""
            raise BrittleError(f"expected a torch.nn.Module, got {type(net).__name__}{hint}")
        if batch_size is not None:
            whole("batch_size", batch_size, least=1)
        parameter = next(net.parameters(), None)
        own = parameter.device if parameter is not None else torch.device("cpu")
        self.device = usable(device) if device is not None else own
        self.net: nn.Module = net.to(self.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        if fit is not None and not isinstance(fit, Fit):
            raise BrittleError(f"expected fit as brittle.data.fit.Fit(channels, height, width), got {brief(fit)}")
        self.access: Access = "gradient"
        self.normalisation = Normalisation.of(mean, std)
        self.class_names = None if class_names is None else texts("class_names", class_names)
        self.reject = None if reject is None else reject_of(reject, self.class_names)
        self.precision = checked_precision(precision, self.device)
        self._batch_size = batch_size  # as it was asked for: another device has another default
        self.batch_size = batch_size or (_CPU_BATCH[precision] if self.device.type == "cpu" else _GPU_BATCH)
        self.name = type(net).__name__ if name is None else text("name", name, "mine")
        self.fit, self.fast, self.steady = fit, fast, steady
        self.forwards = 0
        self._backwards: int | Tensor = 0  # on the device: who reads it waits
        self._counted: int | None = None  # classes, in the last pass
        self._fast = FastPath(self._evaluated, self.precision)

    def __repr__(self) -> str:
        return f"Network({self.name}, device={self.device}, batch_size={self.batch_size})"

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "mean": self.mean,
            "std": self.std,
            "class_names": self.class_names,
            "device": self.device,
            "batch_size": self._batch_size,
            "fast": self.fast,
            "precision": self.precision,
            "steady": self.steady,
            "name": self.name,
            "reject": self.reject,
            "fit": self.fit,
        }

    def adjusted(self, said: Settings) -> "Network":
        other = Network(self.net, **said.over(self._settings))
        if said == Settings(precision="fp32"):
            other._fast = self._fast  # which has a copy for that, and is not quickly made
        return other

    def holding(self, net: nn.Module, *, reject: int | None = None) -> "Network":
        """The same settings around another network, which is asked as it is: what rounds inside has no fast copy.

        reject: the class by which that one refuses, behind all others; default: as it was.
        """
        settings = self._settings | {"fast": False}
        if reject is not None:
            names = self.class_names
            settings |= {"reject": reject, "class_names": None if names is None else (*names, "rejected")}
        return Network(net, **settings)

    @property
    def mean(self) -> tuple[float, ...] | None:
        return self.normalisation.mean

    @property
    def std(self) -> tuple[float, ...] | None:
        return self.normalisation.std

    @property
    def num_classes(self) -> int:
        return classes_known(self._counted, self.class_names)

    @property
    def channels(self) -> int | None:
        """Of its first convolution."""
        first = next((module for module in self.net.modules() if isinstance(module, nn.Conv2d)), None)
        return None if first is None else first.in_channels

    @property
    def unit(self) -> float:
        return torch.finfo(next((one.dtype for one in self._weights()), torch.float32)).eps

    @property
    def is_fast(self) -> bool:
        """Whether the last pass took the fast path."""
        return self._fast.taken(self.precision) is not None

    @property
    def backwards(self) -> int:
        return int(self._backwards)

    @property
    def fingerprint(self) -> str:
        """sha256 hex over architecture text, weights, buffers and normalisation: equal function, equal fingerprint."""
        digest = hashlib.sha256(f"{self.net}\0{self.mean}\0{self.std}\0".encode())
        for name, tensor in self.net.state_dict().items():
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        """plain: by the user's network itself, in float32 proper, and never by the fast path."""
        with torch.no_grad(), exact() if plain else nullcontext():
            run = self._plain_with_company if plain else self._pass
            parts = [run(images[rows]) for rows in self.chunks(len(images))]
        self.forwards += len(images)
        return torch.cat(parts) if parts else self._none(images)

    @contextmanager
    def settled(self, images: Images, logits: Logits) -> Iterator[Rounding]:
        """For the time of one attack on images ``[B, C, H, W]``, whose logits ``[B, K]`` are at hand: what is fast, and
        how finely logits can be told apart.

        A few of the images go through the plain network and its fast copy. Where they disagree, as after a change that
        PyTorch keeps no count of, the copy is made anew, and where that does not agree either, the plain network is
        taken. Inside, it is not asked again. These passes are not counted: no attack has asked for them.
        """
        if not len(images):
            yield FLOAT32
            return
        some = few_of(images)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            with exact():
                plain = self.plain(some)
                fast = self._fast.settle(self.net, some, plain) if self._may_be_fast(some) else None
            others = [] if fast is None else [fast]
            unit = max(float32_unit(self.device), self._fast.unit(self.precision))
            if unit > FLOAT32.eps:  # attacks see what is rounded more than in ``plain``
                others.append(self._pass(some))
            rounding = rounding_of(self.net, self._evaluated, some, plain, others, unit)
        with self._fast.held():
            yield replace(rounding, least=spread_of(logits))

    def gradient(self, images: Images, score: Score) -> tuple[Logits, Images]:
        if not len(images):
            return self._none(images), torch.zeros_like(images)
        return gradient_by_chunks(self.linearize, self.chunks(len(images)), images, score)

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        self.forwards += len(images)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = (images.clone() if images.is_inference() else images.detach()).requires_grad_()
            logits = self._pass(leaf)

        def pullback(cotangents: Tensor, *, more: bool = False) -> Images:
            self._backwards = self._backwards + asked_about(cotangents).sum()
            if not logits.requires_grad:
                return torch.zeros_like(images)
            with torch.inference_mode(False):
                given = cotangents.clone() if cotangents.is_inference() else cotangents
                # Of a scalar: asked for that of rows, autograd imports sympy first, which takes each process 0.6 s.
                total = (logits * given).sum()
                (gradient,) = torch.autograd.grad(total, leaf, retain_graph=more, allow_unused=True)
            return torch.zeros_like(images) if gradient is None else gradient.contiguous()

        return logits.detach(), pullback

    def chunks(self, count: int) -> Iterator[slice]:
        return evenly_cut(count, self.batch_size)

    def _weights(self) -> Iterator[Tensor]:
        return (one for one in self.net.parameters() if one.is_floating_point())

    def _none(self, images: Images) -> Logits:
        return images.new_zeros(0, self._counted or len(self.class_names or ()) or 1)

    def _pass(self, images: Images) -> Logits:
        """One pass; with a graph when grad is enabled and the images require it."""
        # A CPU convolves one row, or three, by other kernels than larger batches, which round differently.
        batch = self._with_company(images, 1 if len(images) in (1, 3) else 0)
        copy = self._fast.of(self.net, batch, self.precision) if self._may_be_fast(batch) else None
        logits = self._among_many(batch) if copy is None else self._run(copy, batch)
        return logits[: len(images)]

    def _plain_with_company(self, images: Images) -> Logits:
        return self._among_many(self._with_company(images, rows_short(len(images))))[: len(images)]

    def _among_many(self, images: Images) -> Logits:
        with products_in_company(len(images) if self.steady else 0):
            return self.plain(images)

    def _with_company(self, images: Images, rows: int) -> Images:
        if not rows or not self.steady or self.device.type != "cpu":
            return images
        return torch.cat([images, images[-1:].expand(rows, *images.shape[1:])])

    def _run(self, net: nn.Module, images: Images) -> Logits:
        inputs = self.normalisation.applied(images)
        dtype = next((one.dtype for one in net.parameters() if one.is_floating_point()), images.dtype)
        layout = torch.preserve_format if net is self.net else torch.channels_last
        logits = as_logits(net(inputs.to(dtype, memory_format=layout)), len(images))
        check_classes(logits.shape[1], self.class_names, self.reject)
        self._counted = logits.shape[1]
        return logits

    def plain(self, images: Images) -> Logits:
        """One pass of the user's network itself, in eval mode; with a graph where one is wanted. It is not counted."""
        return self._evaluated(self.net, images)

    def _evaluated(self, net: nn.Module, images: Images) -> Logits:
        with evaluating(net):
            return self._run(net, images)

    def _may_be_fast(self, images: Images) -> bool:
        return self.fast and images.ndim == 4 and len(images) > 0
