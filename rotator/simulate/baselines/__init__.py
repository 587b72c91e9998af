"""Baselines: how others choose, each written anew from its published description. Refuses: their code, and tuning.

All of them remember what responses show (``memory``), and cool accounts down in the same careful way; they differ in whom
they take of those that are left.
"""
