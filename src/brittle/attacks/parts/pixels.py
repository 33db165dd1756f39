"""Images with a few pixels set, for attacks that try out many of them."""

from torch import Tensor

from brittle.types import Images


def painted(images: Images, where: Tensor, colours: Tensor) -> Images:
    """Copies of images ``[N, C, H, W]`` with the pixels at ``where`` set to ``colours``; of equal ones the last counts.

    where: int64 ``[N, d]``, ``y * W + x``. colours: ``[N, d, C]``.
    """
    flat = images.flatten(2).clone()
    for one in range(where.shape[1]):  # one by one: which of equal positions a single scatter would keep is not said
        at = where[:, one].view(-1, 1, 1).expand(-1, flat.shape[1], 1)
        flat.scatter_(2, at, colours[:, one].unsqueeze(2))
    return flat.view(images.shape)
