"""Recurrent layers: the steps along time, one direction after the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from probinv.forward.loaders.onnx.operators._base import Call, Value, operator

RECURRENT = "activation_alpha activation_beta activations clip direction hidden_size layout"

# What an activation is, and the usual values of its alpha and beta.
ACTIVATIONS: dict[str, tuple[Callable[[Value, float, float], Value], float, float]] = {
    "relu": (lambda x, a, b: jax.nn.relu(x), 0.0, 0.0),
    "tanh": (lambda x, a, b: jnp.tanh(x), 0.0, 0.0),
    "sigmoid": (lambda x, a, b: jax.nn.sigmoid(x), 0.0, 0.0),
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0),
    "leakyrelu": (lambda x, a, b: jnp.where(x >= 0, x, a * x), 0.01, 0.0),
    "thresholdedrelu": (lambda x, a, b: jnp.where(x >= a, x, 0), 1.0, 0.0),
    "scaledtanh": (lambda x, a, b: a * jnp.tanh(b * x), 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: jnp.clip(a * x + b, 0, 1), 0.2, 0.5),
    "elu": (lambda x, a, b: jnp.where(x > 0, x, a * jnp.expm1(jnp.minimum(x, 0))), 1.0, 0.0),
    "softsign": (lambda x, a, b: x / (1 + jnp.abs(x)), 0.0, 0.0),
    "softplus": (lambda x, a, b: jax.nn.softplus(x), 0.0, 0.0),
}
SETTABLE = {"affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu"}

type Step = Callable[[tuple[Value, ...], Value], tuple[tuple[Value, ...], Value]]


def _functions(op: Call, usual: tuple[str, ...], directions: int) -> list[list[Callable[[Value], Value]]]:
    """The activations of each direction, with their settings."""
    names = list(op["activations"] or [*usual] * directions)
    if directions == 1 and names == [*usual] * 2:
        names = names[: len(usual)]  # the usual ones of RNN are given for two directions
    op.require(len(names) == len(usual) * directions, f"activations {names}")
    if op["activation_alpha"] or op["activation_beta"]:
        settable = [name for name in names if name.lower() in SETTABLE]
        plain = len(settable) == len(names)
        op.require(plain, "alpha or beta beside an activation that has none is ambiguous")
    alphas, betas = list(op["activation_alpha"] or ()), list(op["activation_beta"] or ())
    functions = []
    for number, name in enumerate(names):
        op.require(name.lower() in ACTIVATIONS, f"activation {name!r}")
        function, alpha, beta = ACTIVATIONS[name.lower()]
        alpha = alphas[number] if number < len(alphas) else alpha
        beta = betas[number] if number < len(betas) else beta
        functions.append(_bounded(op, function, alpha, beta))
    return [functions[i : i + len(usual)] for i in range(0, len(functions), len(usual))]


def _bounded(op: Call, function: Callable[..., Value], a: float, b: float) -> Callable[[Value], Value]:
    clip = op["clip"]
    if clip is None:
        return lambda x: function(x, a, b)
    return lambda x: function(jnp.clip(x, -clip, clip), a, b)


def _run(
    op: Call,
    x: Value,
    weights: tuple[Value, ...],
    states: tuple[Value | None, ...],
    lengths: Value | None,
    make: Callable[[int, list[Callable[[Value], Value]], list[Value]], Step],
    usual: tuple[str, ...],
) -> tuple[Value, ...]:
    """Y of shape (T, directions, N, H), and the last states (directions, N, H); N before T for layout 1."""
    w, r = weights[0], weights[1]
    layout = op["layout"] or 0
    op.require(layout in (0, 1) and x.ndim == w.ndim == r.ndim == 3, f"shapes {x.shape}, {w.shape}")
    x = x.swapaxes(0, 1) if layout else x
    names = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    op.require(op["direction"] in names, f"direction={op['direction']!r}")
    backward = names[op["direction"]]
    op.require(w.shape[0] == len(backward), f"weights of shape {w.shape} for {op['direction']}")
    steps, batch, hidden = x.shape[0], x.shape[1], r.shape[2]
    op.require(op["hidden_size"] in (None, hidden), f"hidden_size={op['hidden_size']}, weights {r.shape}")
    if lengths is not None and any(length != steps for length in op.integers("sequence_lens", lengths)):
        op.refuse("its sequences end before the last step", "leave sequence_lens out")
    functions = _functions(op, usual, len(backward))
    outputs, ends = [], []
    for number, reverse in enumerate(backward):
        begin = tuple(
            jnp.zeros((batch, hidden), x.dtype)
            if state is None
            else (state[:, number] if layout else state[number])
            for state in states
        )
        step = make(hidden, functions[number], [None if p is None else p[number] for p in weights])
        end, y = lax.scan(step, begin, x, reverse=reverse)
        outputs.append(y)
        ends.append(end)
    y = jnp.stack(outputs, axis=1)
    last = tuple(jnp.stack(parts, axis=1 if layout else 0) for parts in zip(*ends, strict=True))
    return (y.transpose((2, 0, 1, 3)) if layout else y, *last)


def _biases(b: Value | None, hidden: int, gates: int, dtype: Any) -> tuple[Value, Value]:
    """Those of the input and of the recurrence, (gates * hidden,) each."""
    if b is None:
        zero = jnp.zeros(gates * hidden, dtype)
        return zero, zero
    return b[: gates * hidden], b[gates * hidden :]


def _row(b: Value) -> Value:
    return b[None, :]


@operator("RNN", 7, 14, 22, attributes=RECURRENT, static=(4,))
def rnn(
    op: Call, x: Value, w: Value, r: Value, b: Value | None = None, lengths: Value | None = None,
    h: Value | None = None,
) -> tuple[Value, ...]:  # fmt: skip
    """h_t = f(W x_t + R h_{t-1} + b)."""

    def make(hidden: int, functions: list[Callable[[Value], Value]], parts: list[Value]) -> Step:
        w, r, b = parts
        input_bias, recurrent_bias = _biases(b, hidden, 1, x.dtype)

        def step(state: tuple[Value, ...], x_t: Value) -> tuple[tuple[Value, ...], Value]:
            new = functions[0](x_t @ w.T + state[0] @ r.T + _row(input_bias + recurrent_bias))
            return (new,), new

        return step

    return _run(op, x, (w, r, b), (h,), lengths, make, ("Tanh",))


@operator("GRU", 7, 14, 22, attributes=f"{RECURRENT} linear_before_reset", static=(4,))
def gru(
    op: Call, x: Value, w: Value, r: Value, b: Value | None = None, lengths: Value | None = None,
    h: Value | None = None,
) -> tuple[Value, ...]:  # fmt: skip
    """Gates z (update) and r (reset); h_t = (1 - z) g + z h_{t-1}."""

    def make(hidden: int, functions: list[Callable[[Value], Value]], parts: list[Value]) -> Step:
        w, r, b = parts
        f, g = functions
        w_bias, r_bias = _biases(b, hidden, 3, x.dtype)
        gates = slice(0, 2 * hidden)
        new = slice(2 * hidden, 3 * hidden)

        def step(state: tuple[Value, ...], x_t: Value) -> tuple[tuple[Value, ...], Value]:
            before = state[0]
            both = x_t @ w[gates].T + before @ r[gates].T + _row(w_bias[gates] + r_bias[gates])
            update, reset = f(both[:, :hidden]), f(both[:, hidden:])
            if op["linear_before_reset"]:
                recurrent = reset * (before @ r[new].T + _row(r_bias[new]))
            else:
                recurrent = (reset * before) @ r[new].T + _row(r_bias[new])
            candidate = g(x_t @ w[new].T + recurrent + _row(w_bias[new]))
            after = (1 - update) * candidate + update * before
            return (after,), after

        return step

    return _run(op, x, (w, r, b), (h,), lengths, make, ("Sigmoid", "Tanh"))


@operator("LSTM", 7, 14, 22, attributes=f"{RECURRENT} input_forget", static=(4,))
def lstm(
    op: Call, x: Value, w: Value, r: Value, b: Value | None = None, lengths: Value | None = None,
    h: Value | None = None, c: Value | None = None, p: Value | None = None,
) -> tuple[Value, ...]:  # fmt: skip
    """Gates i, o, f with peepholes p; c_t = f c_{t-1} + i g, h_t = o h(c_t)."""
    if op["input_forget"]:
        op.refuse("input_forget joins two gates, which is not computed here")

    def make(hidden: int, functions: list[Callable[[Value], Value]], parts: list[Value]) -> Step:
        w, r, b, p = parts
        f, g, out = functions
        bias = sum(_biases(b, hidden, 4, x.dtype))
        peep = jnp.zeros((3, hidden), x.dtype) if p is None else p.reshape((3, hidden))

        def step(state: tuple[Value, ...], x_t: Value) -> tuple[tuple[Value, ...], Value]:
            before, cell = state
            rows = x_t @ w.T + before @ r.T + _row(bias)
            i, o, forget, new = jnp.split(rows, 4, axis=1)
            i = f(i + _row(peep[0]) * cell)
            forget = f(forget + _row(peep[2]) * cell)
            cell = forget * cell + i * g(new)
            after = f(o + _row(peep[1]) * cell) * out(cell)
            return (after, cell), after

        return step

    return _run(op, x, (w, r, b, p), (h, c), lengths, make, ("Sigmoid", "Tanh", "Tanh"))
