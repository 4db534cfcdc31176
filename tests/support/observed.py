"""Makes the observations of simulated trials, for tests of statistics."""

import numpy as np
import pandas as pd


def observed(figures, metric="fid"):
    """Return observations of an array (tables, entries, seeds, sets); entries are m0, m1, ..."""
    tables, entries, seeds, sets = (axis.ravel() for axis in np.indices(figures.shape))
    return pd.DataFrame(
        {
            "metric": metric,
            "table": tables,
            "heading": "FID",
            "kind": "",
            "label": np.char.add("m", entries.astype(str)).astype(object),
            "dataset": "digits",
            "budget": "5k steps",
            "trial": "",
            "seed": seeds,
            "status": "ok",
            "set": sets,
            "value": figures.ravel(),
        }
    )


def trained(rng, shape, within=0.5, scale=1.0):
    """Return figures about 0: seeds spread by ``scale``, sets about their seed by ``within``."""
    tables, entries, seeds, sets = shape
    between = scale * rng.standard_normal((tables, entries, seeds, 1))
    return between + within * rng.standard_normal(shape)
