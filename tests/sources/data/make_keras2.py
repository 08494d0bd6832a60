"""Makes the Keras 2 files beside it, and facts.json: what tf_keras itself says about every layer.

Run in an environment with ``tensorflow`` and ``tf_keras``: ``python make_keras2.py FOLDER``.
"""

import json
import os
import sys


def models(keras, tf):
    """name → the model; small, but with everything that Keras 2 writes in its own way."""
    L, inputs = keras.layers, keras.Input

    def lenet():
        return keras.Sequential([
            L.Conv2D(6, 5, padding="same", activation="tanh", input_shape=(28, 28, 1)), L.AveragePooling2D(),
            L.Conv2D(16, 5, activation="tanh"), L.AveragePooling2D(), L.Flatten(), L.Dense(120, "tanh"),
            L.Dropout(0.5), L.Dense(10, "softmax"),
        ], name="lenet")  # fmt: skip

    def kinds():
        i = inputs((16, 16, 8), name="image")
        x = L.DepthwiseConv2D(3, depth_multiplier=2)(L.SeparableConv2D(8, 3, padding="same")(i))
        x = L.PReLU(shared_axes=[1, 2])(L.LeakyReLU(0.1)(L.BatchNormalization()(x)))
        x = L.ELU()(L.ReLU(6.0)(x))
        x = L.ZeroPadding2D(((1, 2), (0, 1)))(L.Conv2DTranspose(4, 3, strides=2, padding="same")(x))
        x = L.UpSampling2D(2, interpolation="bilinear")(L.Cropping2D(1)(x))
        x = L.GaussianNoise(0.1)(L.GroupNormalization(2)(L.LayerNormalization()(x)))
        x = L.Reshape((4, -1))(L.Permute((3, 1, 2))(L.SpatialDropout2D(0.2)(x)))
        x = L.Conv1D(3, 5, dilation_rate=2, padding="causal")(x)
        y = L.Bidirectional(L.GRU(3, return_sequences=True))(L.LSTM(5, return_sequences=True)(x))
        y = L.TimeDistributed(L.Dense(6))(L.SimpleRNN(4, return_sequences=True)(y))
        y = L.Add()([L.MultiHeadAttention(2, 4)(y, y), y])
        y = L.GlobalAveragePooling1D()(L.Concatenate()([y, L.Attention()([y, y])]))
        return keras.Model(i, L.Dense(2, name="out")(L.Flatten()(L.RepeatVector(3)(y))), name="kinds")

    def transfer():
        base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
        base.trainable = False
        head = keras.Sequential([L.Dense(8, "relu", input_shape=(1280,)), L.Dense(3)], name="head")
        return keras.Sequential([base, L.GlobalAveragePooling2D(), head], name="transfer")

    def siamese():
        conv = L.Conv2D(4, 3, activation="relu", input_shape=(12, 12, 1))
        encoder = keras.Sequential([conv, L.Flatten(), L.Dense(5)], name="encoder")
        a, b, shared = inputs((12, 12, 1), name="left"), inputs((12, 12, 1), name="right"), L.Dense(5, name="both")
        x = L.Subtract(name="difference")([shared(encoder(a)), shared(encoder(b))])
        return keras.Model([a, b], [L.Dense(1, "sigmoid", name="same")(x), x], name="siamese")

    def operations():
        i = inputs((8, 8, 4), name="x")
        x = L.Conv2D(4, 3, padding="same")(i)
        y = tf.concat([x, tf.nn.relu(x * 2.0 + i)], -1)
        y = tf.reduce_mean(y[:, 1:, :, :2], [1, 2]) / tf.constant(3.0)
        y = tf.reshape(y, (-1, 2, 1))
        return keras.Model(i, tf.matmul(y, tf.transpose(y, [0, 2, 1])), name="operations")

    def mixed():
        keras.mixed_precision.set_global_policy("mixed_float16")
        i = inputs((8, 8, 3))
        model = keras.Model(i, L.Dense(2, dtype="float32")(L.Flatten()(L.Conv2D(4, 3)(i))), name="mixed")
        keras.mixed_precision.set_global_policy("float32")
        return model

    def video():
        frame = keras.Sequential([L.Conv2D(2, 3, input_shape=(8, 8, 1)), L.Flatten()], name="frame")
        i = inputs((None, 8, 8, 1), name="video")
        x = L.TimeDistributed(frame, name="frames")(i)
        _, h, c = L.LSTM(4, return_state=True, name="enc")(x)
        y = L.LSTM(4, name="dec", return_sequences=True)(x, initial_state=[h, c])
        y, s = L.MultiHeadAttention(1, 2, name="mha")(y, y, return_attention_scores=True)
        return keras.Model(i, {"y": y, "s": s, "h": h}, name="video")

    def mobile():
        return keras.applications.MobileNetV3Small(weights=None, input_shape=(64, 64, 3))

    return {f.__name__: f for f in (lenet, kinds, transfer, siamese, operations, mixed, video, mobile)}


def facts_of(keras, tf, model):
    """What tf_keras says: every layer's output shapes (first call), weights, trained weights."""

    def size(weights):
        return sum(int(tf.size(w)) for w in weights)

    def shapes(value):
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple)):
            return [shape for item in value for shape in shapes(item)]
        return [list(value[1:])]

    def rows(model, prefix=""):
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                yield from rows(layer, f"{prefix}{layer.name}/")
            elif not prefix or not isinstance(layer, keras.layers.InputLayer):
                trained = size(layer.trainable_weights)
                yield {
                    "name": prefix + layer.name, "class": type(layer).__name__,
                    "shapes": shapes(layer.get_output_shape_at(0)),
                    "params": trained + size(layer.non_trainable_weights), "trainable": trained,
                }  # fmt: skip

    return {"params": model.count_params(), "trainable": size(model.trainable_weights), "layers": list(rows(model))}


def main(folder):
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_USE_LEGACY_KERAS": "1"}
    import tensorflow as tf
    import tf_keras as keras

    facts = {}
    for name, make in models(keras, tf).items():
        keras.backend.clear_session()
        model = make()
        facts[name] = facts_of(keras, tf, model)
        with open(os.path.join(folder, f"{name}.json"), "w") as file:
            file.write(model.to_json())
        if name == "siamese":
            model.save(os.path.join(folder, "siamese.h5"), include_optimizer=False)
            model.save(os.path.join(folder, "siamese.keras"))
            model.save_weights(os.path.join(folder, "weights_only.h5"))
    with open(os.path.join(folder, "facts.json"), "w") as file:
        json.dump(facts, file, indent=0)


if __name__ == "__main__":
    main(sys.argv[1])
