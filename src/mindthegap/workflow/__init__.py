"""What Snakemake's rules and doors share; plain functions, so that they can be tested without Snakemake."""

from mindthegap.workflow.checks import check_writable, missing_methods
from mindthegap.workflow.digests import code_digest
from mindthegap.workflow.door import door
from mindthegap.workflow.published import check_published, import_published, write_checksums
from mindthegap.workflow.software import software

__all__ = [
    "check_published",
    "check_writable",
    "code_digest",
    "door",
    "import_published",
    "missing_methods",
    "software",
    "write_checksums",
]
