"""A small logistic regression: standardised features, an L2 penalty, Newton's method. Targets are shares, 0 to 1."""

from dataclasses import dataclass

import numpy as np

STEPS = 50


@dataclass(frozen=True)
class Logistic:
    """P = σ(bias + Σ weight · (x − mean) / scale)."""

    weights: tuple[float, ...]
    bias: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def probability(self, features: np.ndarray) -> np.ndarray:
        """P of each row of features [questions, features]."""
        x = (np.asarray(features, dtype=np.float64) - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(1 / (1 + np.exp(-np.clip(x @ np.array(self.weights) + self.bias, -30, 30))))


def fit_logistic(features: np.ndarray, share: np.ndarray, penalty: float = 1.0) -> Logistic:
    """The fit that minimises cross-entropy summed over questions + penalty/2 · ‖weights‖²; the bias is free."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    w = np.zeros(x.shape[1])
    ridge = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-6
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (p - share) + ridge * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < 1e-9:
            break
    return Logistic(tuple(w[:-1].tolist()), float(w[-1]), tuple(mean.tolist()), tuple(scale.tolist()))
