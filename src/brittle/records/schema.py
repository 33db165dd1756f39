"""The schemas of records: what a row of each kind of study is."""

import pyarrow as pa

SCHEMA_VERSION = 4
"""Of the manifest and of all records. Who changes what these are raises it, and adds a step to ``migrations.py``."""

RECORD = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),  # name of the classifier, as in the manifest
        pa.field("attack", pa.string(), nullable=False),  # label of the attack, as in the manifest
        pa.field("example", pa.string(), nullable=False),  # the example's id
        pa.field("position", pa.int64(), nullable=False),  # its place in the data of this run
        pa.field("goal", pa.string(), nullable=False),  # as in the manifest: "untargeted", "least-likely", a class
        pa.field("label", pa.int64(), nullable=False),  # true class (or own prediction for unlabelled data)
        pa.field("target", pa.int64()),  # class to reach; null when untargeted
        pa.field("reject", pa.int64()),  # class by which the network refuses to answer; null: none
        pa.field("clean_prediction", pa.int64(), nullable=False),
        pa.field("clean_confidence", pa.float32(), nullable=False),  # softmax probability of clean_prediction
        pa.field(
            "adversarial_prediction", pa.int64(), nullable=False
        ),  # fresh forward pass, before the image is stored
        pa.field("adversarial_confidence", pa.float32(), nullable=False),
        pa.field("clean_margin", pa.float32(), nullable=False),  # logits missing to the goal before the attack
        pa.field("adversarial_margin", pa.float32(), nullable=False),  # and after it; negative where the goal is met
        pa.field("claimed", pa.bool_(), nullable=False),  # the attack says that it met the goal
        pa.field("fooled", pa.bool_(), nullable=False),  # goal met by a fresh forward pass, inside box and budget
        pa.field("fooled_8bit", pa.bool_(), nullable=False),  # the same after rounding to 8-bit pixels
        pa.field("l0", pa.int64(), nullable=False),  # changed pixels (a pixel is all channels of a position)
        pa.field("l1", pa.float64(), nullable=False),
        pa.field("l2", pa.float64(), nullable=False),
        pa.field("linf", pa.float64(), nullable=False),
        pa.field("relative_l2", pa.float64(), nullable=False),  # l2 of the perturbation / l2 of the image
        pa.field("longer_ratio", pa.float64()),  # what a longer run leaves of the distance; null where none was made
        pa.field("steps", pa.int64(), nullable=False),
        pa.field("forwards", pa.int64(), nullable=False),
        pa.field("backwards", pa.int64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),  # the attack's time, shared out by passes
        pa.field("flags", pa.list_(pa.string()), nullable=False),  # codes: see docs/flags.md
    ]
)


CRAFTED = pa.schema(
    [
        pa.field("photograph", pa.string(), nullable=False),  # file name without its folder
        pa.field("photograph_sha256", pa.string(), nullable=False),  # of the file
        pa.field("position", pa.int64(), nullable=False),  # of the photograph among those of this run
        pa.field("attack", pa.string(), nullable=False),  # the way: label of an attack, or name of a preset
        pa.field("goal", pa.string(), nullable=False),  # the wish
        pa.field("wish", pa.int64(), nullable=False),  # its position among those of this run
        pa.field("label", pa.int64(), nullable=False),  # the class before
        pa.field("target", pa.int64()),  # class to reach; null when untargeted
        pa.field("target_name", pa.string()),
        pa.field("before", pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float64())]))),
        pa.field("after", pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float64())]))),
        pa.field("confidence", pa.float64(), nullable=False),  # as the saved file is read again
        pa.field("wanted", pa.float64(), nullable=False),
        pa.field("claimed", pa.bool_(), nullable=False),
        pa.field("fooled", pa.bool_(), nullable=False),  # goal met by the saved file, inside box and budget
        pa.field("reached", pa.bool_(), nullable=False),  # and at the confidence wanted
        pa.field("colour_mean", pa.float64(), nullable=False),
        pa.field("colour_p99", pa.float64(), nullable=False),
        pa.field("ssim", pa.float64(), nullable=False),
        pa.field("l2", pa.float64(), nullable=False),
        pa.field("linf", pa.float64(), nullable=False),
        pa.field("changed", pa.float64(), nullable=False),
        pa.field("noise_amplification", pa.int64(), nullable=False),  # of noise.png
        pa.field("steps", pa.int64(), nullable=False),
        pa.field("forwards", pa.int64(), nullable=False),
        pa.field("backwards", pa.int64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("folder", pa.string(), nullable=False),  # of its pictures, below the run directory
    ]
)

