"""The parts of `bench/run`: processes, tools, subjects, measurements and the report."""
