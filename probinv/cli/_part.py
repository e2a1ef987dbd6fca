"""One table of a spec file after its keys and values have been checked."""

from dataclasses import dataclass, field
from typing import Any, final


@final
@dataclass
class Part:
    """A prior, a target or a method that can be built.

    Attributes:
        where: the table's name, such as prior.inputs.angle.
        kind: what it is.
        entry: its class in the registry; None for named inputs and products, which hold other parts.
        settings: arguments of the class.
        inputs: of a prior with named inputs, in order.
        fixed: of a prior: name or index -> value.
        parts: of a product.
        on: of a target: the outputs that it concerns; None for all.
    """

    where: str
    kind: str
    entry: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, "Part"] = field(default_factory=dict)
    fixed: dict[str | tuple[int, ...], Any] = field(default_factory=dict)
    parts: list["Part"] = field(default_factory=list)
    on: int | list[int] | None = None
