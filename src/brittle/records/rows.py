"""Some of the rows of a table of records."""

import pandas as pd


def rows_where(records: pd.DataFrame, mask: "pd.Series[bool]") -> pd.DataFrame:
    """The rows for which ``mask`` is true; records are read attack by attack, and a slice of them copies nothing."""
    (at,) = mask.to_numpy(dtype=bool).nonzero()
    beside = len(at) and at[-1] - at[0] + 1 == len(at)
    rows: pd.DataFrame = records.iloc[at[0] : at[-1] + 1] if beside else records[mask]
    return rows
