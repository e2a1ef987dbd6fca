"""What the numbers of a classifier's output layer are."""

from typing import Literal

from probinv._errors import InputError

type Outputs = Literal["logits", "probabilities"]


def as_outputs(value: object) -> Outputs:
    """ "logits" or "probabilities", or an InputError."""
    if value == "logits":
        return "logits"
    if value == "probabilities":
        return "probabilities"
    raise InputError(
        f"outputs={value!r} is not known",
        "an output layer gives logits or probabilities",
        'give outputs="logits" before a softmax or sigmoid, outputs="probabilities" after it',
    )
