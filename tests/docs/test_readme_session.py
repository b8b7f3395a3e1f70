"""What README shows is what happens."""

from __future__ import annotations


def test_the_session_on_the_first_screen_is_real(run_page_as_installed):
    run_page_as_installed("README.md")
