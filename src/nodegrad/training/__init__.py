"""Training: a loop over batches that updates parameters and says why it stopped."""

from typing import TYPE_CHECKING, Any

from nodegrad.training.history import REASONS, History
from nodegrad.training.loop import fit

if TYPE_CHECKING:
    from nodegrad.training.cluster import dask_fit as dask_fit

__all__ = ["REASONS", "History", "fit"]


def _load(name: str) -> Any:
    """Load `dask_fit` on first use, which needs Dask."""
    if name == "dask_fit":
        from nodegrad.training.cluster import dask_fit

        return dask_fit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not TYPE_CHECKING:  # else no name would be misspelt
    __getattr__ = _load
