"""What README shows is what happens."""

from __future__ import annotations


def test_the_session_on_the_first_screen_is_real(run_page):
    run_page("README.md")
