"""Run the tour: `python -m demo`."""

from demo.run import main

main()
