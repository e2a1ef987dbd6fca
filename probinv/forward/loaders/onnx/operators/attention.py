"""Attention, and the rotation of positions that goes with it."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from probinv.forward.loaders.onnx.operators._base import Call, Value, operator

ATTENTION = (
    "is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision"
    " left_window_size right_window_size"
)


@operator("Attention", 23, 24, 25, attributes=ATTENTION)
def attention(
    op: Call, q: Value, k: Value, v: Value, mask: Value | None = None, past_k: Value | None = None,
    past_v: Value | None = None, lengths: Value | None = None,
) -> tuple[Value, ...]:  # fmt: skip
    """softmax(scale Q K' + bias) V, of shape (N, heads, T, E), or (N, T, heads E) where that comes in.

    A row that may see nothing gives 0.
    """
    op.require(q.ndim == k.ndim == v.ndim and q.ndim in (3, 4), f"shapes {q.shape}, {k.shape}, {v.shape}")
    op.require((past_k is None) == (past_v is None), "one of past_key and past_value alone")
    op.require(lengths is None or past_k is None, "nonpad_kv_seqlen beside past_key")
    flat = q.ndim == 3
    if flat:
        q = _heads(op, q, op["q_num_heads"])
        k, v = _heads(op, k, op["kv_num_heads"]), _heads(op, v, op["kv_num_heads"])
    if past_k is not None and past_v is not None:
        k, v = jnp.concatenate([past_k, k], axis=2), jnp.concatenate([past_v, v], axis=2)
    present = (k, v)
    op.require(q.shape[1] % k.shape[1] == 0, f"{q.shape[1]} heads of Q for {k.shape[1]} of K")
    repeats = q.shape[1] // k.shape[1]
    k, v = jnp.repeat(k, repeats, axis=1), jnp.repeat(v, repeats, axis=1)
    op.bound((*q.shape[:3], k.shape[2]))
    scale = math.sqrt(1 / math.sqrt(q.shape[3]) if op["scale"] is None else op["scale"])
    plain = (q * scale) @ jnp.swapaxes(k * scale, 2, 3)
    capped = op["softcap"] * jnp.tanh(plain / op["softcap"]) if op["softcap"] else plain
    before = 0 if past_k is None else past_k.shape[2]
    allowed, bias = _bias(op, mask, plain.shape, before, lengths)
    scores = capped + bias
    seen = jnp.any(allowed & (bias > -jnp.inf), axis=-1, keepdims=True)
    # a row without any entry would be NaN, also in its gradient
    weights = jax.nn.softmax(jnp.where(seen, jnp.where(allowed, scores, -jnp.inf), 0), axis=-1)
    weights = jnp.where(seen, weights, 0)
    y = weights @ v
    if flat:
        y = y.transpose((0, 2, 1, 3)).reshape((y.shape[0], y.shape[2], -1))
    biased = jnp.where(allowed, scores, -jnp.inf)
    shown = _shown(op, plain, capped, biased, weights)
    return y, *present, shown


def _shown(op: Call, plain: Value, capped: Value, biased: Value, weights: Value) -> Value:
    """What the fourth output shows; the meaning of 1 and 2 changed among versions of the definition."""
    mode = op["qk_matmul_output_mode"] or 0
    op.require(mode in (0, 1, 2, 3), f"qk_matmul_output_mode={mode}")
    return (plain, capped, biased, weights)[mode]


def _heads(op: Call, x: Value, heads: int | None) -> Value:
    op.require(heads is not None and heads >= 1 and x.shape[2] % heads == 0, f"{heads} heads of {x.shape}")
    return x.reshape((x.shape[0], x.shape[1], heads, -1)).transpose((0, 2, 1, 3))


def _bias(
    op: Call, mask: Value | None, shape: tuple[int, ...], before: int, lengths: Value | None
) -> tuple[Value, Value]:
    """Which keys a query may see, and what is added to the scores, both of the rank of the scores."""
    queries, keys = shape[2], shape[3]
    bias = jnp.zeros((1, 1, 1, 1), float)
    i, j = np.arange(queries)[:, None], np.arange(keys)[None]
    allowed = jnp.ones((1, 1, queries, keys), bool)
    offset: Value = jnp.full((1, 1, 1, 1), before)
    if lengths is not None:
        op.require(lengths.shape == (shape[0],), f"nonpad_kv_seqlen of shape {lengths.shape}")
        offset = lengths.reshape((-1, 1, 1, 1)) - queries
        allowed = allowed & (jnp.asarray(j)[None, None] < lengths.reshape((-1, 1, 1, 1)))
    ahead = jnp.asarray(j - i)[None, None] - offset
    if op["is_causal"]:
        allowed = allowed & (ahead <= 0)
    if (op["right_window_size"] or 0) >= 0 and op["right_window_size"] is not None:
        allowed = allowed & (ahead <= op["right_window_size"])
    if (op["left_window_size"] or 0) >= 0 and op["left_window_size"] is not None:
        allowed = allowed & (-ahead <= op["left_window_size"])
    if mask is None:
        return allowed, bias
    op.require(1 <= mask.ndim <= 4 and mask.shape[-1] <= keys, f"a mask of shape {mask.shape}")
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    missing = [(0, 0), (0, 0), (0, 0), (0, keys - mask.shape[-1])]
    if mask.dtype == np.bool_:
        return allowed & jnp.pad(mask, missing, constant_values=False), bias
    return allowed, jnp.pad(mask, missing, constant_values=-jnp.inf)


@operator("RotaryEmbedding", 23, attributes="interleaved num_heads rotary_embedding_dim")
def rotary_embedding(op: Call, x: Value, cosine: Value, sine: Value, positions: Value | None = None) -> Value:
    """Pairs of entries turned by an angle that grows with the position."""
    op.require(x.ndim in (3, 4), f"shape {x.shape}")
    flat = x.shape
    rows = x.transpose((0, 2, 1, 3)) if x.ndim == 4 else None
    if rows is None:
        heads = op["num_heads"]
        op.require(bool(heads) and x.shape[2] % heads == 0, f"{heads} heads of {x.shape}")
        rows = x.reshape((x.shape[0], x.shape[1], heads, -1))
    turned = op["rotary_embedding_dim"] or rows.shape[3]
    op.require(turned % 2 == 0 and turned <= rows.shape[3], f"rotary_embedding_dim={turned}")
    if positions is not None:
        cosine, sine = (jnp.take(part, positions, axis=0, mode="fill") for part in (cosine, sine))
    op.require(cosine.ndim == 3 and cosine.shape[-1] == turned // 2, f"a cosine of shape {cosine.shape}")
    cosine, sine = cosine[:, :, None], sine[:, :, None]
    part, rest = rows[..., :turned], rows[..., turned:]
    if op["interleaved"]:
        a, b = part[..., 0::2], part[..., 1::2]
    else:
        a, b = part[..., : turned // 2], part[..., turned // 2 :]
    real, imaginary = cosine * a - sine * b, sine * a + cosine * b
    if op["interleaved"]:
        part = jnp.stack([real, imaginary], axis=-1).reshape(part.shape)
    else:
        part = jnp.concatenate([real, imaginary], axis=-1)
    y = jnp.concatenate([part, rest], axis=-1)
    return y.reshape(flat) if len(flat) == 3 else y.transpose((0, 2, 1, 3))
