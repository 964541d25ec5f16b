"""TrackLens: a static page, opened from disk, that ties every lost point of AP to frames one can look at."""

from mindthegap.tracklens.build import build
from mindthegap.tracklens.experiment import ExperimentFiles
from mindthegap.tracklens.serve import serve

__all__ = ["ExperimentFiles", "build", "serve"]
