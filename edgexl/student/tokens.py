"""Token ids of many texts as one flat table on a device, and how screeners run over them: in groups of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Ints
from edgexl.base.ragged import Ragged

# Tokens that run at once, padding included: on a CPU, on a GPU.
GROUP_TOKENS = (4096, 65536)


@cache
def knows_bf16(device: torch.device) -> bool:
    """Whether products in bf16 are faster than in fp32: on GPUs, and on CPUs with instructions for them. Without
    (AVX2 alone) they take up to 80 times as long."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def bf16(device: torch.device, enabled: bool = True) -> torch.autocast:
    """Matrix products in bf16 where the device knows it, several times faster than in fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled and knows_bf16(device))


def alike(lengths: Ints, most: int, device: torch.device) -> Iterator[tuple[Ints, int]]:
    """The places of all `lengths` [n], shortest first, in groups, each with the width to pad it to, `most` at most.

    Groups of like length have little padding, and on CPUs the activations of a few thousand tokens stay in the cache.
    They come in few shapes, over and over: oneDNN generates code for each that it has not met, which costs time and
    memory where shapes are as chance has it.
    """
    order = np.argsort(lengths, kind="stable")
    step = np.where(lengths[order] <= 32, 4, 16)
    widths = np.minimum(-(-lengths[order] // step) * step, most)
    known, ends = np.unique(widths, return_index=True)
    budget, start = GROUP_TOKENS[device.type != "cpu"], 0
    for width, end in zip(known.tolist(), [*ends[1:].tolist(), len(order)][: len(known)], strict=True):
        # groups are full, half full or a quarter; fewer texts than that wait for the next width, if there is one
        size = max(1, budget // width)
        least = 1 if end == len(order) else max(1, size // 4)
        while end - start >= least:
            while size > end - start:
                size = max(least, size // 2)
            yield order[start : start + size], width
            start += size


@dataclass(frozen=True)
class TokenTable:
    """Token ids of n texts, flat and on a device: those of text i are `flat[starts[i] : starts[i + 1]]`."""

    flat: Tensor
    starts: Tensor
    lengths: Ints

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]] | Ragged, device: torch.device) -> TokenTable:
        """Lay out token id lists; 4 bytes a token."""
        flat = rows if isinstance(rows, Ragged) else Ragged.of(rows, np.int32)
        return cls(torch.tensor(flat.values, device=device), torch.tensor(flat.starts, device=device), flat.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Ints, width: int | None = None) -> tuple[Tensor, Tensor]:
        """(ids, mask) [len(rows), width] int64 of the first tokens of some texts, padded with 0; as wide as the longest
        where no width is given."""
        device = self.flat.device
        longest = int(self.lengths[rows].max()) if width is None else width
        chosen = torch.from_numpy(np.ascontiguousarray(rows)).to(device)
        begins, ends = self.starts[chosen], self.starts[chosen + 1]
        places = begins.unsqueeze(1) + torch.arange(longest, device=device)
        mask = places < ends.unsqueeze(1)
        ids = self.flat[places.clamp_max(len(self.flat) - 1)].to(torch.int64) * mask
        return ids, mask.to(torch.int64)

    def bags(self, rows: Ints) -> tuple[Tensor, Tensor]:
        """(ids, offsets) of some texts, one behind the other without padding, as `embedding_bag` takes them."""
        device = self.flat.device
        counts = self.lengths[rows]
        offsets = np.cumsum(counts) - counts
        chosen = torch.from_numpy(np.ascontiguousarray(rows)).to(device)
        repeats = torch.from_numpy(counts).to(device)
        shifts = self.starts[chosen] - torch.from_numpy(offsets).to(device)
        places = torch.arange(int(counts.sum()), device=device) + torch.repeat_interleave(shifts, repeats)
        return self.flat[places].to(torch.int64), torch.from_numpy(offsets).to(device)


def hide_tokens(attention_mask: Tensor, share: float) -> Tensor:
    """The mask [B,T] without a random `share` of its tokens; [CLS], the first, always stays."""
    shown = torch.rand(attention_mask.shape, device=attention_mask.device) >= share
    shown[:, 0] = True
    return attention_mask * shown
