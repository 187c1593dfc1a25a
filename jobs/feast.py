"""bidrec feast: Feast's own commands, in the home and with the store of the configuration."""

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result


@command
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND ...")
def feast(config: Config, arguments: tuple[str, ...]) -> Result:
    """Run a command of Feast (apply, materialize, get-online-features, ...) on this home.

    Options before COMMAND are bidrec's, those after it Feast's. Where bidrec knows the error, its own exit code
    replaces Feast's 1.
    """
    from bidrec.features import feast_command

    printed, code = feast_command.run(config, arguments)
    data = {"feast": list(arguments), "printed": click.unstyle(printed)}
    return Result(data=data, text=printed, exit_code=code)


# What follows the first word is none of ours, --help and -v included.
feast.allow_interspersed_args = False
feast.ignore_unknown_options = True
