"""Writes TensorFlow 1 checkpoints of the digits network into a folder, as the code of that time does.

A program of its own: TensorFlow gives its old layers only to a process that asked for them before the import.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow

tf = tensorflow.compat.v1
CLASSES = 11


def convolutional(x: Any, narrow: int) -> Any:
    def conv(x: Any, filters: int, size: int = 3, padding: str = "same") -> Any:
        kernel = (size, size)
        return tf.layers.conv2d(
            inputs=x, filters=filters // narrow, kernel_size=kernel, padding=padding, activation=tf.nn.relu
        )

    x = tf.layers.max_pooling2d(inputs=conv(x, 64), pool_size=[2, 2], strides=2)
    x = tf.layers.max_pooling2d(inputs=conv(x, 128), pool_size=[2, 2], strides=2)
    x = conv(tf.layers.batch_normalization(conv(x, 256)), 256)
    x = tf.layers.max_pooling2d(inputs=x, pool_size=[2, 2], strides=[1, 2], padding="same")
    x = conv(tf.layers.batch_normalization(conv(x, 512)), 512)
    x = tf.layers.max_pooling2d(inputs=x, pool_size=[2, 2], strides=[1, 2], padding="same")
    return conv(x, 512, 2, "valid")


def recurrent(x: Any, lengths: Any, narrow: int) -> Any:
    for number in (1, 2):
        with tf.variable_scope(None, default_name=f"bidirectional-rnn-{number}"):
            forward, backward = (tf.nn.rnn_cell.BasicLSTMCell(256 // narrow) for _ in range(2))
            outputs, _ = tf.nn.bidirectional_dynamic_rnn(forward, backward, x, lengths, dtype=tf.float32)
            x = tf.concat(outputs, 2)
    return x


def build(narrow: int, trains: bool) -> tuple[Any, Any]:
    """Images (N, 100, 32, 1) and logits (24, N, 11), and the training that goes with them if `trains`."""
    images = tf.placeholder(tf.float32, [None, 100, 32, 1], name="input")
    targets = tf.sparse_placeholder(tf.int32, name="targets")
    lengths = tf.placeholder_with_default(tf.fill([tf.shape(images)[0]], 24), [None], name="seq_len")
    features = convolutional(images, narrow)
    sequence = recurrent(tf.squeeze(features, [2]), lengths, narrow)
    weights = tf.Variable(tf.truncated_normal([512 // narrow, CLASSES], stddev=0.1), name="W")
    bias = tf.Variable(tf.constant(0.0, shape=[CLASSES]), name="b")
    flat = tf.matmul(tf.reshape(sequence, [-1, 512 // narrow]), weights) + bias
    logits = tf.transpose(tf.reshape(flat, [tf.shape(features)[0], 24, CLASSES]), (1, 0, 2))
    if trains:
        loss = tf.nn.ctc_loss(targets, logits, lengths, ignore_longer_outputs_than_inputs=True)
        tf.train.AdamOptimizer(learning_rate=0.0001).minimize(tf.reduce_mean(loss))
    return images, logits


def randomise(session: Any, gain: float) -> None:
    """Enlarge the kernels and make variables random that start as 0 or 1, so that outputs depend on the image."""
    random = np.random.default_rng(8)
    moving = [variable for variable in tf.global_variables() if "moving" in variable.name]
    for variable in tf.trainable_variables() + moving:
        role = variable.op.name.rpartition("/")[2]
        if role in ("kernel", "W"):
            values = variable.eval(session) * (gain if role == "kernel" else 3 * gain)
        else:
            low, high = (0.3, 2.0) if role in ("gamma", "moving_variance") else (-0.5, 0.5)
            values = random.uniform(low, high, variable.shape)
        variable.load(values.astype(np.float32), session)


def write(folder: Path, images: np.ndarray, narrow: int, gain: float, fresh: Path | None) -> None:
    """Write a checkpoint and its logits; before that, to `fresh`, those of the same network as it starts.

    With `fresh`, the network also has its training, whose variables the checkpoints then hold.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(7)
        inputs, logits = build(narrow, trains=fresh is not None)
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver()

        def save(folder: Path, step: int | None) -> None:
            saver.save(session, str(folder / "model"), global_step=step)
            np.save(folder / "logits.npy", session.run(logits, {inputs: images}).transpose(1, 0, 2))

        if fresh is not None:
            save(fresh, None)
        randomise(session, gain)
        save(folder, 1000)


def write_odd(folder: Path) -> None:
    """Variables of many kinds, of which one is partitioned, in two data files."""
    with tf.Graph().as_default():
        random = np.random.default_rng(9)
        for device in (0, 1):
            with tf.device(f"/cpu:{device}"):
                for dtype in ("float32", "float64", "int64", "bool", "complex64"):
                    for rank in range(4):
                        values = random.normal(0, 3, (3,) * rank).astype(dtype)
                        tf.Variable(values, name=f"layer_{device}/{dtype}/{rank}/name")
                tf.Variable(np.float32([np.nan, 1, np.inf]), name=f"not_finite_{device}")
                tf.Variable(np.zeros((3, 0), np.float32), name=f"empty_{device}")
        tf.Variable(["some", "text"], name="text")
        tf.get_variable("parts", [6, 2], partitioner=tf.fixed_size_partitioner(2))
        with tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(tf.global_variables_initializer())
            tf.train.Saver(sharded=True).save(session, str(folder / "odd"))


def main(folder: Path) -> None:
    tf.disable_v2_behavior()
    images = np.random.default_rng(3).uniform(-1, 1, (3, 100, 32, 1)).astype(np.float32)
    np.save(folder / "images.npy", images)
    for name in ("fresh", "trained", "full"):
        (folder / name).mkdir()
    write(folder / "trained", images, narrow=16, gain=3, fresh=folder / "fresh")
    write(folder / "full", images, narrow=1, gain=1.5, fresh=None)
    (folder / "odd").mkdir()
    write_odd(folder / "odd")


main(Path(sys.argv[1]))
