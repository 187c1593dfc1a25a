from bidrec.operations.passwords import masked


def test_a_password_that_is_known_is_masked_as_written_and_as_decoded_wherever_it_stands():
    url = "postgresql://u:a%40b-c@h:5/d?password=x%2Fyz"
    message = f"a@b-c, a%40b-c and x/yz were refused by {url}"
    assert masked(message, url) == "***, *** and *** were refused by postgresql://u:***@h:5/d?password=***"
