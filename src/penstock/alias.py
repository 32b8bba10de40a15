"""Where a program that runs by Prefect's names has started this process, `import prefect` is Penstock here as well.

Law: this is loaded with the package, so it is nothing but a look at the environment (see `penstock.prefect`).
"""

import os

if os.environ.get("PENSTOCK_PREFECT_ALIAS"):
    from . import prefect as prefect
