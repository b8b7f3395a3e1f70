"""`python -m benchmarks`."""

from benchmarks._run import main

main()
