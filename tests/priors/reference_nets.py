"""ADM and DDPM++ networks written as their papers draw them, under their own key names.

Independent of the package: plain functions that read a table of weights, with the attention of
each code base written as explicit sums.
"""

import math

import torch
from torch.nn.functional import avg_pool2d, conv2d, group_norm, interpolate, linear, silu


def norm(w, name, x, groups, eps):
    return group_norm(x, groups, w[f"{name}.weight"], w[f"{name}.bias"], eps)


def conv(w, name, x, stride=1):
    kernel = w[f"{name}.weight"]
    return conv2d(x, kernel, w[f"{name}.bias"], stride, kernel.shape[-1] // 2)


def dense(w, name, x):
    return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def attend(q, k, v):
    """Softmax attention over places, [B, heads, c, places]."""
    scores = torch.einsum("bhct,bhcs->bhts", q, k) / math.sqrt(q.shape[2])
    return torch.einsum("bhts,bhcs->bhct", scores.softmax(-1), v)


# ADM: input_blocks, middle_block, output_blocks


def adm_block(w, name, x, e, change=None):
    h = silu(norm(w, f"{name}.in_layers.0", x, 32, 1e-5))
    if change:
        h, x = change(h), change(x)
    h = conv(w, f"{name}.in_layers.2", h)
    e = dense(w, f"{name}.emb_layers.1", silu(e))[:, :, None, None]
    h_norm = f"{name}.out_layers.0"
    if e.shape[1] == 2 * h.shape[1]:
        scale, shift = e.chunk(2, 1)
        h = norm(w, h_norm, h, 32, 1e-5) * (1 + scale) + shift
    else:
        h = norm(w, h_norm, h + e, 32, 1e-5)
    h = conv(w, f"{name}.out_layers.3", silu(h))
    skip = f"{name}.skip_connection"
    return h + (conv(w, skip, x) if f"{skip}.weight" in w else x)


def adm_attention(w, name, x, head_width, chunked):
    b, c, *sides = x.shape
    flat = norm(w, f"{name}.norm", x, 32, 1e-5).flatten(2)
    qkv = torch.einsum("oc,bct->bot", w[f"{name}.qkv.weight"][..., 0], flat)
    qkv = qkv + w[f"{name}.qkv.bias"][:, None]
    heads = c // head_width
    if chunked:
        q, k, v = (p.reshape(b, heads, head_width, -1) for p in qkv.chunk(3, 1))
    else:
        q, k, v = qkv.reshape(b, heads, 3 * head_width, -1).split(head_width, 2)
    out = attend(q, k, v).reshape(b, c, -1)
    out = torch.einsum("oc,bct->bot", w[f"{name}.proj_out.weight"][..., 0], out)
    return x + (out + w[f"{name}.proj_out.bias"][:, None]).reshape(b, c, *sides)


def adm(w, x, t, width, head_width, chunked=False):
    half = width // 2
    angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
    e = torch.cat([angles.cos(), angles.sin()], 1)
    e = dense(w, "time_embed.2", silu(dense(w, "time_embed.0", e)))

    def run(name, x):
        for part in range(3):
            at = f"{name}.{part}"
            if f"{at}.qkv.weight" in w:
                x = adm_attention(w, at, x, head_width, chunked)
            elif f"{at}.op.weight" in w:
                x = conv(w, f"{at}.op", x, stride=2)
            elif f"{at}.conv.weight" in w:
                x = conv(w, f"{at}.conv", interpolate(x, scale_factor=2))
            elif f"{at}.in_layers.2.weight" in w:
                change = None
                if name.startswith("output") and part:
                    change = double
                if name in w["halving"]:
                    change = halve
                x = adm_block(w, at, x, e, change)
        return x

    count = len({n.split(".")[1] for n in w if n.startswith("input_blocks.")})
    x = conv(w, "input_blocks.0.0", x)
    kept = [x]
    for k in range(1, count):
        x = run(f"input_blocks.{k}", x)
        kept.append(x)
    x = run("middle_block", x)
    for k in range(count):
        x = run(f"output_blocks.{k}", torch.cat([x, kept.pop()], 1))
    return conv(w, "out.2", silu(norm(w, "out.0", x, 32, 1e-5)))


def halve(x):
    return avg_pool2d(x, 2)


def double(x):
    return interpolate(x, scale_factor=2)


# EDM: enc, dec


def edm_norm(w, name, x, eps):
    return norm(w, name, x, min(32, x.shape[1] // 4), eps)


def edm_block(w, name, x, e, song):
    eps, scale = (1e-6, math.sqrt(0.5)) if song else (1e-5, 1.0)
    change = {"down": halve, "up": double}.get(name.rpartition("_")[2], lambda x: x)
    h = conv(w, f"{name}.conv0", change(silu(edm_norm(w, f"{name}.norm0", x, eps))))
    a = dense(w, f"{name}.affine", e)[:, :, None, None]
    if song:
        h = silu(edm_norm(w, f"{name}.norm1", h + a, eps))
    else:
        gain, shift = a.chunk(2, 1)
        h = silu(shift + edm_norm(w, f"{name}.norm1", h, eps) * (gain + 1))
    h = conv(w, f"{name}.conv1", h)
    x = change(x)
    if f"{name}.skip.weight" in w:
        x = conv(w, f"{name}.skip", x)
    x = (x + h) * scale
    if f"{name}.qkv.weight" not in w:
        return x
    b, c, *sides = x.shape
    heads = 1 if song else c // 64
    qkv = conv(w, f"{name}.qkv", edm_norm(w, f"{name}.norm2", x, eps))
    qkv = qkv.reshape(b * heads, c // heads, 3, -1)
    q, k, v = (qkv[:, :, j][:, None] for j in range(3))
    out = attend(q, k, v).reshape(b, c, *sides)
    return (conv(w, f"{name}.proj", out) + x) * scale


def edm(w, x, noise, width, song):
    half = width // 2
    rates = torch.arange(half) / (half - (1 if song else 0))
    angles = noise[:, None] * (1 / 10000) ** rates
    waves = [angles.sin(), angles.cos()] if song else [angles.cos(), angles.sin()]
    e = silu(dense(w, "map_layer0", torch.cat(waves, 1)))
    e = silu(dense(w, "map_layer1", e))
    kept = []
    for name in names_of(w, "enc"):
        x = conv(w, name, x) if name.endswith("_conv") else edm_block(w, name, x, e, song)
        kept.append(x)
    for name in names_of(w, "dec"):
        if "aux" in name:
            continue
        if x.shape[1] != w[f"{name}.norm0.weight"].shape[0]:
            x = torch.cat([x, kept.pop()], 1)
        x = edm_block(w, name, x, e, song)
    if song:
        side = x.shape[-1]
        x = silu(edm_norm(w, f"dec.{side}x{side}_aux_norm", x, 1e-6))
        return conv(w, f"dec.{side}x{side}_aux_conv", x)
    return conv(w, "out_conv", silu(edm_norm(w, "out_norm", x, 1e-5)))


def names_of(w, way):
    """Return the modules of enc or dec in the order in which they were written."""
    return list(dict.fromkeys(".".join(n.split(".")[:2]) for n in w if n.startswith(f"{way}.")))
