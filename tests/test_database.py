import pytest

from bidrec.database import describe
from bidrec.errors import ConfigurationError


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:p@h/d",
        "host=h password=p",
        "postgresql://u:12#34@h/d",
        "postgresql://u:1/2@h/d",
        "postgresql://u:12?34@h/d",
        "postgresql://u:12@34p@h/d",
    ],
)
def test_an_address_of_another_kind_is_a_configuration_error_that_does_not_repeat_it(url):
    with pytest.raises(ConfigurationError) as caught:
        describe(url)
    assert "p@h" not in str(caught.value)
    assert "12" not in str(caught.value)
