"""What goes wrong again and again is said once."""

from __future__ import annotations

import logging


class Complaint:
    """Tells the operator of a problem that work in the background meets, and when it is over; not at each attempt."""

    def __init__(self, logger: logging.Logger, about: str) -> None:
        self._logger = logger
        self._about = about
        self._said = ""

    def say(self, problem: Exception | str, level: int = logging.WARNING) -> None:
        """Say what the problem is, unless that was the last thing said."""
        text = str(problem) or type(problem).__name__
        if text != self._said:
            self._said = text
            self._logger.log(level, "%s: %s", self._about, text)

    def over(self) -> None:
        """Say that it works, if the last thing said was a problem."""
        if self._said:
            self._said = ""
            self._logger.info("%s: works again", self._about)
