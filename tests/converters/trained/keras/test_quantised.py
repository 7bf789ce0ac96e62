"""Models that Keras has quantised."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from converters.trained.keras.config import LayerConfig
from converters.trained.keras.model import load_network
from converters.trained.obstacles import UnsupportedError
from edge_crnn.errors import ModelFileError


def policy(kind: str, **config: str) -> dict[str, Any]:
    return {"module": "keras.dtype_policies", "class_name": kind, "config": config, "registered_name": None}


QUANTISED: dict[str, tuple[dict[str, Any], str]] = {
    "int8": ({"dtype": policy("QuantizedDTypePolicy", mode="int8", source_name="float32")}, "int8"),
    "int4": ({"dtype": policy("QuantizedDTypePolicy", mode="int4", source_name="float32")}, "int4"),
    "float8": ({"dtype": policy("QuantizedFloat8DTypePolicy", mode="float8", source_name="float32")}, "float8"),
    "the name of a policy": ({"dtype": "int8_from_mixed_bfloat16"}, "int8"),
    "GPTQ": ({"dtype": policy("GPTQDTypePolicy", mode="gptq/4/-1", source_name="float32")}, "gptq"),
    "a configuration alone": ({"dtype": "float32", "quantization_config": {"class_name": "Int8"}}, "float32"),
}


@pytest.mark.parametrize(("settings", "mode"), QUANTISED.values(), ids=QUANTISED)
def test_message_names_the_unsupported_part_and_an_alternative(settings: dict[str, Any], mode: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        LayerConfig("logits", "Dense", settings).expect_float_weights()
    for part in ("'logits' (Dense)", "model.quantize", mode, "before", "--calibration"):
        assert part in str(caught.value)
    assert "save the model" not in str(caught.value)


@pytest.mark.parametrize("dtype", [None, "float32", "mixed_bfloat16", policy("DTypePolicy", name="mixed_float16")])
def test_other_policies_are_no_obstacle(dtype: Any) -> None:
    LayerConfig("logits", "Dense", {"dtype": dtype, "quantization_config": None}).expect_float_weights()


@pytest.mark.parametrize("kind", ["Dense", "EinsumDense"])
def test_a_model_that_keras_has_quantised(keras: Any, tmp_path: Path, kind: str) -> None:
    layers = keras.layers
    image = layers.Input((8, 4, 1))
    x = layers.Reshape((8, 4))(image)
    if kind == "Dense":
        x = layers.Dense(3, name="head")(x)
    else:
        x = layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d", name="head")(x)
    model = keras.Model(image, layers.Softmax()(x))
    with warnings.catch_warnings():  # one for every layer that Keras cannot quantise
        warnings.simplefilter("ignore")
        model.quantize("int8")
    model.save(tmp_path / "quantised.keras")
    with pytest.raises(ModelFileError, match=rf"'head' \({kind}\).*model\.quantize \(int8\)"):
        load_network(tmp_path / "quantised.keras")
