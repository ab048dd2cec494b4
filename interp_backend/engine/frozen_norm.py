"""A norm as an affine map. Its scale is frozen at one input, and the map is measured, so any kind of norm works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..language.model import LanguageModel
from .modules import module_dtype


@dataclass(frozen=True)
class Frozen:
    """A norm whose scale is frozen at one input: x -> gain * x / scale + bias.

    If the norm centres, the mean of x is subtracted from x first.

    Attributes:
        gain, bias: [d_model].
        scale: the number by which the norm divides this input.
        centres: whether the norm subtracts the mean.
    """

    gain: Tensor
    bias: Tensor
    scale: float
    centres: bool

    @staticmethod
    def of(norm: Callable[[Tensor], Tensor], x: Tensor, name: str) -> Frozen:
        """Measure a norm by what it does to vectors of known scale, whatever kind of norm it is.

        Args:
            norm: a function of rows [row, d_model] in the model's own precision.
            x: the input at which the scale is frozen, [d_model].
            name: what to call the norm in an error.

        Raises:
            ValueError: the measured map does not give the norm's own output for x.
        """
        with torch.no_grad():
            sign = torch.ones_like(x)
            sign[1::2] = -1
            if len(x) % 2:
                sign[-1] = 0  # so that the mean is zero
            large = 30 * sign  # so large that the norm's epsilon does not matter, but its square fits half precision
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
                raise ValueError(
                    f"This model can't be decomposed: with its scale frozen, {name} is not an affine map. Use "
                    "activation patching instead."
                )
            return found

    @staticmethod
    def unscaled(model: LanguageModel, norm: Callable[[Tensor], Tensor] | None, name: str) -> Frozen:
        """A norm of a model without its scale and its bias; the identity for None.

        Raises:
            ValueError: with its scale frozen, the norm is not an affine map.
        """
        probe = torch.linspace(-1, 1, model.d_model, device=model.device, dtype=torch.float32) + 0.1
        if norm is None:
            return Frozen(torch.ones_like(probe), torch.zeros_like(probe), 1.0, False)
        found = Frozen.of(norm, probe.to(module_dtype(model)).float(), name)
        return replace(found, bias=torch.zeros_like(probe), scale=1.0)

    def whole(self, x: Tensor) -> Tensor:
        """The output for inputs x, [..., d_model]."""
        return self.gain * (x - x.mean(-1, keepdim=True) if self.centres else x) / self.scale + self.bias

    def taken_apart(self, x: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """What the norm makes of its inputs x [..., d_model], without its bias, as a product: what is linear in x, in
        float32 or better; and by what that is multiplied to give `out`, [..., 1], a constant to autograd.
        """
        x = x if x.dtype == torch.float64 else x.float()
        linear = self.gain.to(x.dtype) * (x - x.mean(-1, keepdim=True) if self.centres else x)
        with torch.no_grad():
            shown = out.to(x.dtype) - self.bias.to(x.dtype)
            return linear, (linear * shown).sum(-1, keepdim=True) / linear.pow(2).sum(-1, keepdim=True).clamp(min=1e-30)

    def pulled_back(self, onto: Tensor) -> Tensor:
        """The direction in the input that this direction in the output reads (without the bias)."""
        back = self.gain * onto / self.scale
        return back - back.mean(-1, keepdim=True) if self.centres else back


@dataclass(frozen=True)
class FrozenRows:
    """A norm at each position of a run, with the scale that it has there.

    Attributes:
        gain, bias: [d_model].
        scale: [position, 1].
        centres: whether the norm subtracts the mean.
    """

    gain: Tensor
    bias: Tensor
    scale: Tensor
    centres: bool

    @staticmethod
    def of(norm: Callable[[Tensor], Tensor], x: Tensor, name: str) -> FrozenRows:
        """Measure a norm, and freeze its scale at each position of x, [position, d_model].

        Raises:
            ValueError: with its scale frozen, the norm is not an affine map.
        """
        with torch.no_grad():
            one = Frozen.of(norm, x[0], name)
            return FrozenRows.fitted(one.gain, one.bias, one.centres, x, norm(x).float(), name)

    @staticmethod
    def fitted(gain: Tensor, bias: Tensor, centres: bool, x: Tensor, out: Tensor, name: str) -> FrozenRows:
        """The norm of known gain and bias that makes `out` of x, both [position, d_model]."""
        y = gain * (x - x.mean(-1, keepdim=True) if centres else x)
        scale = (y * y).sum(-1, keepdim=True) / (y * (out - bias)).sum(-1, keepdim=True).clamp(min=1e-30)
        if not torch.allclose(y / scale + bias, out, rtol=0, atol=1e-3 * float(out.abs().max())):
            raise ValueError(
                f"This model can't be decomposed: with its scale frozen, {name} is not an affine map. Use activation "
                "patching instead."
            )
        return FrozenRows(gain, bias, scale, centres)

    @staticmethod
    def identity(x: Tensor) -> FrozenRows:
        """No norm, for x of [position, d_model]."""
        return FrozenRows(torch.ones_like(x[0]), torch.zeros_like(x[0]), torch.ones_like(x[:, :1]), False)

    def pulled_back(self, onto: Tensor) -> Tensor:
        """The directions in the inputs that these directions in the outputs read, [..., position, d_model], at the
        first positions."""
        return self._back(onto, self.scale[: onto.shape[-2]])

    def pulled_back_at(self, onto: Tensor, positions: Tensor) -> Tensor:
        """The same for directions [row, d_model] that are each at a position of their own."""
        return self._back(onto, self.scale[positions])

    def _back(self, onto: Tensor, scale: Tensor) -> Tensor:
        back = self.gain * onto / scale
        return back - back.mean(-1, keepdim=True) if self.centres else back
