"""The association block: features attend to memory frames whose masks are encoded as identities.

Own implementation of IAI's ``lstt_block`` (after AOT, Yang et al., NeurIPS 2021), with its parameter names.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from methods.iai.attention import GlobalAttention, LocalAttention
from methods.iai.layers import DropPath, GatedDepthwiseConv, Grid, position_code, to_map, to_tokens
from methods.iai.memory import KeysValues, Memory, MemoryClock, prepended


class AssociationLayer(nn.Module):
    """Self attention, attention to both memories, feed-forward part; pre-norm residuals.

    Args:
        channels: Width of the tokens.
        self_heads: Heads of the self attention.
        memory_heads: Heads of the attention to either memory.
        hidden: Width of the feed-forward part, a multiple of 32.
        reach: Largest distance of the local attention.
        drop_path: Rate of dropped positions.
        drop_long: Whether the long-term attention's result is dropped too; the official first layer does not.
        parts: Which memories are attended to, of ``local`` and ``global``.
    """

    def __init__(
        self,
        channels: int,
        self_heads: int,
        memory_heads: int,
        hidden: int,
        reach: int,
        drop_path: float,
        *,
        drop_long: bool,
        parts: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.self_attn = GlobalAttention(channels, self_heads, projected=True)
        self.linear_Q, self.linear_V = nn.Linear(channels, channels), nn.Linear(channels, channels)
        if "global" in parts:
            self.long_term_attn = GlobalAttention(channels, memory_heads, projected=False)
        if "local" in parts:
            self.short_term_attn = LocalAttention(channels, memory_heads, reach)
        self.linear1, self.linear2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.activation = GatedDepthwiseConv(hidden)
        self.droppath = DropPath(drop_path)
        self.drop_long, self.parts = drop_long, parts

    def look(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, KeysValues]:
        """Self attention.

        Args:
            tokens: [HW, B, C].
            position: Position code [HW, 1, C].

        Returns:
            The tokens after it, and the frame's keys and normed tokens (its values once identities are added).
        """
        normed = self.norm2(tokens)
        placed = normed + position.to(normed.dtype)
        tokens = tokens + self.droppath(self.self_attn(placed, placed, normed))
        normed = self.norm1(tokens)
        return tokens, (self.linear_Q(normed), normed)

    def values(self, normed: Tensor, identities: Tensor) -> Tensor:
        """Values [HW, B, C] of a frame with its identity embedding [HW, B, C]."""
        return self.linear_V(normed + identities)

    def recall(self, tokens: Tensor, query: Tensor, long: KeysValues, short: KeysValues, grid: Grid) -> Tensor:
        """Attention to the memories and the feed-forward part; keys double as queries.

        Args:
            tokens: [HW, B, C] after ``look``.
            query: [HW, B, C].
            long: Keys and values [M * HW, B, C].
            short: Keys and values [HW, B, C].
            grid: Rows and columns.
        """
        recalled = torch.zeros_like(tokens)
        if "global" in self.parts:
            attended = self.long_term_attn(query, *long)
            recalled = recalled + (self.droppath(attended) if self.drop_long else attended)
        if "local" in self.parts:
            maps = [to_map(part, grid) for part in (query, *short)]
            recalled = recalled + self.droppath(self.short_term_attn(*maps))
        tokens = tokens + recalled
        hidden = self.activation(self.linear1(self.norm3(tokens)), grid)
        return tokens + self.droppath(self.linear2(hidden))


class AssociationLayers(nn.Module):
    """The layers with a norm behind each; everything with more than one axis starts Xavier-uniform.

    That includes the gates and the local value bias, whose constructors' 1 and 0 do not survive (official).
    """

    def __init__(self, count: int, channels: int, **options: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            AssociationLayer(channels, drop_long=index > 0, **options) for index in range(count)
        )
        self.decoder_norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(count))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def steps(self) -> list[tuple[AssociationLayer, nn.Module]]:
        """The layers in order, each with the norm behind it."""
        return cast("list[tuple[AssociationLayer, nn.Module]]", list(zip(self.layers, self.decoder_norms, strict=True)))


class AssociationBlock(nn.Module):
    """Identity bank and association layers; all state of a video lives in the ``Memory`` it returns.

    Args:
        identities: Identity channels N; the bank has one more for the background.
        channels: Width d.
        stride: Stride of the feature map it works on; the bank's kernel is one larger.
        layers: Number of layers.
        self_heads: Heads of the self attention.
        memory_heads: Heads of the attention to the memories.
        hidden: Width of the feed-forward part.
        reach: Largest distance of the local attention.
        drop_path: Rate of dropped positions.
        parts: As for ``AssociationLayer``.
        interval: Frames between two appends to the long-term memory.
        max_long_term: Largest number of frames in the long-term memory; None is the official unlimited growth.
    """

    def __init__(
        self,
        identities: int,
        channels: int,
        stride: int = 32,
        layers: int = 1,
        self_heads: int = 4,
        memory_heads: int = 2,
        hidden: int = 1024,
        reach: int = 7,
        drop_path: float = 0.1,
        parts: tuple[str, ...] = ("local", "global"),
        interval: int = 3,
        max_long_term: int | None = None,
    ) -> None:
        super().__init__()
        self.LSTT = AssociationLayers(
            layers,
            channels,
            self_heads=self_heads,
            memory_heads=memory_heads,
            hidden=hidden,
            reach=reach,
            drop_path=drop_path,
            parts=tuple(parts),
        )
        self.patch_wise_id_bank = nn.Conv2d(identities + 1, channels, stride + 1, stride=stride, padding=stride // 2)
        nn.init.xavier_uniform_(self.patch_wise_id_bank.weight)
        self.interval, self.max_long_term = interval, max_long_term
        self.remembers_long = "global" in parts

    def embed(self, stack: Tensor | None, tokens: Tensor) -> Tensor:
        """Identity embedding [HW, B, C] of a one-hot mask stack.

        Args:
            stack: [B, N + 1, H, W] in network pixels, last channel background. None stands for all zeros, which leaves
                the bank's bias.
            tokens: [HW, B, C] of the frame, for the shape.
        """
        if stack is None:
            bias = self.patch_wise_id_bank.bias
            assert bias is not None
            return bias.expand_as(tokens)
        return to_tokens(self.patch_wise_id_bank(stack))

    def begin(self, features: Tensor) -> tuple[list[Tensor], Memory]:
        """The first frame, which attends to itself without identities.

        Args:
            features: [B, C, H, W].

        Returns:
            A map [B, C, H, W] per layer, and the memory; ``settle`` must follow.
        """
        grid = (features.shape[2], features.shape[3])
        tokens = to_tokens(features)
        position = position_code(grid, features.shape[1], features.device)
        outputs, _ = self._against_itself(tokens, None, position, grid, wanted=True)
        return outputs, Memory(grid, position, tokens, MemoryClock(), [], [], [])

    def settle(self, memory: Memory, stack: Tensor) -> None:
        """Sets both memories from the first frame and its identities, as the official ``reset_memory`` does.

        Args:
            memory: From ``begin``; changed.
            stack: [B, N + 1, H, W] as for ``embed``.
        """
        assert memory.first is not None
        _, kept = self._against_itself(memory.first, stack, memory.position, memory.grid, wanted=False)
        memory.short, memory.first = kept, None
        memory.long = list(kept) if self.remembers_long else [_empty(pair) for pair in kept]

    def _against_itself(
        self, tokens: Tensor, stack: Tensor | None, position: Tensor, grid: Grid, *, wanted: bool
    ) -> tuple[list[Tensor], list[KeysValues]]:
        """Runs the layers with the frame as its own memory; the last one's output only if it is wanted."""
        identities = self.embed(stack, tokens)
        outputs: list[Tensor] = []
        kept: list[KeysValues] = []
        for layer, norm in self.LSTT.steps():
            tokens, (keys, normed) = layer.look(tokens, position)
            pair = (keys, layer.values(normed, identities))
            kept.append(pair)
            if wanted or len(kept) < len(self.LSTT.layers):
                tokens = layer.recall(tokens, keys, pair, pair, grid)
                outputs.append(to_map(norm(tokens), grid))
        return outputs, kept

    def attend(self, features: Tensor, memory: Memory) -> list[Tensor]:
        """A later frame against the memories.

        Args:
            features: [B, C, H, W].
            memory: Changed: takes up the frame's keys; ``remember`` must follow.

        Returns:
            A map [B, C, H, W] per layer.
        """
        tokens, outputs, current = to_tokens(features), [], []
        for (layer, norm), long, short in zip(self.LSTT.steps(), memory.long, memory.short, strict=True):
            tokens, pair = layer.look(tokens, memory.position)
            current.append(pair)
            tokens = layer.recall(tokens, pair[0], long, short, memory.grid)
            outputs.append(to_map(norm(tokens), memory.grid))
        memory.current = current
        return outputs

    def remember(self, memory: Memory, stack: Tensor, *, new_identity: bool) -> None:
        """Makes the present frame the short-term memory and, if due, appends it to the long-term one.

        Args:
            memory: After ``attend``; changed.
            stack: [B, N + 1, H, W] as for ``embed``, the present frame's identities.
            new_identity: Whether the frame opened an identity.
        """
        identities = self.embed(stack, memory.current[0][1])
        memory.short = [
            (keys, layer.values(normed, identities))
            for (layer, _), (keys, normed) in zip(self.LSTT.steps(), memory.current, strict=True)
        ]
        memory.clock, append = memory.clock.tick(new_identity, self.interval)
        if append and self.remembers_long:
            pairs = zip(memory.long, memory.short, strict=True)
            memory.long = [prepended(long, short, self.max_long_term) for long, short in pairs]


def _empty(pair: KeysValues) -> KeysValues:
    return pair[0][:0], pair[1][:0]