FITTED = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("attack", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),  # "fitted" or "unseen"
        pa.field("example", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),  # within the part
        pa.field("label", pa.int64(), nullable=False),
        pa.field("reject", pa.int64()),
        pa.field("clean_prediction", pa.int64(), nullable=False),
        pa.field("adversarial_prediction", pa.int64(), nullable=False),
        pa.field("fooled", pa.bool_(), nullable=False),  # by the perturbation, inside box and budget
        pa.field("fooled_by_chance", pa.bool_(), nullable=False),  # by a random one of the same size
        pa.field("flags", pa.list_(pa.string()), nullable=False),
    ]
)

TRAINED = pa.schema(
    [
        pa.field("network", pa.string(), nullable=False),  # the name of its files below models/
        pa.field("architecture", pa.string(), nullable=False),
        pa.field("on", pa.string(), nullable=False),  # part of the training data: "all", "half-1", "half-2"
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("parameters", pa.int64(), nullable=False),  # trainable ones
        pa.field("gflops", pa.float64(), nullable=False),  # of one forward pass of one image
        pa.field("epoch", pa.int64(), nullable=False),  # from 1
        pa.field("rate", pa.float64(), nullable=False),  # learning rate of its last step
        pa.field("loss", pa.float64(), nullable=False),  # mean over the images as they were trained on
        pa.field("accuracy", pa.float64(), nullable=False),  # on the same, while it was learning
        pa.field("robust", pa.float64()),  # share of some training images right under PGD; null where nobody looked
        pa.field("held_out_right", pa.int64(), nullable=False),  # test images that are classified correctly, of
        pa.field("held_out", pa.int64(), nullable=False),  # so many: after the last epoch all, in float32
        pa.field("seconds", pa.float64(), nullable=False),  # since the training began
        pa.field("stopped", pa.string()),  # of the last epoch: why it ended before its last step, where it did
    ]
)

TRANSFERRED = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),  # the model that the change was made for
        pa.field("target", pa.string(), nullable=False),  # the model that it is graded on
        pa.field("attack", pa.string(), nullable=False),
        pa.field("goal", pa.string(), nullable=False),
        pa.field("example", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("label", pa.int64(), nullable=False),  # true class (or the target model's own prediction)
        pa.field("wanted", pa.int64()),  # class to reach; null when untargeted
        pa.field("reject", pa.int64()),  # class by which the target model refuses to answer
        pa.field("clean_prediction", pa.int64(), nullable=False),  # of the target model, for the source's original
        pa.field("norm", pa.string(), nullable=False),  # of the sizes
        pa.field("size", pa.float64()),  # that the change was scaled to; null: as it is
        pa.field("reached", pa.bool_(), nullable=False),  # change and noise have that size, inside the box
        pa.field("distance", pa.float64(), nullable=False),  # size of the change
        pa.field("prediction", pa.int64(), nullable=False),
        pa.field("fooled", pa.bool_(), nullable=False),  # goal met by a fresh pass of the target model
        pa.field("noise_distance", pa.float64(), nullable=False),  # size of the noise
        pa.field("noise_prediction", pa.int64(), nullable=False),
        pa.field("noise_fooled", pa.bool_(), nullable=False),
    ]
)

CERTIFIED = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("example", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("label", pa.int64(), nullable=False),  # true class (or the model's own prediction)
        pa.field("prediction", pa.int64()),  # the certified class; null where none could be told
        pa.field("radius", pa.float64(), nullable=False),  # in L2: no change up to this size alters it
    ]
)

CERTIFICATES = "_certified"
"""The folder of their records; no model's is called so."""

TRANSFERS = "_transfer"
"""The folder of their records; no model's is called so."""

SCHEMAS = {"audit": RECORD, "craft": CRAFTED, "fit": FITTED, "train": TRAINED}
"""By the name of the study; others say nothing of theirs beyond what their seals do."""


def schema_of(study: str, key: str) -> pa.Schema | None:
    """The schema of the records of a unit; None where a study says nothing of its."""
    if key.startswith(f"{CERTIFICATES}/"):
        return CERTIFIED
    return TRANSFERRED if key.startswith(f"{TRANSFERS}/") else SCHEMAS.get(study)
