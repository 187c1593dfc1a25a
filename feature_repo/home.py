"""Where the files of the sources lie: below BIDREC_HOME."""

import os


def file(relative: str) -> str:
    """The absolute path of a file, or a pattern of files, in bidrec's home.

    Ends the command with one line where BIDREC_HOME cannot serve.

    Feast reads a relative path from the repository in one place and from the working directory in another, so only an
    absolute one names the same file everywhere.
    """
    home = os.environ.get("BIDREC_HOME", "")
    if not home:
        raise SystemExit(
            "BIDREC_HOME is not set. Set it to the home of your bidrec, e.g. export BIDREC_HOME=$PWD/.bidrec"
        )
    if not os.path.isabs(home):
        raise SystemExit(
            f"BIDREC_HOME must be an absolute path for Feast, not {home!r}. For example: export BIDREC_HOME=$PWD/{home}"
        )
    return os.path.join(home, relative)
