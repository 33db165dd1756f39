"""The schema of an audit's records: one row for each example and attack."""

import pyarrow as pa

SCHEMA_VERSION = 3

RECORD = pa.schema(
    [
        pa.field("attack", pa.string(), nullable=False),  # label of the attack, as in the manifest
        pa.field("example", pa.string(), nullable=False),  # the example's id
        pa.field("position", pa.int64(), nullable=False),  # its place in the data of this run
        pa.field("goal", pa.string(), nullable=False),  # "untargeted" or "targeted"
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
    ],
    metadata={"brittle_schema": str(SCHEMA_VERSION)},
)
