"""The authentication that is measured is the server's own, over tokens that it takes."""

import pytest

from benchmarks._authentication import Authentication, ed25519_per_s


def test_tokens_are_verified_and_remembered():
    authentication = Authentication()
    assert authentication.first_seen_per_s(20) > 0
    assert authentication.remembered_us(20) > 0
    assert ed25519_per_s(20) > 0


def test_token_that_is_refused_is_no_measurement():
    authentication = Authentication()
    context = authentication._context()
    context.invocation_metadata = lambda: (("authorization", "Bearer nothing"),)
    with pytest.raises(Exception, match="token: 1 parts"):
        authentication._seconds([context])
