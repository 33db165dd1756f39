"""Defences: what stands between an image and a classifier's answer, each with what an adaptive attacker does about it.

What this file imports is the list of all defences.
"""

from brittle.defend.binarise import Binarise
from brittle.defend.bit_depth import BitDepth
from brittle.defend.blur import Blur
from brittle.defend.crop_resize import CropResize
from brittle.defend.defence import (
    DEFENCES,
    AnyDefence,
    Defence,
    DefenceEntry,
    FittedDefence,
    defences_from,
    defended,
    images_wanted,
    label_of_all,
)
from brittle.defend.feature_squeezing import FeatureSqueezing
from brittle.defend.jpeg import JPEG
from brittle.defend.kernel_density import KernelDensity
from brittle.defend.local_intrinsic_dimension import LocalIntrinsicDimension
from brittle.defend.median import Median
from brittle.defend.multi_crop import MultiCrop
from brittle.defend.noise import Noise
from brittle.defend.non_local_means import NonLocalMeans
from brittle.defend.quantised import Quantised
from brittle.defend.random_resize_pad import RandomResizePad
from brittle.defend.smoothing import Certificate, Smoothed, Smoothing
from brittle.defend.total_variation import TotalVariation
from brittle.defend.translate import Translate

__all__ = [
    "DEFENCES",
    "JPEG",
    "AnyDefence",
    "Binarise",
    "BitDepth",
    "Blur",
    "Certificate",
    "CropResize",
    "Defence",
    "DefenceEntry",
    "FeatureSqueezing",
    "FittedDefence",
    "KernelDensity",
    "LocalIntrinsicDimension",
    "Median",
    "MultiCrop",
    "Noise",
    "NonLocalMeans",
    "Quantised",
    "RandomResizePad",
    "Smoothed",
    "Smoothing",
    "TotalVariation",
    "Translate",
    "defences_from",
    "defended",
    "images_wanted",
    "label_of_all",
]
