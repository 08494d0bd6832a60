"""Equations whose form depends on no number of the layer.

σ is the recurrent activation; · between vectors of one size is by value.
"""

from __future__ import annotations

FORMULAS: dict[str, tuple[tuple[str, str], ...]] = {
    "SimpleRNN": (("h[t] = tanh(W·x[t] + U·h[t - 1] + b)", "at every time step; tanh stands for the activation"),),
    "LSTM": (
        ("i[t] = σ(W_i·x[t] + U_i·h[t - 1] + b_i)", "input gate; f (forget) and o (output) likewise"),
        ("g[t] = tanh(W_g·x[t] + U_g·h[t - 1] + b_g)", "candidate"),
        ("c[t] = f[t] · c[t - 1] + i[t] · g[t]", "cell state"),
        ("h[t] = o[t] · tanh(c[t])", "output"),
    ),
    "GRU": (
        ("z[t] = σ(W_z·x[t] + U_z·h[t - 1] + b_z)", "update gate; r (reset) likewise"),
        ("g[t] = tanh(W_g·x[t] + r[t] · (U_g·h[t - 1]) + b_g)", "candidate"),
        ("h[t] = z[t] · h[t - 1] + (1 - z[t]) · g[t]", "output"),
    ),
    "Attention": (("y = softmax(Q·Kᵀ)·V", "queries Q, keys K, values V"),),
    "AdditiveAttention": (("y = softmax(Σ_c s[c]·tanh(Q[c] + K[c]))·V", "for every query and key"),),
    "MultiHeadAttention": (
        ("a = softmax(Q·Kᵀ/sqrt(key_dim))·V", "in each head, with Q, K and V projected from the inputs"),
        ("y = a·W + b", "all heads together, projected back"),
    ),
    "Embedding": (("y[t] = w[x[t]]", "row x[t] of the table: a look-up, no arithmetic"),),
    "LayerNormalization": (
        ("y = gamma · (x - mean) / sqrt(variance + epsilon) + beta", "mean and variance of the instance"),
    ),
    "GroupNormalization": (
        ("y = gamma · (x - mean) / sqrt(variance + epsilon) + beta", "mean and variance of the group"),
    ),
    "RMSNormalization": (("y = gamma · x / sqrt(mean of x² + epsilon)", ""),),
    "UnitNormalization": (("y = x / sqrt(Σ x²)", "along the axis"),),
    "LocalResponseNormalization": (
        (
            "y[i, j, k] = x[i, j, k] / (bias + alpha · Σ_d x[i, j, d]²)^beta",
            "d from k - depth_radius to k + depth_radius",
        ),
    ),
    "TrainableAveragePooling2D": (
        ("z[i, j, k] = a[k] · (mean of the window) + b[k]", "a coefficient and a bias per map"),
    ),
    "RBF": (("y[i] = Σ_c (x[c] - w[i, c])²", "squared distance to each unit's own vector"),),
    "Average": (("y[p] = (x1[p] + x2[p] + …)/n", "over the n inputs, at every position p"),),
    "Maximum": (("y[p] = max(x1[p], x2[p], …)", "at every position p"),),
    "Minimum": (("y[p] = min(x1[p], x2[p], …)", "at every position p"),),
    "Flatten": (("y[i·columns·maps + j·maps + k] = x[i, j, k]", "the same values in one row"),),
    "Rescaling": (("y = scale · x + offset", ""),),
    "LeakyReLU": (("y = max(a·x, x)", "a is negative_slope"),),
    "PReLU": (("y = max(x, 0) + alpha·min(x, 0)", "alpha is trained"),),
    "ELU": (("y = x where x > 0, else alpha·(exp(x) - 1)", ""),),
    "Softmax": (("y = exp(x - max)/sum exp(x - max)", "along the axis"),),
}
