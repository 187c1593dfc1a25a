"""Whether Feast's Spark store could start here: pyspark and Java are no part of the pinned stack.

Without them pyspark ends in a traceback, and only after the job has done everything else.
"""

import os
import re
import shutil
from importlib.util import find_spec

from bidrec.errors import DependencyDown


def is_named(settings: str) -> bool:
    """Whether the text of a feature_store.yaml names Spark as offline store or batch engine.

    Of the text: Feast, asked for its settings, imports pyspark before it says any of them.
    """
    return re.search(r"\btype:\s*[\"']?spark\b", settings) is not None


def require_spark() -> None:
    """Raise DependencyDown (69) where pyspark or Java is missing."""
    if find_spec("pyspark") is None:
        raise DependencyDown(
            "feature_store.yaml names Spark, but pyspark is not installed",
            hint="pip install -r requirements/spark.txt, or name another offline store",
        )
    home = os.environ.get("JAVA_HOME")
    if shutil.which(os.path.join(home, "bin", "java") if home else "java") is None:
        where = f"no bin/java in JAVA_HOME, {home}" if home else "there is no java on the PATH"
        raise DependencyDown(
            f"feature_store.yaml names Spark, but {where}",
            hint="install Java 17 or 21, for example: apt-get install default-jre-headless",
        )
