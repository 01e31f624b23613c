# SPDX-License-Identifier: GPL-2.0
"""The benchmark: aerator and other drivers, side by side in one run (scripts/bench).

    contestant.py  a contestant: a kernel, a driver and its settings; and its guest
    figure.py      definitions of a case and of its figures
    cases/         a file for each case: what it measures, its contestants and its goals
    rounds.py      the order of the measurements, and the handling of guests that fail
    caserun.py     one case from its first guest to its tables
    results.py     stores figures; report.py, plots.py, meta.py: make tables and plots of them
    goals.py       a goal: an upper limit of a ratio of two figures of one run
"""
