"""The reference of verification for a TensorFlow 1 checkpoint: its network, spelt in TensorFlow's own operations.

Nothing is shared with the graph that is converted but the names of the variables: TensorFlow reads the checkpoint, and
the cells run with gates and forget bias as `BasicLSTMCell` has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..graph.nodes import Shape
from ..trained.tf1.model import CELLS, CONVOLUTIONS, FORGET_BIAS, INPUT_SHAPE, NORM_EPSILON, NORMS, load_tf1_graph
from .tensorflow import TensorFlowReference, import_tensorflow


class Tf1Reference(TensorFlowReference):
    """The digits network with the variables of the checkpoint NAME, whose index is NAME.index, run by TensorFlow.

    Raises:
        BackendUnavailable: TensorFlow is not installed.
        ModelFileError: `converters.trained.tf1.model.load_tf1_graph` refuses the checkpoint.
    """

    def __init__(self, index: Path, input_shape: Shape = INPUT_SHAPE, batch: int = 32) -> None:
        graph = load_tf1_graph(index, input_shape)
        (tensorflow,) = import_tensorflow()
        variable = tensorflow.train.load_checkpoint(str(index.with_suffix(""))).get_tensor

        def call(images: Any) -> Any:
            return tensorflow.nn.softmax(_logits(tensorflow, variable, images))

        super().__init__(
            tensorflow, call, graph, batch, name="tensorflow", version=tensorflow.__version__, precision="float32"
        )


def _logits(tf: Any, variable: Any, x: Any) -> Any:
    """Return the logits, (N, steps, classes)."""

    def conv(number: int, x: Any, padding: str = "SAME") -> Any:
        kernel, bias = (variable(f"{CONVOLUTIONS[number]}/{role}") for role in ("kernel", "bias"))
        return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, padding) + bias)

    def norm(number: int, x: Any) -> Any:
        mean, variance, beta, gamma = (
            variable(f"{NORMS[number]}/{role}") for role in ("moving_mean", "moving_variance", "beta", "gamma")
        )
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, NORM_EPSILON)

    x = tf.nn.max_pool2d(conv(0, x), 2, 2, "VALID")
    x = tf.nn.max_pool2d(conv(1, x), 2, 2, "VALID")
    x = conv(3, norm(0, conv(2, x)))
    x = tf.nn.max_pool2d(x, 2, (1, 2), "SAME")
    x = conv(5, norm(1, conv(4, x)))
    x = tf.nn.max_pool2d(x, 2, (1, 2), "SAME")
    x = tf.squeeze(conv(6, x, "VALID"), [2])
    for forward, backward in CELLS:
        reverse = tf.reverse(_lstm(tf, variable, backward, tf.reverse(x, [1])), [1])
        x = tf.concat([_lstm(tf, variable, forward, x), reverse], 2)
    return x @ variable("W") + variable("b")


def _lstm(tf: Any, variable: Any, name: str, x: Any) -> Any:
    """Run a `BasicLSTMCell` over all steps of (N, steps, in)."""
    kernel, bias = variable(f"{name}/kernel"), variable(f"{name}/bias")
    state = hidden = tf.zeros((x.shape[0], kernel.shape[1] // 4))
    outputs = []
    for step in range(x.shape[1]):
        i, j, f, o = tf.split(tf.concat([x[:, step], hidden], 1) @ kernel + bias, 4, axis=1)
        state = state * tf.sigmoid(f + FORGET_BIAS) + tf.sigmoid(i) * tf.tanh(j)
        hidden = tf.tanh(state) * tf.sigmoid(o)
        outputs.append(hidden)
    return tf.stack(outputs, 1)
