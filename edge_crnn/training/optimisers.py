"""Optimisers: a modern default, and the original optimisers of the two networks."""

from __future__ import annotations

import math
from typing import Any, Literal

from ..errors import InputError

Optimiser = Literal["adamw", "adadelta", "adam"]

RATES: dict[Optimiser, float] = {"adamw": 1e-3, "adadelta": 1.0, "adam": 1e-4}
"""Default learning rates."""

WARM_UP = 0.03
"""Share of all steps over which AdamW's rate rises from 0."""
LAST = 0.01
"""Fraction of the rate at the end of the cosine decay."""
AVERAGED = 0.05
"""Share of all steps that an average of the weights looks back on."""
WEIGHT_DECAY = 1e-2
MOST_NORM = 5.0


def make_optimiser(name: Optimiser, rate: float | None, steps: int, *, averaged: bool = False) -> Any:
    """Make a Keras optimiser for a run of this many steps.

    | name | |
    |---|---|
    | adamw | AdamW (Loshchilov and Hutter 2019), linear warm-up, cosine decay (2017), gradients clipped to a global norm of 5 (Pascanu 2013); no decay of biases and norms |
    | adadelta | Adadelta (Zeiler 2012) at a constant rate of 1, as the plate network was first trained |
    | adam | Adam (Kingma and Ba 2015) at a constant rate of 0.0001, as the text line network was first trained |

    Args:
        name: name of the optimiser.
        rate: learning rate; None: the default of the optimiser.
        steps: number of steps of the run.
        averaged: keep exponential averages of the weights, which `finalize_variable_values` stores (Polyak and Juditsky
            1992). AdamW only.

    Raises:
        InputError: the optimiser is unknown.
    """  # noqa: E501 - a table
    from keras import optimizers

    if name not in RATES:
        raise InputError(f"optimiser {name!r}: expected one of {', '.join(RATES)}")
    rate = RATES[name] if rate is None else rate
    if name == "adadelta":
        return optimizers.Adadelta(rate, rho=0.95)
    if name == "adam":
        return optimizers.Adam(rate)
    warm_up = max(1, round(WARM_UP * steps))
    schedule = optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warm_up),
        alpha=LAST,
        warmup_target=rate,
        warmup_steps=warm_up,
    )
    optimiser = optimizers.AdamW(
        schedule,
        weight_decay=WEIGHT_DECAY,
        global_clipnorm=MOST_NORM,
        use_ema=averaged,
        ema_momentum=max(0.0, 1 - 1 / (AVERAGED * steps)),
    )
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser


def current_rate(optimiser: Any) -> float:
    """Return the current learning rate of a Keras optimiser."""
    from keras import ops

    return float(ops.convert_to_numpy(optimiser.learning_rate))


def jit_compile() -> bool | Literal["auto"]:
    """Return the argument of `keras.Model.compile` of that name.

    XLA takes minutes to compile the recurrent loops for a CPU on TensorFlow, and gains nothing there.
    """
    from keras import backend

    return False if backend.backend() == "tensorflow" else "auto"


def require_rate(rate: float) -> None:
    """Check a learning rate.

    Raises:
        InputError: it is not a finite number above 0.
    """
    if not 0 < rate < math.inf:
        raise InputError(f"learning rate {rate}: expected a finite number above 0, such as 0.001")
