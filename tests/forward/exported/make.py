"""Makes the ONNX files of this folder with PyTorch's exporter, and what PyTorch says that they compute.

Run in an environment that has torch, onnx, onnxscript and numpy, from any folder:

    python tests/forward/exported/make.py

Each network gets NAME.onnx, written in single precision as usual, and NAME.npz with inputs `x`, outputs `y`
and Jacobians `jacobian`, computed by PyTorch in double precision with the same weights. The tests need no
PyTorch.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

HERE = Path(__file__).parent
COUNT = 3


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 4, num_layers=2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        states, _ = self.lstm(x)
        return self.head(states[:, -1])


class Block(nn.Module):
    """A pre-norm transformer block, written out."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.first(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        x = x + self.down(nn.functional.gelu(self.up(self.second(x))))
        return self.head(x.mean(1))


def mlp():
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2)), (3,)


def cnn():
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(4, 3), nn.Softmax(dim=1),
    )  # fmt: skip
    norm = net[1]
    with torch.no_grad():
        norm.running_mean.copy_(torch.linspace(-0.5, 0.5, 3))
        norm.running_var.copy_(torch.linspace(0.5, 2.0, 3))
        norm.weight.copy_(torch.linspace(0.5, 1.5, 3))
        norm.bias.copy_(torch.linspace(-0.2, 0.3, 3))
    return net, (1, 8, 8)


def lstm():
    return Recurrent(), (5, 2)


def transformer():
    return Block(), (4, 8)


def encoder():
    """The library's own block, as people build it; it takes other paths in PyTorch than one written out."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(32, 2)), (4, 8)


def write(make):
    torch.manual_seed(0)
    net, shape = make()
    net.eval()
    name, x = make.__name__, torch.randn(COUNT, *shape, dtype=torch.float64)
    program = torch.onnx.export(net, (x[:1].float(),), dynamo=True, verbose=False)
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    net.double()
    jacobian = [torch.autograd.functional.jacobian(net, one[None])[0].squeeze(1) for one in x]
    y = net(x).detach().numpy()
    np.savez(HERE / f"{name}.npz", x=x.numpy(), y=y, jacobian=np.stack([j.numpy() for j in jacobian]))


def strip(model):
    """Leaves out what tells where and by which lines of code a file was made."""
    model.ClearField("doc_string")
    model.ClearField("metadata_props")
    for part in (model.graph, *model.functions):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
        for one in (*part.node, *part.value_info):
            one.ClearField("doc_string")
            one.ClearField("metadata_props")
    for one in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        one.ClearField("doc_string")
        one.ClearField("metadata_props")


if __name__ == "__main__":
    for make in (mlp, cnn, lstm, transformer, encoder):
        write(make)
