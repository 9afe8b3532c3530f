"""The ECG transformer of vagus in PyTorch: the way into PyTorch for models trained with vagus, and back.

    import vagus_torch
    model = vagus_torch.load("runs/pretrain/checkpoints/best/model.safetensors").eval()
    tokens = model.encoder(signal)            # (B, T) -> (B, 1 + T, C), CLS first
    output = model(signal)                    # reconstruction (B, T), logits (B) or vectors (B, C)
    loss = vagus_torch.masked_mse(model(masked), signal, mask)
    vagus_torch.save(model, "back.safetensors")   # vagus reads it again

`signal` is float32, preprocessed as the model's training data was (the checkpoint's preprocessing.json). This
file needs PyTorch (1.13 or newer) and nothing else; copy it where you need it. Architecture and parameter
names are those of models/transformer.c, and tests/models/test_pytorch.py holds both to each other.
"""
import json
import math
import struct

import torch
from torch import nn
from torch.nn import functional as F

_TYPES = {"F32": torch.float32, "F64": torch.float64, "BF16": torch.bfloat16,
          "U8": torch.uint8, "I32": torch.int32, "I64": torch.int64}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}

_ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


def _size(dtype):
    return torch.empty(0, dtype=dtype).element_size()


def read_safetensors(path):
    """Returns ({name: tensor}, {metadata key: text}) of a safetensors file."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    if len(data) < 8:
        raise ValueError(f"{path}: too short for a safetensors file")
    (length,) = struct.unpack_from("<Q", data)
    start = 8 + length
    if start > len(data):
        raise ValueError(f"{path}: the header is said to be longer than the file")
    header = json.loads(bytes(data[8:start]))
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
        first, last = (start + offset for offset in entry["data_offsets"])
        count = math.prod(shape)
        if not start <= first <= last <= len(data) or last - first != count * _size(dtype):
            raise ValueError(f"{path}: {name} does not lie in the file as its shape says")
        flat = torch.frombuffer(data, dtype=dtype, count=count, offset=first) if count else torch.empty(0, dtype=dtype)
        tensors[name] = flat.clone().reshape(shape)
    return tensors, metadata


def write_safetensors(path, tensors, metadata):
    """Writes {name: tensor} and {key: text}; wider types first, so that each tensor is aligned."""
    header, chunks, offset = {"__metadata__": metadata}, [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        tensor = tensor.detach().cpu().contiguous()
        raw = bytes(tensor.view(-1).view(torch.uint8).numpy()) if tensor.numel() else b""
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(raw)]}
        chunks.append(raw)
        offset += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def sinusoids(rows, width):
    """(rows, width): sin at even, cos at odd channels (Vaswani et al. 2017); row 0 is the CLS token's."""
    position = torch.arange(rows, dtype=torch.float64)[:, None]
    channel = torch.arange(width, dtype=torch.float64)[None, :]
    even = channel % 2 == 0
    angle = position * 10000.0 ** (-(channel - channel % 2) / width)
    return torch.where(even, angle.sin(), angle.cos())


