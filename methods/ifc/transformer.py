"""IFC's transformer: frames are encoded separately, only their bus tokens talk to each other (paper section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.layers import DetrTransformerDecoder, DetrTransformerEncoderLayer
from mmengine.model import BaseModule
from torch import Tensor, nn

from methods.runtime.attention import use_lean_attention

Pair = tuple[Tensor, Tensor]


def layer_config(dims: int, heads: int, ffn: int, dropout: float) -> dict[str, Any]:
    """Configuration of one post-norm encoder layer in mmdet's terms.

    ``dropout`` is always given: mmcv's attention otherwise shares one mutable default between all layers.
    """
    attention = {"embed_dims": dims, "num_heads": heads, "dropout": dropout, "batch_first": True}
    feedforward = {"embed_dims": dims, "feedforward_channels": ffn, "num_fcs": 2, "ffn_drop": dropout}
    return {"self_attn_cfg": attention, "ffn_cfg": feedforward | {"act_cfg": {"type": "ReLU", "inplace": True}}}


def decoder_config(dims: int, heads: int, ffn: int, dropout: float) -> dict[str, Any]:
    """As ``layer_config``, with cross attention."""
    config = layer_config(dims, heads, ffn, dropout)
    return config | {"cross_attn_cfg": dict(config["self_attn_cfg"])}


class BusEncoder(BaseModule):
    """Inter-frame communication encoder.

    Each block runs one layer over the pixels and the M bus tokens of every frame, then one over time, in which slot m
    of a frame attends to slot m of the clip's other frames only. There is no temporal position anywhere.

    Args:
        layers: Number of blocks.
        layer: Configuration of both kinds of layer.
        bus_tokens: M; 0 leaves the frames on their own.
    """

    def __init__(self, layers: int, layer: dict[str, Any], bus_tokens: int) -> None:
        super().__init__()
        self.enc_layers = nn.ModuleList(DetrTransformerEncoderLayer(**layer) for _ in range(layers))
        self.bus_layers = nn.ModuleList(
            DetrTransformerEncoderLayer(**layer) for _ in range(layers if bus_tokens else 0)
        )
        self.bus_tokens = bus_tokens

    def forward(self, pixels: Tensor, positions: Tensor, padding: Tensor | None, bus: Tensor, bus_pos: Tensor) -> Pair:
        """Encodes N clips of T frames with P pixels.

        Args:
            pixels: [N, T, P, D].
            positions: [N, T, P, D] positional encoding.
            padding: [N, T, P] bool, True in the padding; None if there is none.
            bus: [M, D] learnt bus tokens, copied to every frame.
            bus_pos: [M, D] their learnt positions.

        Returns:
            Pixels [N, T, P, D] and bus tokens [N, T, M, D].
        """
        clips, length, cells, dims = pixels.shape
        frames = clips * length
        tokens = pixels.reshape(frames, cells, dims)
        bus = bus.expand(frames, -1, -1)
        query_pos = torch.cat([positions.reshape(frames, cells, dims), bus_pos.expand(frames, -1, -1)], dim=1)
        mask = None
        if padding is not None:
            mask = nn.functional.pad(padding.reshape(frames, cells), (0, self.bus_tokens))
        for block, layer in enumerate(self.enc_layers):
            joint = layer(torch.cat([tokens, bus], dim=1), query_pos=query_pos, key_padding_mask=mask)
            tokens, bus = joint[:, :cells], joint[:, cells:]
            if self.bus_tokens:
                bus = self._communicate(self.bus_layers[block], bus, clips, length)
        return tokens.reshape(pixels.shape), bus.reshape(clips, length, self.bus_tokens, dims)

    def _communicate(self, layer: nn.Module, bus: Tensor, clips: int, length: int) -> Tensor:
        """One layer over time for every slot of every clip."""
        slots = bus.reshape(clips, length, self.bus_tokens, -1).transpose(1, 2)
        # Positions must be absent: mmcv would use the query's for the keys.
        mixed = layer(slots.reshape(clips * self.bus_tokens, length, -1), query_pos=None, key_padding_mask=None)
        return mixed.reshape(slots.shape).transpose(1, 2).reshape(bus.shape)


class IFCTransformer(BaseModule):
    """Encoder with bus tokens and a decoder in which one query stands for one instance of the whole clip.

    Args:
        dims: Width D.
        heads: Attention heads.
        ffn: Hidden width of the feed-forward parts.
        dropout: 0..1.
        encoder_layers: Number of encoder blocks.
        decoder_layers: Number of decoder layers.
        bus_tokens: M.
    """

    def __init__(
        self,
        *,
        dims: int = 256,
        heads: int = 8,
        ffn: int = 2048,
        dropout: float = 0.1,
        encoder_layers: int = 3,
        decoder_layers: int = 3,
        bus_tokens: int = 8,
    ) -> None:
        super().__init__()
        self.encoder = BusEncoder(encoder_layers, layer_config(dims, heads, ffn, dropout), bus_tokens)
        self.clip_decoder = DetrTransformerDecoder(
            decoder_layers, decoder_config(dims, heads, ffn, dropout), return_intermediate=True
        )
        use_lean_attention(self)
        self.memory_bus = nn.Parameter(torch.zeros(bus_tokens, dims))
        self.memory_pos = nn.Parameter(torch.zeros(bus_tokens, dims))

    def init_weights(self) -> None:
        """Xavier uniform on every matrix of the layers, Kaiming normal (fan out) on the bus (official code)."""
        super().init_weights()
        for name, parameter in self.named_parameters():
            if name.startswith("memory_"):
                if len(parameter):
                    nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")
            elif parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, pixels: Tensor, positions: Tensor, padding: Tensor | None, queries: Tensor) -> Pair:
        """Runs encoder and decoder on N clips.

        Args:
            pixels: [N, T, P, D].
            positions: [N, T, P, D].
            padding: [N, T, P] bool or None.
            queries: [Q, D] learnt query positions; their content starts at zero.

        Returns:
            Decoder outputs [layers, N, Q, D], all normalised by the shared last norm, and encoded pixels [N, T, P, D].
        """
        clips, length = pixels.shape[:2]
        encoded, bus = self.encoder(pixels, positions, padding, self.memory_bus, self.memory_pos)
        memory = torch.cat([encoded.flatten(1, 2), bus.flatten(1, 2)], dim=1)
        bus_pos = self.memory_pos.expand(clips, length, -1, -1)
        memory_pos = torch.cat([positions.flatten(1, 2), bus_pos.flatten(1, 2)], dim=1)
        mask = None
        if padding is not None:
            mask = nn.functional.pad(padding.flatten(1), (0, bus.shape[1] * bus.shape[2]))
        query_pos = queries.expand(clips, -1, -1)
        decoded = self.clip_decoder(
            query=torch.zeros_like(query_pos),
            key=memory,
            value=memory,
            query_pos=query_pos,
            key_pos=memory_pos,
            key_padding_mask=mask,
        )
        return decoded, encoded
