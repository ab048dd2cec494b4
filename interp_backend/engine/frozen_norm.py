"""A norm with its scale frozen at one input, found by experiment: an affine map, whatever kind of norm it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frozen:
    """A norm with its scale frozen at one input x: x -> gain * (x - mean of x, if it centres) / scale + bias.

    Attributes:
        gain, bias: [d_model].
        scale: by what it divides this input.
        centres: whether it subtracts the mean.
    """

    gain: Tensor
    bias: Tensor
    scale: float
    centres: bool

    @staticmethod
    def of(norm: Callable[[Tensor], Tensor], x: Tensor, name: str) -> Frozen:
        """Found by experiment, so that it holds for every kind of norm: what it does to vectors of known scale.

        Args:
            norm: of rows [row, d_model] in the model's own precision.

        Raises:
            ValueError: what is found does not give the norm's own output for x.
        """
        with torch.no_grad():
            sign = torch.ones_like(x)
            sign[1::2] = -1
            if len(x) % 2:
                sign[-1] = 0  # so that its mean is zero
            large = 30 * sign  # next to which the norm's epsilon is nothing, and whose square fits half precision
            out = norm(torch.stack([large, -large, large + 15.0, x])).float()
            rms = sign.pow(2).mean().sqrt()
            bias = (out[0] + out[1]) / 2
            gain = torch.where(sign != 0, (out[0] - out[1]) / 2 * rms * sign, 0)
            if len(x) % 2:
                rolled = sign.roll(1)
                gain[-1] = ((norm(30 * rolled[None])[0].float() - bias) * rms * rolled)[-1]
            centres = bool(torch.allclose(out[2], out[0], rtol=1e-2, atol=1e-3))
            y = gain * (x - x.mean() if centres else x)
            scale = float((y @ y) / (y @ (out[3] - bias)).clamp(min=1e-30))
            found = Frozen(gain, bias, scale, centres)
            if not torch.allclose(found.whole(x), out[3], rtol=0, atol=1e-2 * float(out[3].abs().max())):
                raise ValueError(f"This model can't be taken apart: {name} is of a kind that is not known here.")
            return found

    def whole(self, x: Tensor) -> Tensor:
        """What it makes of its input."""
        return self.gain * (x - x.mean() if self.centres else x) / self.scale + self.bias

    def pulled_back(self, onto: Tensor) -> Tensor:
        """The direction in its input that has this direction in its output."""
        back = self.gain * onto / self.scale
        return back - back.mean() if self.centres else back