class Attention(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x, note, name):
        B, R, C = x.shape
        qkv = note(f"{name}.qkv", self.qkv(x)).view(B, R, 3, self.heads, C // self.heads)
        q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))  # (B, H, R, D)
        scores = q @ k.transpose(2, 3) / math.sqrt(C // self.heads)
        note(f"{name}.lse", torch.logsumexp(scores, 3) if note is not _ignore else None)
        weights = F.dropout(scores.softmax(3), self.dropout, self.training)
        heads = note(f"{name}.heads", (weights @ v).transpose(1, 2))
        return note(f"{name}.out", self.out(heads.reshape(B, R, C)))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = Attention(c["d_model"], c["heads"], c["dropout_attention"])
        self.norm1 = nn.LayerNorm(c["d_model"], c["norm_epsilon"])
        self.linear1 = nn.Linear(c["d_model"], c["feedforward"])
        self.linear2 = nn.Linear(c["feedforward"], c["d_model"])
        self.norm2 = nn.LayerNorm(c["d_model"], c["norm_epsilon"])


class Encoder(nn.Module):
    """Convolutions, CLS and positions, transformer layers: (B, T) -> (B, 1 + T, C)."""

    def __init__(self, c):
        super().__init__()
        self.config = c
        channels, kernels = c["conv_channels"], c["conv_kernels"]
        self.conv = nn.ModuleList(nn.Conv1d(i, o, k, padding=k // 2)
                                  for i, o, k in zip([1] + channels, channels, kernels))
        normed = {"none": 0, "first": 1, "all": len(channels)}[c["conv_norm"]]
        self.conv_norm = nn.ModuleDict({str(i): nn.LayerNorm(channels[i], c["norm_epsilon"])
                                        for i in range(normed)})
        rows, width = 1 + c["segment_length"], c["d_model"]
        self.cls = nn.Parameter(0.02 * torch.randn(width))
        if c["position"] == "learned":
            self.position = nn.Parameter(0.02 * torch.randn(rows, width))
        else:
            self.register_buffer("position", sinusoids(rows, width), persistent=False)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["layers"]))
        if c["norm"] == "pre":
            self.norm = nn.LayerNorm(width, c["norm_epsilon"])

    def _drop(self, x, which):
        return F.dropout(x, self.config["dropout_" + which], self.training)

    def _feedforward(self, layer, x, note, name):
        hidden = layer.linear1(x)
        if self.config["activation"] == "gelu":
            note(f"{name}.linear1.pre", hidden)
        hidden = note(f"{name}.linear1", self._drop(_ACTIVATIONS[self.config["activation"]](hidden), "feedforward"))
        return note(f"{name}.linear2", layer.linear2(hidden))

    def tokens(self, signal, note):
        activation = _ACTIVATIONS[self.config["conv_activation"]]
        x = signal[:, None, :]  # (B, 1, T); PyTorch keeps channels before time
        for i, conv in enumerate(self.conv):
            x, name = conv(x), f"encoder.conv.{i}"
            if str(i) in self.conv_norm:
                note(name, x.transpose(1, 2))
                x = self.conv_norm[str(i)](x.transpose(1, 2)).transpose(1, 2)
                name = f"encoder.conv_norm.{i}"
            elif self.config["conv_activation"] == "gelu":
                note(name + ".pre", x.transpose(1, 2))
            x = activation(x)
            note(name, x.transpose(1, 2))
        x = self._drop(x.transpose(1, 2), "input")
        x = torch.cat([self.cls.expand(len(x), 1, -1), x], 1) + self.position.to(x.dtype)
        return note("encoder.tokens", self._drop(x, "position"))

    def forward(self, signal, note=None):
        note = note or _ignore
        x, c = self.tokens(signal, note), self.config
        if c["norm"] == "post":
            for i, layer in enumerate(self.layers):
                name = f"encoder.layers.{i}"
                for block, norm in (("attention", "norm1"), ("feedforward", "norm2")):
                    y = (layer.attention(x, note, f"{name}.attention") if block == "attention"
                         else self._feedforward(layer, x, note, name))
                    z = note(f"{name}.{norm}.input", x + self._drop(y, "residual"))
                    x = note(f"{name}.{norm}", getattr(layer, norm)(z))
            return x
        norms = [(f"encoder.layers.{i}.{n}", getattr(layer, n))
                 for i, layer in enumerate(self.layers) for n in ("norm1", "norm2")] + [("encoder.norm", self.norm)]
        for i, (name, norm) in enumerate(norms):
            if i:
                note(f"{name}.input", x)
            y = note(name, norm(x))
            if i == len(norms) - 1:
                return y
            layer, prefix = self.layers[i // 2], f"encoder.layers.{i // 2}"
            y = self._feedforward(layer, y, note, prefix) if i % 2 else layer.attention(y, note, f"{prefix}.attention")
            x = x + self._drop(y, "residual")
        return x


def _ignore(name, value):
    return value


class Masking(nn.Module):
    """Holds the learned value that masked samples become."""

    def __init__(self):
        super().__init__()
        self.fill = nn.Parameter(torch.zeros(1))


class Model(nn.Module):
    """Encoder and head. `config`, `head` and `masking` are what the file's metadata says."""

    def __init__(self, config, head, masking=None):
        super().__init__()
        if config["type"] != "transformer":
            raise ValueError(f"no twin of a model of type {config['type']}")
        self.config, self.kind, self.masking_config = config, head, masking
        self.encoder = Encoder(config)
        if head == "reconstruction" and masking and masking["fill"] == "learned":
            self.masking = Masking()
        if head != "embedding":
            widths = [config["d_model"]] + config[head + "_head"] + [1]
            self.head = nn.ModuleDict({head: nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))})

    def pool(self, tokens):
        how = self.config["pooling"]
        if how == "cls":
            return tokens[:, 0]
        if how == "mean":
            return tokens[:, 1:].mean(1)
        return tokens[:, 1:].max(1).values if how == "max" else tokens[:, -1]

    def forward(self, signal, note=None):
        note = note or _ignore
        x = self.encoder(signal, note)
        if self.kind != "reconstruction":
            x = note("encoder.pooled", self.pool(x))
        if self.kind == "embedding":
            return x
        layers = self.head[self.kind]
        for i, layer in enumerate(layers):
            x = layer(x)
            if i < len(layers) - 1:
                x = _ACTIVATIONS["relu"](x)
                if self.kind == "classification":
                    x = F.dropout(x, self.config["head_dropout"], self.training)
            note(f"head.{self.kind}.{i}", x)
        x = x[..., 0]
        return note("head.output", x[:, 1:] if self.kind == "reconstruction" else x)


def masked_mse(prediction, signal, mask):
    """Mean squared error over the samples whose mask is not zero."""
    return ((prediction - signal) ** 2)[mask != 0].mean()


def _is_conv(name):
    return name.startswith("encoder.conv.") and name.endswith(".weight")


def to_state_dict(tensors):
    """vagus stores convolution weights as (O, K, I), PyTorch as (O, I, K); all else is alike."""
    return {name: t.permute(0, 2, 1).contiguous() if _is_conv(name) else t for name, t in tensors.items()}


def from_state_dict(state):
    return to_state_dict(state)  # swapping the last two dimensions is its own inverse


def from_metadata(metadata):
    masking = json.loads(metadata["masking"]) if "masking" in metadata else None
    return Model(json.loads(metadata["model"]), metadata["head"], masking)


def load(path):
    """The model of a model.safetensors file, in training mode as every new nn.Module."""
    tensors, metadata = read_safetensors(path)
    if "model" not in metadata or "head" not in metadata:
        raise ValueError(f"{path}: no model configuration in the metadata; not written by vagus")
    model = from_metadata(metadata)
    model.load_state_dict(to_state_dict(tensors), strict=True)
    return model


def save(model, path):
    """Writes a file that `load` and vagus itself can read."""
    metadata = {"format": "vagus", "model": json.dumps(model.config), "head": model.kind}
    if model.masking_config:
        metadata["masking"] = json.dumps(model.masking_config)
    write_safetensors(path, from_state_dict(model.state_dict()), metadata)
