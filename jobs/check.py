"""bidrec check: hold configuration and source against each other, without training and without writing."""

from typing import Any

from bidrec.config import Config
from jobs.options import command, require_source
from jobs.output import Result


@command
def check(config: Config) -> Result:
    """Read the configuration and the whole source, as a first ingest would, and say what a training would get.

    If the home has a lake, what is new to it is counted in, as train would. It reads every row, since a duplicate key
    or a time without a zone may be in any of them, and so takes as long as an ingest. Nothing is kept; what does not
    fit memory_limit passes through a temporary folder. Ends as ingest and train would: 64, 65, 66 or 69, with the line
    that says why, after what was found by then.
    """
    require_source(config)
    from bidrec.rehearsal import rehearse

    found = rehearse(config)
    return Result(data=found, text=_text(found))


def _text(found: dict[str, Any]) -> str:
    lines = [f"source {found['source']}, clock times of {found['zone']}"]
    for name, table in found["tables"].items():
        span = " to ".join(moment[:10] for moment in table["range"] if moment) or "none of them good"
        lines.append(f"  {name:<8} {table['rows']:>10,} rows, {span}")
        lines += [f"  {'':<8} {number:>10,} to be quarantined: {reason}" for reason, number in table["reasons"].items()]
        lines += [f"  {'':<8} note: {warning.partition(': ')[2]}" for warning in table["warnings"]]
    if found["late"]:
        late = " and ".join(f"{rows:,} rows of {name}" for name, rows in found["late"].items())
        lines.append(f"late: {late} count from the ingest that brought them, not from when they say they were known;")
        lines.append("  bidrec ingest --force takes every row as known when it says")
    days = found["split"]
    lines.append(
        f"split: validation from {days['validation_from']}, cutoff {days['cutoff']}, end {days['test_before']}"
    )
    lines += [
        f"  {name:<10} {window['notices']:>8,} notices, {window['bids']:>10,} bids"
        for name, window in found["windows"].items()
    ]
    return "\n".join([*lines, "Nothing stands in the way of: bidrec train"])
