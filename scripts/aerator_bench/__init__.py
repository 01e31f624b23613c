# SPDX-License-Identifier: GPL-2.0
"""The benchmark: aerator and its rivals, side by side in one run (scripts/bench).

    contestant.py  who takes part, and a guest of theirs
    figure.py      what a case is, and what it brings back
    cases/         one file a case: what it measures, of whom, and what has to come out
    rounds.py      who runs when, and what happens if a guest fails
    caserun.py     one case from its first guest to its tables
    results.py     figures as they come; report.py, plots.py, meta.py: what is made of them
    goals.py       what has to come out, as ratios within one run
"""
