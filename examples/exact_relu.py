"""Which body mass index and blood pressure would give this patient exactly the score 180?

A scikit-learn perceptron of ReLU units predicts the progression of diabetes from ten measurements (442
patients, shipped with scikit-learn). Eight measurements of one patient are held; the other two may be
anything within the range of the patients. The answers are a line with a kink wherever a unit switches. No
draw misses the wish, and along the line they have the density p(x) / |slope of f|, the limit of ever
smaller tolerances: constant between kinks and jumping there. "All points of the line alike" would be
another law.

    python examples/exact_relu.py [--quick] [--folder FOLDER]
"""

import jax
import numpy as np
from _common import Figure, plt, run, settings
from sklearn.datasets import load_diabetes
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import probinv

PATIENT, WISH = 405, 180.0
BMI, PRESSURE = 2, 3


def train(x: np.ndarray, y: np.ndarray) -> Pipeline:
    perceptron = MLPRegressor(
        hidden_layer_sizes=(16, 16), learning_rate_init=0.01, early_stopping=True, random_state=0
    )
    return make_pipeline(StandardScaler(), perceptron).fit(x, y)


def main(quick: bool) -> dict[str, Figure]:
    data = load_diabetes(scaled=False)
    network, patient = train(data.data, data.target), data.data[PATIENT]
    print(f"R^2 {network.score(data.data, data.target):.2f}; patient {PATIENT} has the score ", end="")
    score = network.predict(patient[None])[0]
    print(f"{score:.0f} with {patient[BMI]:.1f} kg/m2 and {patient[PRESSURE]:.0f} mmHg")

    held = {k: value for k, value in enumerate(patient) if k not in (BMI, PRESSURE)}
    prior = probinv.Fixed(probinv.Uniform(data.data.min(axis=0), data.data.max(axis=0)), held)
    posterior = probinv.Posterior(prior, network, probinv.Exactly([WISH]))
    tree = probinv.invert(posterior, settings(quick, probinv.LiftedHMC))
    off = np.abs(tree.posterior_predictive["y"] - WISH).values.max()
    print(f"the score misses {WISH:g} by {off:.0e} at most")
    return {"exact_relu": picture(network, patient, prior, tree.posterior["x"].values.reshape(-1, 10))}


def with_measurements(patient: np.ndarray, bmi: np.ndarray, pressure: np.ndarray) -> np.ndarray:
    """The patient with other values of the two, one a row."""
    rows = np.tile(patient, (bmi.size, 1))
    rows[:, BMI], rows[:, PRESSURE] = bmi.ravel(), pressure.ravel()
    return rows


def picture(network: Pipeline, patient: np.ndarray, prior: probinv.Fixed, draws: np.ndarray) -> Figure:
    bmi, pressure = np.meshgrid(np.linspace(10, 45, 1201), np.linspace(50, 140, 241))
    score = network.predict(with_measurements(patient, bmi, pressure)).reshape(bmi.shape)
    curve = np.array([np.interp(WISH, row, bmi[0]) for row in score])  # the score rises with bmi
    slope = np.array(
        [np.interp(x, bmi[0], np.gradient(row, bmi[0])) for x, row in zip(curve, score, strict=True)]
    )
    weight = np.exp(jax.vmap(prior.log_prob)(with_measurements(patient, curve, pressure[:, 0])))

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    lines = left.contour(
        bmi, pressure, score, np.arange(30, 360, 30)[np.arange(11) != 5], colors="0.75", linewidths=1
    )
    left.clabel(lines, fontsize=8)
    left.plot(curve, pressure[:, 0], color="tab:orange", label=f"score {WISH:g}")
    left.plot(draws[::8, BMI], draws[::8, PRESSURE], ".", color="tab:blue", alpha=0.4, ms=4, label="draws")
    left.plot(patient[BMI], patient[PRESSURE], "k*", ms=12, label="the patient")
    left.set(xlabel="body mass index", ylabel="blood pressure", title=f"where a ReLU network says {WISH:g}")
    left.legend()

    right.hist(draws[:, PRESSURE], 30, density=True, color="tab:blue", alpha=0.4, label="draws")
    along = np.gradient(curve, pressure[:, 0])
    for name, density, style in (
        ("p(x) / |slope of f|", weight / slope, "-"),
        ("all points of the line alike", weight * np.sqrt(1 + along**2), ":"),
    ):
        area = np.trapezoid(density, pressure[:, 0])
        right.plot(pressure[:, 0], density / area, style, color="tab:orange", label=name)
    right.set(xlabel="blood pressure", yticks=[], title="what the points of that line weigh")
    right.legend()
    return figure


if __name__ == "__main__":
    run(main)
