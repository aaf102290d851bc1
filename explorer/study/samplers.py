"""SAMPLERS: the names that a search space may give as its sampler, with one line about each."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_SAMPLER = "tpe"

SAMPLERS: Mapping[str, str] = {
    "tpe": "tree-structured Parzen estimator: a good start for 20 to 10,000 trials",
    "nsga2": "genetic, non-dominated sorting and crowding: for hundreds of trials and more",
    "nsga3": "genetic, with reference directions: for hundreds of trials and four objectives or more",
    "gp": "Gaussian processes: most from few trials, slow beyond 500; loads torch into the coordinator",
    "random": "every variant equally likely",
    "qmc": "Sobol's well-spread points",
    "grid": "every variant once, in a random order",
}
