"""report: one HTML page that says what was asked, what came out, and whether to trust it."""

import base64
import contextlib
import html
import os
import secrets
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import xarray as xr

from probinv._errors import FileError
from probinv.results.answer import answer
from probinv.results.diagnose import diagnose
from probinv.results.plots._reading import Reading
from probinv.results.plots._style import count, number, png
from probinv.results.plots.everything import figures, suitable
from probinv.results.summary import summary
from probinv.results.verdict import Verdict

ROWS_MOST = 40
TEXT_MOST = 600
TONES = {Verdict.OK: "ok", Verdict.UNKNOWN: "unknown", Verdict.PARTLY_REACHED: "partly"}
CAPTIONS = {
    "predictive": "What the network gives at these inputs, against what was wished.",
    "forest": "Where each input lies: what the wish adds to the prior.",
    "images": "Single answers, and what they have in common.",
    "pair": "Single inputs, and how they depend on each other.",
    "modes": "Separate sets of answers, and how much each weighs.",
    "optima": "The points that were found, how good they are and where they lie.",
    "convergence": "Whether the chains agree (R-hat) and how many independent draws they are worth.",
    "trace": "The inputs that converged worst.",
    "energy": "Whether the sampler reaches the tails.",
}


def report(tree: xr.DataTree, path: str | os.PathLike[str], *, shape: tuple[int, int] | None = None) -> Path:
    """Question, verdict, answer, pictures, numbers and provenance of a result as one HTML file.

    The file needs nothing else: pictures are inside, there are no scripts, links or fonts. It is written
    beside its place and then renamed.

    Args:
        tree: a result of `invert`, of a sampler or of a method that gives points.
        path: the file, overwritten if it exists.
        shape: (h, w) of an input that is an image, where x itself is not of that shape.

    Returns:
        The path.

    Raises:
        InputError: the tree holds neither draws nor optima, or shape does not fit.
        FileError: the file cannot be written.
    """
    page = render(tree, shape)
    place = Path(path)
    beside = place.with_name(f".{place.name[:80]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(beside, "x", encoding="utf-8") as file:
            file.write(page)
        os.replace(beside, place)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise FileError(
            f"{place} cannot be written", error.strerror or str(error), "name a file in a folder that exists"
        ) from None
    return place


def render(tree: xr.DataTree, shape: tuple[int, int] | None = None) -> str:
    """The page as text; see `report`."""
    reading = Reading(tree)
    suitable(reading, shape)
    verdict = reading.facts.get("verdict")
    if not isinstance(verdict, dict) or not {"verdict", "reasons"} <= set(verdict):
        verdict = diagnose(tree).as_dict()
    template = Template(resources.files("probinv.results").joinpath("report.html").read_text("utf-8"))
    return template.substitute(
        title="Which inputs give this output?",
        question=f"Wish: {_text(reading.facts.get('question', 'not recorded'))}.",
        setting=_text(_setting(reading)),
        tone=TONES.get(verdict["verdict"], "bad"),
        verdict=_text(verdict["verdict"]),
        reasons=_reasons(verdict["reasons"]),
        answer="\n".join(f"<p>{_text(line)}</p>" for line in answer(reading, str(verdict["verdict"]))),
        pictures="\n".join(_picture(name, figure) for name, figure in figures(reading, shape)),
        numbers=_numbers(reading),
        provenance=_provenance(reading.facts),
    )


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _setting(reading: Reading) -> str:
    facts = reading.facts
    known = [f"Prior: {facts['prior']}"] if "prior" in facts else []
    if "input_shape" in facts and "output_shape" in facts:
        x, y = (int(np.prod(facts[f"{side}_shape"])) for side in ("input", "output"))
        known.append(f"network: {count(x, 'input')}, {count(y, 'output')}")
    known += [f"method: {facts['method']}"] if "method" in facts else []
    if reading.has("posterior"):
        chains, draws = reading.draws.values.shape[:2]
        known.append(f"{count(chains, 'chain')} of {count(draws, 'draw')}")
    return "; ".join(known)


def _reasons(reasons: list[dict[str, Any]]) -> str:
    items = [
        f'<li>{_text(one["what"])}<span class="advice">{_text(one["advice"])}</span></li>' for one in reasons
    ]
    return (
        "<ul>\n" + "\n".join(items) + "\n</ul>"
        if items
        else "<p>Nothing was found that speaks against it.</p>"
    )


def _picture(name: str, figure: Any) -> str:
    title = figure.get_suptitle().replace("\n", " ")
    image = base64.b64encode(png(figure)).decode("ascii")
    alt = _text(f"{name}: {title}")
    return (
        f'<figure id="{_text(name)}"><img alt="{alt}" src="data:image/png;base64,{image}">'
        f"<figcaption>{_text(CAPTIONS[name])}</figcaption></figure>"
    )


def _numbers(reading: Reading) -> str:
    parts = []
    if reading.has("posterior"):
        parts.append(_draws_table(reading))
    if reading.has("optima"):
        parts.append(_optima_table(reading))
    return "\n".join(parts)


def _draws_table(reading: Reading) -> str:
    """`summary` of the entries shown: those that the wish says most about, and those that converged worst."""
    names, total = reading.draws.names, len(reading.draws.names)
    chosen = list(range(total))
    caption = f"All {count(total, 'input')}."
    if total > ROWS_MOST:
        told = np.argsort(-np.nan_to_num(reading.gain, nan=-1.0), kind="stable")[: ROWS_MOST // 2]
        rest = [k for k in reading.worst if k not in set(told.tolist())]
        chosen = [int(k) for k in told] + rest[: ROWS_MOST - len(told)]
        caption = (
            f"{len(chosen)} of {total} inputs: first the {len(told)} that the wish says most about, then the "
            f"{len(chosen) - len(told)} others that converged worst. The file of the result has all."
        )
    part = xr.Dataset({names[k]: (("chain", "draw"), reading.draws.values[..., k]) for k in chosen})
    groups = {"posterior": part}
    if reading.ancestors is not None:
        groups["sample_stats"] = xr.Dataset({"ancestor": (("chain", "draw"), reading.ancestors)})
    frame = summary(xr.DataTree.from_dict(groups))
    rows = [
        [str(name), *(_cell(str(column), float(row[column])) for column in frame.columns)]
        for name, row in frame.iterrows()
    ]
    return _table(["input", *map(str, frame.columns)], rows, caption + " q5, q50, q95: quantiles.")


def _cell(column: str, value: float) -> str:
    if not np.isfinite(value):
        return str(value)
    return (
        f"{value:.3f}" if column == "rhat" else f"{value:.0f}" if column.startswith("ess") else number(value)
    )


def _optima_table(reading: Reading) -> str:
    wanted = (
        "objective",
        "log_prior",
        "log_likelihood",
        "residual_norm",
        "laplace_weight",
        "distance_from_start",
    )
    columns = {name: values for name in wanted if (values := reading.optimum_stat(name)) is not None}
    many = len(reading.optima.flat())
    rows = [
        [str(k), *(number(float(values[k])) for values in columns.values())]
        for k in range(min(many, ROWS_MOST))
    ]
    caption = f"The optima, best first{'' if many <= ROWS_MOST else f': {ROWS_MOST} of {many}'}."
    return _table(["optimum", *(name.replace("_", " ") for name in columns)], rows, caption)


def _table(head: list[str], rows: list[list[str]], caption: str) -> str:
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    body = "\n".join(
        f'<tr><th scope="row">{_text(row[0])}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><caption>{_text(caption)}</caption>\n<thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _provenance(facts: dict[str, Any]) -> str:
    rows = [(name, _plain(value)) for name, value in facts.items() if name != "verdict"]
    if not rows:
        return "<p>The result carries none: it was not made by probinv.</p>"
    body = "\n".join(
        f'<tr><th scope="row">{_text(name.replace("_", " "))}</th><td>{_text(value)}</td></tr>'
        for name, value in rows
    )
    return f'<div class="wide"><table class="facts"><tbody>\n{body}\n</tbody></table></div>'


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        text = ", ".join(f"{key} {_plain(one)}" for key, one in value.items()) or "none"
    elif isinstance(value, list):
        text = f"({', '.join(map(_plain, value))})"
    else:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= TEXT_MOST else text[:TEXT_MOST] + " ..."
